"""A request and the buffer for sending: line and headers go through it page by page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from py_esp_ota.errors import EspErr, HttpsOtaError
from py_esp_ota.idf.esp_http_client.url import host_header, request_target

USER_AGENT = "ESP32 HTTP Client/1.0"

_PROTOCOL = "HTTP/1.1"
_END = 3  # an empty line and a NUL


def request_error(
    method: str, url: str, headers: Mapping[str, str], buffer_size_tx: int
) -> tuple[list[str], HttpsOtaError | None]:
    """``esp_http_client_request_send``: what is printed of a request that is long, and what is wrong with one too long.

    The request line must fit, with the first header behind it; any other header must fit alone.
    """
    line = len(f"{method} {request_target(url)} {_PROTOCOL}\r\n")
    if line >= buffer_size_tx:
        what = "the request line has {found} bytes, the buffer for sending {expected}"
        return [], HttpsOtaError(EspErr.ESP_FAIL, what, found=line, expected=buffer_size_tx)
    lines, missing = _pages(line, _in_order(url, headers), buffer_size_tx)
    if missing is None:
        return lines, None
    what = "{name} does not fit behind {found} bytes, the buffer for sending has {expected}"
    used = line if missing == "User-Agent" else 0
    error = EspErr.ESP_ERR_HTTP_HEADER_TOO_LONG
    return lines, HttpsOtaError(error, what, name=missing, found=used, expected=buffer_size_tx)


def _in_order(url: str, headers: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    """User agent and host stand first, as ``esp_http_client_init`` puts them."""
    first = {"User-Agent": USER_AGENT, "Host": host_header(urlsplit(url))}
    return {**first, **headers}.items()


def _pages(line: int, headers: Iterable[tuple[str, str]], size: int) -> tuple[list[str], str | None]:
    """``http_header_generate_string``, again and again: its lines, and the name of the header that fits no page."""
    lines: list[str] = []
    room, used = size - line, 0
    for name, value in headers:
        length = len(f"{name}: {value}\r\n")
        while used + length + _END > room:
            text = "Buffer length is small to fit all the headers"
            lines.append(f"{text}, required {used + length + 1} bytes, buffer size {room - 2}")
            if not used:
                return lines, name
            room, used = size, 0
        used += length
    return lines, None
