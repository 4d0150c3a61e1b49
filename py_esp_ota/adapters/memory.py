"""The in-memory doors in one place: virtual time, its clock, the broker, the key-value store, HTTP into an app."""

from __future__ import annotations

import asyncio

from py_esp_ota.adapters.asgi import AsgiFetch
from py_esp_ota.adapters.memory_broker import MemoryBroker
from py_esp_ota.adapters.virtual_time import VirtualLoop, run_virtual
from py_esp_ota.ports import NvsValue

__all__ = ["AsgiFetch", "MemoryBroker", "MemoryNvs", "VirtualClock", "VirtualLoop", "run_virtual"]


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


class MemoryNvs:
    """``Nvs``: values in a dictionary, kept for as long as this object lives."""

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], NvsValue] = {}

    def get(self, namespace: str, key: str) -> NvsValue | None:
        """The value, or ``None`` when there is none."""
        return self._values.get((namespace, key))

    def set(self, namespace: str, key: str, value: NvsValue) -> None:
        """Store a value."""
        self._values[namespace, key] = value

    def erase(self, namespace: str, key: str) -> None:
        """Forget a value; nothing happens when there is none."""
        self._values.pop((namespace, key), None)
