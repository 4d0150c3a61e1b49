"""POSIX: what a few doors need, and the sentence for who comes to one of them without it."""

from __future__ import annotations

import sys


def lacks_posix(what: str) -> str | None:
    """Why ``what`` cannot be had on this computer; ``None`` on Linux, macOS and their like."""
    return f"{what} needs Linux or macOS; on Windows, use WSL" if sys.platform == "win32" else None
