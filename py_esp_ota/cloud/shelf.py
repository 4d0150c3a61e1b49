"""Firmware in memory: what nodes download again and again is read from the database once.

A campaign hands one image to thousands of nodes, so that the few images that are asked for fit. An image that must give
way while somebody still downloads it is not read a second time either: it lives as long as its last reader.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakValueDictionary

ROOM = 64 * 1024 * 1024
"""Bytes of firmware kept while nobody reads them."""


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Firmware:
    """The bytes behind a download link."""

    data: bytes
    sha256: str

    @property
    def etag(self) -> str:
        """The strong validator: the same bytes have it under every name."""
        return f'"{self.sha256}"'


class Shelf:
    """Firmware by its SHA-256, each there once however many images have it; the one unread for longest goes.

    Args:
        room: bytes to keep.
    """

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._alive: WeakValueDictionary[str, Firmware] = WeakValueDictionary()
        self._kept: dict[str, Firmware] = {}  # the one read last stands last
        self._size = 0  # of what is kept

    def take(self, sha256: str, read: Callable[[], bytes]) -> Firmware:
        """The firmware with this hash; ``read`` is asked for its bytes when they are not here."""
        found = self._alive.get(sha256)
        if found is None:
            found = self._alive[sha256] = Firmware(read(), sha256)
        self._keep(found)
        return found

    def _keep(self, firmware: Firmware) -> None:
        if self._kept.pop(firmware.sha256, None) is None:
            self._size += len(firmware.data)
        self._kept[firmware.sha256] = firmware
        while self._size > self._room:
            oldest = self._kept.pop(next(iter(self._kept)))
            self._size -= len(oldest.data)
