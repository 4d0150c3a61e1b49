"""The in-memory doors in one place: virtual time, its clock, the broker, HTTP into an app."""

from __future__ import annotations

import asyncio

from py_esp_ota.adapters.asgi import AsgiFetch
from py_esp_ota.adapters.memory_broker import MemoryBroker
from py_esp_ota.adapters.virtual_time import VirtualLoop, run_virtual

__all__ = ["AsgiFetch", "MemoryBroker", "VirtualClock", "VirtualLoop", "run_virtual"]


class VirtualClock:
    """``Clock``: wall-clock time that follows a loop's time.

    Args:
        epoch: seconds since 1970 when the loop's time is 0.
        loop: the loop to follow; the running one when not given.
    """

    def __init__(self, epoch: float = 1_750_000_000.0, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._epoch = epoch
        self._loop = loop

    def now(self) -> float:
        """Seconds since 1970."""
        return self._epoch + (self._loop or asyncio.get_running_loop()).time()
