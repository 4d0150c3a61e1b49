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
    a broker drops it, and the log says so once.
    """

    def __init__(self) -> None:
        self.lost = ""  # why the connection is gone; empty while it is not
        self._bytes = 0  # that wait
        self._full = False
        self._queue: asyncio.Queue[Message | None] = asyncio.Queue()  # None: the connection is lost

    def put(self, message: Message) -> None:
        """Receive a message."""
        full = self._queue.qsize() >= QUEUE_LIMIT or self._bytes + len(message.payload) > QUEUE_BYTES
        if full and not self._full:
            _log.warning("dropped a message to %.80r: %d wait already", message.topic, self._queue.qsize())
        self._full = full
        if not full:
            self._bytes += len(message.payload)
            self._queue.put_nowait(message)

    def lose(self, why: str) -> None:
        """The connection is gone; only the first reason counts."""
        if not self.lost:
            self.lost = why
            self._queue.put_nowait(None)

    def check(self) -> None:
        """Raise ``MqttError`` when the connection is gone."""
        if self.lost:
            raise MqttError(self.lost)

    # An iterator, not a generator: a generator that is abandoned half-way would need closing.

    def __aiter__(self) -> Inbox:
        return self

    async def __anext__(self) -> Message:
        message = await self._queue.get()
        if message is None:
            self._queue.put_nowait(None)  # for the next one who asks
            raise MqttError(self.lost)
        self._bytes -= len(message.payload)
        return message
