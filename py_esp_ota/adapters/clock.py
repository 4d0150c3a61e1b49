"""The computer's own clock."""

from __future__ import annotations

import time


class SystemClock:
    """``Clock``: real wall-clock time."""

    def now(self) -> float:
        """Seconds since 1970."""
        return time.time()
