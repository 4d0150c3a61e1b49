"""What a session keeps, inside this process: messages in order until they are acknowledged, over any connection."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence

from py_esp_ota.adapters.limits import QUEUE_BYTES, QUEUE_LIMIT
from py_esp_ota.errors import MqttError
from py_esp_ota.ports import Message

_log = logging.getLogger(__name__)


class Backlog:
    """The messages of one session. What comes while too much waits already is dropped, and the log says so once.

    Args:
        limit: messages that may wait.
    """

    def __init__(self, limit: int = QUEUE_LIMIT) -> None:
        self._limit = limit
        self._waiting: deque[Message] = deque()
        self._handed: dict[_Batches, list[Message]] = {}  # not acknowledged yet, in order
        self._count = 0  # of both
        self._bytes = 0
        self._full = False
        self._news = asyncio.Event()  # the newest connection's

    def __len__(self) -> int:
        return self._count

    def put(self, message: Message) -> None:
        """Receive a message."""
        full = self._count >= self._limit or self._bytes + len(message.payload) > QUEUE_BYTES
        if full and not self._full:
            _log.warning("dropped a message to %.80r: %d wait already", message.topic, self._count)
        self._full = full
        if not full:
            self._count += 1
            self._bytes += len(message.payload)
            self._waiting.append(message)
            self._news.set()

    def open(self) -> Arrivals:
        """A new connection: what was not acknowledged comes again, before what is new. The last one must be lost."""
        for batch in reversed(self._handed.values()):
            self._waiting.extendleft(reversed(batch))
        self._handed.clear()
        self._news = asyncio.Event()
        return Arrivals(self, self._news)

    def hand_out(self, to: _Batches, limit: int) -> Sequence[Message]:
        """The next messages, which count as not acknowledged."""
        if len(self._waiting) <= limit:
            batch, self._waiting = list(self._waiting), deque()
        else:
            batch = [self._waiting.popleft() for _ in range(limit)]
        if batch:
            self._handed[to] = batch
        return batch

    def acknowledge(self, to: _Batches) -> None:
        """What was handed out is done."""
        batch = self._handed.pop(to, ())
        self._count -= len(batch)
        self._bytes -= sum(len(message.payload) for message in batch)


class Arrivals:
    """The receiving half of one connection of a session."""

    def __init__(self, backlog: Backlog, news: asyncio.Event) -> None:
        self.lost = ""  # why the connection is gone; empty while it is not
        self._backlog = backlog
        self._news = news

    def lose(self, why: str) -> None:
        """The connection is gone; only the first reason counts."""
        self.lost = self.lost or why
        self._news.set()

    def check(self) -> None:
        """Raise ``MqttError`` when the connection is gone."""
        if self.lost:
            raise MqttError(self.lost)

    def batches(self, limit: int, pause: float = 0.0) -> AsyncIterator[Sequence[Message]]:
        """All that has arrived at this instant, again and again; to ask for more is to acknowledge the last of it."""
        return _Batches(self, self._backlog, self._news, limit, pause)


# An iterator, not a generator: a generator that is abandoned half-way would need closing.
class _Batches:
    def __init__(self, arrivals: Arrivals, backlog: Backlog, news: asyncio.Event, limit: int, pause: float) -> None:
        self._arrivals = arrivals
        self._backlog = backlog
        self._news = news
        self._limit = limit
        self._pause = pause

    def __aiter__(self) -> _Batches:
        return self

    async def __anext__(self) -> Sequence[Message]:
        self._arrivals.check()
        self._backlog.acknowledge(self)
        while not (batch := self._backlog.hand_out(self, self._limit)):
            self._news.clear()
            await self._news.wait()
            await asyncio.sleep(self._pause)
            self._arrivals.check()
        return batch
