"""How many files this process may have open: each connection is one, and so is each node that is connected."""

from __future__ import annotations

import sys

if sys.platform == "win32":
    _WINDOWS = 512  # what its C library opens

    def open_files() -> int:
        """The limit."""
        return _WINDOWS

    def raise_open_files(wanted: int) -> None:
        """Nothing: there is no limit here that could be raised."""
        del wanted

else:
    import resource

    def open_files() -> int:
        """The limit as it is now."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return sys.maxsize if limit == resource.RLIM_INFINITY else limit

    def raise_open_files(wanted: int) -> None:
        """Let this process open so many files, as far as the system lets it; what is higher already stays."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        if soft != resource.RLIM_INFINITY and soft < most:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
