"""What a client asks of one unchanging file: all, a part, or nothing when it has it already (RFC 9110, 13 and 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers

_SINGLE_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII | re.IGNORECASE)
_TAG: Final = re.compile(r'(W/)?("[!#-~\x80-\xff]*")')

OK, PARTIAL, NOT_MODIFIED, PRECONDITION_FAILED, NOT_SATISFIABLE = 200, 206, 304, 412, 416


@dataclass(frozen=True, slots=True)
class Verdict:
    """The status, and which bytes go with it."""

    status: int
    part: range = range(0)


def judge(method: str, headers: Headers, etag: str, size: int) -> Verdict:
    """The answer to ``GET`` or ``HEAD``, in the order of RFC 9110, 13.2.2.

    There is no time of modification to compare with, so that conditions on one do not count, and an ``If-Range`` of
    one does not hold.
    """
    if "if-match" in headers and not listed(_all(headers, "if-match"), etag, strong=True):
        return Verdict(PRECONDITION_FAILED)
    if listed(_all(headers, "if-none-match"), etag):
        return Verdict(NOT_MODIFIED)
    whole = Verdict(OK, range(size))
    if method != "GET" or headers.get("if-range", etag) != etag:  # of HEAD ranges are not defined
        return whole
    part = single_range(_all(headers, "range"), size)
    if part is None:
        return whole
    return Verdict(PARTIAL, part) if part else Verdict(NOT_SATISFIABLE)


def single_range(header: str, size: int) -> range | None:
    """The bytes a ``Range`` header asks for: empty when there are none, ``None`` when the header does not count.

    Several ranges at once, other units and nonsense do not count: the whole image answers them (RFC 9110, 14.2).
    """
    match = _SINGLE_RANGE.fullmatch(header.strip())
    if match is None or match.group(1) == match.group(2) == "":
        return None
    first, last = match.groups()
    if not first:
        return range(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    return range(int(first), min(int(last) + 1 if last else size, size))


def listed(header: str, etag: str, *, strong: bool = False) -> bool:
    """Whether a list of entity tags, or ``*``, has ``etag``; ``strong``: a weak one is another."""
    if header.strip() == "*":
        return True
    return any(tag == etag and not (strong and weak) for weak, tag in _TAG.findall(header))


def _all(headers: Headers, name: str) -> str:
    """The values of all header lines of this name, as one."""
    return ", ".join(headers.getlist(name))
