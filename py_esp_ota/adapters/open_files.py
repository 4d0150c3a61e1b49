"""How many files this process may have open: each connection is one, and so is each node that is connected."""

from __future__ import annotations

import sys

_WINDOWS = 512  # what its C library opens; there is no limit that could be raised


def open_files() -> int:
    """The limit as it is now."""
    if sys.platform == "win32":
        return _WINDOWS
    import resource  # noqa: PLC0415 - there is none on Windows

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit


def raise_open_files(wanted: int) -> None:
    """Let this process open so many files, as far as the system lets it; what is higher already stays."""
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
