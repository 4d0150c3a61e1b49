"""The cloud's session with the embedded broker. Both live in this process and end with it, so it needs no socket.

amqtt's own sessions would not do: they forget what is not acknowledged within five seconds, and what is on its way when
the connection is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

from py_esp_ota.adapters.backlog import Arrivals, Backlog
from py_esp_ota.adapters.certificates import CLOUD
from py_esp_ota.adapters.topics import check_client_id, check_filter, check_topic, matches
from py_esp_ota.errors import MqttError
from py_esp_ota.ports import Message, MqttSession

Broadcast = Callable[[str, bytes], Awaitable[None]]


class CloudSession:
    """What the cloud has subscribed to and not acknowledged yet."""

    def __init__(self) -> None:
        self.gone = False  # the broker; for good
        self._filters: list[str] = []
        self._backlog = Backlog()
        self._line: Arrivals | None = None

    @property
    def owed(self) -> int:
        """Messages that the cloud, which is there, has not acknowledged."""
        return len(self._backlog) if self._line and not self._line.lost else 0

    def put(self, topic: str, payload: bytes) -> None:
        """Somebody has published this."""
        if any(matches(topic_filter, topic) for topic_filter in self._filters):
            self._backlog.put(Message(topic, payload))

    def subscribe(self, topic_filter: str) -> None:
        """Keep what is published to it from now on."""
        if topic_filter not in self._filters:
            self._filters.append(topic_filter)

    def end(self) -> None:
        """The broker is gone."""
        self.gone = True
        self._lose("the broker is gone")

    def _lose(self, why: str) -> None:
        if self._line:
            self._line.lose(why)

    @asynccontextmanager
    async def connect(self, client_id: str, broadcast: Broadcast) -> AsyncIterator[MqttSession]:
        """Take up the session while the context is entered; ``broadcast`` publishes. Raises ``MqttError``."""
        check_client_id(client_id)
        await asyncio.sleep(0)
        if client_id != CLOUD:
            raise MqttError(f"the embedded broker keeps a session for {CLOUD!r} only, not for {client_id!r}")
        if self.gone:
            raise MqttError("the broker is gone")
        self._lose("another connection has the same client id")
        self._line = line = self._backlog.open()
        try:
            yield _Connection(self, line, broadcast)
        finally:
            line.lose("disconnected")


class _Connection:
    """One connection; ``MqttSession`` as its owner sees it."""

    def __init__(self, session: CloudSession, line: Arrivals, broadcast: Broadcast) -> None:
        self._session = session
        self._line = line
        self._broadcast = broadcast

    async def publish(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 1, not retained; returns when the broker has it."""
        check_topic(topic)
        if topic.startswith("$"):
            raise MqttError(f"this broker does not deliver {topic}: use plain topics (basic ingest off)")
        self._line.check()
        await self._broadcast(topic, bytes(payload))
        self._line.check()

    async def subscribe(self, topic_filter: str) -> None:
        """Subscribe; every message published from now on comes."""
        check_filter(topic_filter)
        self._line.check()
        self._session.subscribe(topic_filter)

    def batches(self, limit: int, pause: float = 0.0) -> AsyncIterator[Sequence[Message]]:
        """What has arrived; to ask for the next batch is to acknowledge the last one."""
        return self._line.batches(limit, pause)
