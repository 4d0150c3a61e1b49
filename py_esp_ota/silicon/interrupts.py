"""Ctrl-C while machine code runs: it must not be raised inside of a callback, where C code would lose it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def held_back(stop: Callable[[], None]) -> Iterator[None]:
    """SIGINT calls ``stop``, which raises nothing; whoever handled it before gets it behind this block.

    Without effect where Python does not handle it, and in other threads than the main one, which are never interrupted.
    """
    came = False

    def note(_number: int, _frame: object) -> None:
        nonlocal came
        came = True
        stop()

    before = signal.getsignal(signal.SIGINT)
    try:
        if callable(before):
            signal.signal(signal.SIGINT, note)
    except ValueError:  # not the main thread
        before = None
    if not callable(before):
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)
