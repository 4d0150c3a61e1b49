"""What an MQTT connection has received, in order, and the end of the connection."""

from __future__ import annotations

import asyncio
import logging

from py_esp_ota.adapters.limits import QUEUE_BYTES, QUEUE_LIMIT
from py_esp_ota.errors import MqttError
from py_esp_ota.ports import Message

_log = logging.getLogger(__name__)


class Inbox:
    """The receiving half of a connection; iterating yields messages and ends with ``MqttError``.

    What came before the connection was lost is still delivered. What comes while too much waits already is dropped, as
    a broker drops it, and the log says so once. A hundred thousand connections have one each: it is small while empty.
    """

    __slots__ = ("_bytes", "_full", "_new", "_old", "_readers", "lost")

    def __init__(self) -> None:
        self.lost = ""  # why the connection is gone; empty while it is not
        self._bytes = 0  # that wait
        self._full = False
        self._new: list[Message] = []
        self._old: list[Message] = []  # what is taken next, the next one last
        self._readers: list[asyncio.Future[None]] = []

    def put(self, message: Message) -> None:
        """Receive a message."""
        waiting = len(self._old) + len(self._new)
        full = waiting >= QUEUE_LIMIT or self._bytes + len(message.payload) > QUEUE_BYTES
        if full and not self._full:
            _log.warning("dropped a message to %.80r: %d wait already", message.topic, waiting)
        self._full = full
        if not full:
            self._bytes += len(message.payload)
            self._new.append(message)
            self._wake()

    def lose(self, why: str) -> None:
        """The connection is gone; only the first reason counts."""
        self.lost = self.lost or why
        self._wake()

    def check(self) -> None:
        """Raise ``MqttError`` when the connection is gone."""
        if self.lost:
            raise MqttError(self.lost)

    # An iterator, not a generator: a generator that is abandoned half-way would need closing.

    def __aiter__(self) -> Inbox:
        return self

    async def __anext__(self) -> Message:
        while not self._old and not self._new:
            self.check()
            reader = asyncio.get_running_loop().create_future()
            self._readers.append(reader)
            await reader
        if not self._old:
            self._old, self._new = self._new[::-1], []
        message = self._old.pop()
        self._bytes -= len(message.payload)
        return message

    def _wake(self) -> None:
        for reader in self._readers:
            if not reader.done():
                reader.set_result(None)
        self._readers.clear()
