"""What a host may be called: names as a certificate carries them."""

from __future__ import annotations

import re
from ipaddress import ip_address

_HOST = re.compile(r"(?=.{1,253}\Z)[0-9a-z]([0-9a-z-]{0,61}[0-9a-z])?(\.[0-9a-z]([0-9a-z-]{0,61}[0-9a-z])?)*", re.ASCII)


def check_host(name: str) -> str:
    """A name or an address of a host as a certificate carries it, in lower case; ``ValueError`` for what is none."""
    try:
        return str(ip_address(name))
    except ValueError:
        pass
    lower = name.lower()
    if not _HOST.fullmatch(lower) or lower.rpartition(".")[2].isdigit():
        raise ValueError(f"{name!r} is neither a host name (letters, digits, '-' and '.') nor an IP address")
    return lower
