"""How long something takes, in seconds that mean the same on every machine.

A limit in bare seconds says more of the machine than of the code: the same code takes twice as long on another one, or
on the same one on another day. So a yardstick, some everyday Python, is timed beside the code, and what the code took
is told in seconds of the machine on which the limits were set. It is the processor's time of this process, not the
clock's: the machine may have other work.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Self

_YARD_S = 0.012
"""About what the yardstick takes on the machine on which the limits were set: reckoned, from one 1.7 times as slow."""


def _yardstick() -> float:
    begun = time.process_time()
    table = {f"node{number}": (number, str(number * 7)) for number in range(20_000)}
    assert sum(len(word) + number for number, word in table.values()) > 0
    sorted(table)
    return time.process_time() - begun


class Stopwatch:
    """``with Stopwatch() as watch: ...``, and then ``watch.seconds``."""

    seconds = 0.0

    def __enter__(self) -> Self:
        self._yard = _yardstick()
        self._begun = time.process_time()
        return self

    def __exit__(self, *_error: object) -> None:
        took = time.process_time() - self._begun
        self.seconds = took * _YARD_S / max(self._yard, _yardstick())


def quickest(action: Callable[[], object], below: float, tries: int = 5) -> float:
    """The seconds of ``action`` at its best; it is not tried again once that is ``below``."""
    best = float("inf")
    for _ in range(tries):
        with Stopwatch() as watch:
            action()
        best = min(best, watch.seconds)
        if best < below:
            break
    return best
