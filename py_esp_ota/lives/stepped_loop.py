"""A loop in virtual time that somebody else drives, one moment at a time, and that tells what it waits for."""

from __future__ import annotations

import asyncio
import heapq
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import Context
from typing import TypeVarTuple

from py_esp_ota.adapters.virtual_time import VirtualLoop

Ts = TypeVarTuple("Ts")

Timer = tuple[int, float]
"""A timer by what set it: in which moment, and how many seconds after it is due."""


class SteppedLoop(VirtualLoop):
    """A ``VirtualLoop`` inside of another loop's callbacks.

    Args:
        start: its time, in seconds.
    """

    def __init__(self, start: float) -> None:
        super().__init__(start)
        self.moment = 0  # counted by who drives it
        self._set: dict[int, Timer] = {}

    def call_at(
        self, when: float, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """``loop.call_at``."""
        timer = super().call_at(when, callback, *args, context=context)
        self._set[self._timers_set] = self.moment, when - self._now
        return timer

    @contextmanager
    def at(self, when: float) -> Iterator[None]:
        """What is done inside happens in this loop, at this time; then all runs until it waits."""
        self._now = max(self._now, when)
        outside, hooks = asyncio._get_running_loop(), sys.get_asyncgen_hooks()  # noqa: SLF001 - as run_forever does
        asyncio._set_running_loop(self)  # noqa: SLF001
        sys.set_asyncgen_hooks(self._asyncgen_firstiter_hook, self._asyncgen_finalizer_hook)  # type: ignore[attr-defined]
        try:
            yield
            while self._ready or self._is_due():
                self._run_once()
        finally:
            asyncio._set_running_loop(outside)  # noqa: SLF001
            sys.set_asyncgen_hooks(*hooks)

    def _is_due(self) -> bool:
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        return bool(timers) and timers[0][0] <= self._now + self._grain

    def waits_for(self) -> tuple[Timer, ...]:
        """The timers that are set, the next one first."""
        pending = sorted((when, number) for when, number, timer in self._timers if not timer.cancelled())
        self._set = {number: self._set[number] for _, number in pending}
        return tuple(self._set.values())
