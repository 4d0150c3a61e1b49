"""``errno`` as the chip's C library numbers and words it: lwIP's numbers are newlib's, not the host's."""

from __future__ import annotations

import errno

# newlib/libc/include/sys/errno.h and newlib/libc/string/strerror.c; only what a socket can say.
_NEWLIB = {
    "EIO": (5, "I/O error"),
    "EAGAIN": (11, "No more processes"),
    "ENOMEM": (12, "Not enough space"),
    "EINVAL": (22, "Invalid argument"),
    "EPIPE": (32, "Broken pipe"),
    "ECONNRESET": (104, "Connection reset by peer"),
    "ENOBUFS": (105, "No buffer space available"),
    "ECONNREFUSED": (111, "Connection refused"),
    "ECONNABORTED": (113, "Software caused connection abort"),
    "ENETUNREACH": (114, "Network is unreachable"),
    "ENETDOWN": (115, "Network interface is not configured"),
    "ETIMEDOUT": (116, "Connection timed out"),
    "EHOSTDOWN": (117, "Host is down"),
    "EHOSTUNREACH": (118, "Host is unreachable"),
    "EINPROGRESS": (119, "Connection already in progress"),
    "ENOTCONN": (128, "Socket is not connected"),
}
_TEXTS = dict(_NEWLIB.values())


def from_host(number: int) -> int:
    """The chip's number for a host's ``errno``: same name, its own value. What the chip does not know stays."""
    name = errno.errorcode.get(number, "")
    return _NEWLIB[name][0] if name in _NEWLIB else number


def strerror(number: int) -> str:
    """``strerror`` (newlib/libc/string/strerror.c); empty for a number without a text, as there."""
    return _TEXTS.get(number, "")
