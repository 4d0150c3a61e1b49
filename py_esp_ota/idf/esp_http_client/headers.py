"""What the headers of a response say to ``esp_http_client``: how long the body is, the whole it is a part of."""

from __future__ import annotations

import re

_LENGTH = re.compile(r"[0-9][0-9 ]*")
_STRTOL = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)")
_LONG_MAX, _ULLONG_MAX = 2**31 - 1, 2**64 - 1


def is_chunked(transfer_encoding: str) -> bool:
    """Whether the body comes in chunks."""
    return "chunked" in transfer_encoding.lower()


def content_length(length: str, transfer_encoding: str) -> int:
    """``esp_http_client_get_content_length``: -1 where there is none, or chunks."""
    if is_chunked(transfer_encoding) or not _LENGTH.fullmatch(length):
        return -1
    return int(length.replace(" ", ""))


def content_range(value: str) -> tuple[int, str | None]:
    """``http_on_header_value``: the whole behind the slash, else -1 and what is printed.

    Before the slash may be anything; behind it is what ``strtol`` makes of 32 bits.
    """
    _before, slash, total = value.partition("/")
    if not slash:
        return -1, "Invalid Content-Range format (missing '/')"
    if total.startswith("*"):
        return -1, "Content-Range header has unknown total size (bytes A-B/*)"
    number = _STRTOL.fullmatch(total)
    if number is None or int(number[1]) <= 0:
        return -1, "Failed to extract total size from Content-Range"
    return min(int(number[1]), _LONG_MAX), None


def parser_error(length: str | None, transfer_encoding: str) -> str | None:
    """``http_errno_description``: what ``http_parser`` finds wrong with the length of a body; ``None``: nothing.

    Two lines of Content-Length arrive here as one with a comma.
    """
    if not length:
        return None
    lines = [line.strip() for line in length.split(",")]
    if not all(_is_length(line) for line in lines):
        return "invalid character in content-length header"
    if len(lines) > 1 or is_chunked(transfer_encoding):
        return "unexpected content-length header"
    return None


def _is_length(text: str) -> bool:
    digits = text.replace(" ", "")
    return _LENGTH.fullmatch(text) is not None and int(digits[:-1] or "0") <= (_ULLONG_MAX - 10) // 10
