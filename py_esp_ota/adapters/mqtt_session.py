"""A session over real sockets: QoS 1, acknowledged by hand, kept by the broker while nobody is connected."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from paho.mqtt.client import Client, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion

from py_esp_ota.adapters.mqtt_link import Link
from py_esp_ota.adapters.topics import check_filter, check_topic
from py_esp_ota.errors import MqttError
from py_esp_ota.ports import Message, MqttSession

_IN_FLIGHT = 20_000  # publishes that wait for their PUBACK; MQTT has numbers for 65,535
_INBOX = 10_000  # messages that wait here; then the socket is not read, and the broker keeps the rest
_INBOX_BYTES = 32 << 20
_LOOK = 1.0  # seconds between two looks at the keep-alive and at answers that do not come


@asynccontextmanager
async def open_session(
    host: str,
    port: int,
    client_id: str,
    *,
    tls: Callable[[str], ssl.SSLContext] | None,
    password: str | None,
    patience: float,
    keep_alive: int,
    dollar_topics: bool,
) -> AsyncIterator[MqttSession]:
    """Connect while the context is entered. Raises ``MqttError`` when the broker does not answer.

    Args:
        host: the broker's address.
        port: the broker's port.
        client_id: whose session it is.
        tls: gives the TLS context for a client id; no TLS when ``None``.
        password: goes with the client id as the user name; none when ``None``.
        patience: seconds for connecting, and without a word of a broker that owes an answer.
        keep_alive: seconds of silence before the other side is asked whether it is there.
        dollar_topics: whether the broker delivers topics that begin with ``$``; else publishing to them is refused.
    """
    link = _Link(patience)
    try:
        try:
            context = tls(client_id) if tls else None
            await link.connect(_client(client_id, context, password, patience), host, port, keep_alive)
        except (OSError, MqttError) as error:
            raise MqttError(f"no connection to {host}:{port}: {error}") from error
        yield _Session(link, dollar_topics=dollar_topics)
    finally:
        await link.close()


def _client(client_id: str, tls: ssl.SSLContext | None, password: str | None, patience: float) -> Client:
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id,
        clean_session=False,
        protocol=MQTTv311,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    client.connect_timeout = patience
    if password is not None:
        client.username_pw_set(client_id, password)
    if tls is not None:
        client.tls_set_context(tls)
    return client


class _Link(Link):
    """The connection of a session: what has come waits here until it is acknowledged."""

    def __init__(self, patience: float) -> None:
        super().__init__(look=_LOOK)
        self.inbox: deque[tuple[int, Message]] = deque()  # packet numbers, 0 for what needs no acknowledgement
        self.news = asyncio.Event()  # something arrived, or the connection is lost
        self._room = asyncio.Semaphore(_IN_FLIGHT)
        self._patience = patience
        self._unacknowledged: set[int] = set()
        self._bytes = 0  # in the inbox

    def lose(self, why: str) -> None:
        """The connection is gone; only the first reason counts."""
        super().lose(why)
        self.news.set()

    async def publish(self, topic: str, payload: bytes) -> None:
        """Publish, when not too many do already; returns at the PUBACK. Raises ``MqttError``."""
        async with self._room:
            await super().publish(topic, payload)

    def take(self, limit: int) -> list[tuple[int, Message]]:
        """What has arrived, at most ``limit``."""
        taken = [self.inbox.popleft() for _ in range(min(limit, len(self.inbox)))]
        self._bytes -= sum(len(message.payload) for _, message in taken)
        if not self._reads and not self._is_full():
            self._resume()
        return taken

    def acknowledge(self, taken: Sequence[tuple[int, Message]]) -> None:
        """Tell the broker that these are done."""
        client = self._asked()
        for number, _ in taken:
            if number:
                self._unacknowledged.discard(number)
                client.ack(number, 1)

    def _look(self) -> None:
        """Keep the connection alive, and give it up when the broker owes an answer for too long."""
        if self._answers and self._reads and self._loop.time() - self._heard > self._patience:
            self.lose("timed out")
        else:
            super()._look()

    def _is_full(self) -> bool:
        return len(self.inbox) >= _INBOX or self._bytes >= _INBOX_BYTES

    def _receive(self, number: int, message: Message) -> None:
        if number in self._unacknowledged:  # sent again though the connection is the same
            return
        if number:
            self._unacknowledged.add(number)
        self.inbox.append((number, message))
        self._bytes += len(message.payload)
        self.news.set()
        if self._is_full():
            self._pause()


class _Session:
    """One connection; ``MqttSession`` as its owner sees it."""

    def __init__(self, link: _Link, *, dollar_topics: bool) -> None:
        self._link = link
        self._dollar_topics = dollar_topics

    async def publish(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 1, not retained; returns at the PUBACK."""
        check_topic(topic)
        if topic.startswith("$") and not self._dollar_topics:
            raise MqttError(f"this broker does not deliver {topic}: use plain topics (basic ingest off)")
        await self._link.publish(topic, payload)

    async def subscribe(self, topic_filter: str) -> None:
        """Subscribe at QoS 1; returns at the SUBACK."""
        check_filter(topic_filter)
        await self._link.subscribe(topic_filter)

    def batches(self, limit: int, pause: float = 0.0) -> AsyncIterator[Sequence[Message]]:
        """What has arrived; to ask for the next batch is to acknowledge the last one."""
        return _Batches(self._link, limit, pause)


# An iterator, not a generator: a generator that is abandoned half-way would need closing.
class _Batches:
    def __init__(self, link: _Link, limit: int, pause: float) -> None:
        self._link = link
        self._limit = limit
        self._pause = pause
        self._taken: list[tuple[int, Message]] = []

    def __aiter__(self) -> _Batches:
        return self

    async def __anext__(self) -> Sequence[Message]:
        link = self._link
        link.acknowledge(self._taken)
        self._taken = []
        while not link.inbox:
            link.news.clear()
            await link.news.wait()
            await asyncio.sleep(self._pause)
            link.check()
        self._taken = link.take(self._limit)
        return [message for _, message in self._taken]
