"""What every part of the cloud stands on: the store, the time, identifiers, change notices."""

from __future__ import annotations

from dataclasses import dataclass, field

from py_esp_ota.cloud.live import Live
from py_esp_ota.cloud.store import Store
from py_esp_ota.cloud.tokens import Ids
from py_esp_ota.ports import Clock


@dataclass(frozen=True, slots=True)
class Ground:
    """Handed to each part when it is made; parts hold it, and each other, and nothing wider."""

    store: Store
    clock: Clock
    ids: Ids
    live: Live = field(default_factory=Live)

    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return round(self.clock.now() * 1000)

    def now_s(self) -> int:
        """Seconds since 1970."""
        return int(self.clock.now())
