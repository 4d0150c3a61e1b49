"""An event loop whose clock stands still while the machine has no time for it.

Where both ends of a story live on one loop, what is short for one is short for the other: a machine that stops both
for a second makes nobody late.
"""

from __future__ import annotations

import asyncio
import time

_LATE_S = 0.05  # what a turn of the loop may take


class SteadyLoop(asyncio.SelectorEventLoop):
    """Its seconds are real ones, except for those that came over it."""

    def __init__(self) -> None:
        self._lost = 0.0
        self._seen = time.monotonic()
        super().__init__()
        select = self._selector.select

        def watched(timeout: float | None = None):
            self._look(0.0)
            try:
                return select(timeout)
            finally:
                self._look(timeout)

        self._selector.select = watched

    def time(self) -> float:
        """Seconds, from anywhere, without those that were lost."""
        return super().time() - self._lost

    def _look(self, expected: float | None) -> None:
        now = time.monotonic()
        if expected is not None and (late := now - self._seen - expected) > _LATE_S:
            self._lost += late
        self._seen = now
