"""What an MQTT client has said and nobody has acknowledged (esp-mqtt ``lib/mqtt_outbox.c``). Times are milliseconds."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

OUTBOX_EXPIRED_TIMEOUT_MS = 30_000


@dataclass(slots=True, eq=False)
class Outgoing:
    """``outbox_item_t``; ``acked`` is set by its PUBACK."""

    topic: str
    payload: bytes
    tick: int  # when it was put in, and then when it was sent for the first time
    transmitted: bool = False
    acked: asyncio.Event = field(default_factory=asyncio.Event)


class Outbox:
    """Messages in the order of being said. There is no limit: RainMaker sets none, and esp-mqtt has none by default."""

    def __init__(self) -> None:
        self._items: list[Outgoing] = []

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Outgoing) -> None:
        """``outbox_enqueue``."""
        self._items.append(item)

    def first(self, *, transmitted: bool) -> Outgoing | None:
        """``outbox_dequeue``: the oldest that was sent, or that was not; it stays."""
        return next((item for item in self._items if item.transmitted is transmitted), None)

    def delete(self, item: Outgoing) -> bool:
        """``outbox_delete``: whether it was there."""
        if item not in self._items:
            return False
        self._items.remove(item)
        return True

    def delete_expired(self, now: int) -> None:
        """``outbox_delete_expired``: forget without a word what is older than half a minute, sent or not."""
        self._items = [item for item in self._items if now - item.tick <= OUTBOX_EXPIRED_TIMEOUT_MS]
