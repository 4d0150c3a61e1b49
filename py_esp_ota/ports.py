"""The doors: one narrow interface per outside thing.

Rules and agents hold these and nothing wider. ``adapters`` implements each twice, in memory (virtual time) and over
real sockets; a fault is a wrapper around a door.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol, TypeAlias


class File(Protocol):
    """A file that reads itself, such as a ``pathlib.Path``."""

    def read_bytes(self) -> bytes:
        """All of it. Raises ``OSError``."""


#: Bytes as callers hold them.
Bytes: TypeAlias = bytes | bytearray | memoryview | File


class Clock(Protocol):
    """Wall-clock time. Waiting is ``asyncio.sleep``; this is only what ``time(NULL)`` would say."""

    def now(self) -> float:
        """Seconds since 1970. A device whose clock was never synchronised reads a small number."""


@dataclass(frozen=True, slots=True)
class Message:
    """One MQTT message."""

    topic: str
    payload: bytes


class Mqtt(Protocol):
    """One connected MQTT client. Leaving its context disconnects it."""

    async def publish(self, topic: str, payload: bytes, *, dup: bool = False) -> None:
        """Publish at QoS 1, not retained; returns at the PUBACK. Many may be on their way. Raises ``MqttError``.

        With ``dup`` it is sent again, because no PUBACK came.
        """

    async def subscribe(self, topic_filter: str) -> None:
        """Subscribe at QoS 1; returns at the SUBACK. Raises ``MqttError``."""

    async def unsubscribe(self, topic_filter: str) -> None:
        """Unsubscribe; returns at the UNSUBACK. Raises ``MqttError``."""

    def messages(self) -> AsyncIterator[Message]:
        """Every message received, in order; raises ``MqttError`` when the connection is lost."""


class MqttConnect(Protocol):
    """Opens MQTT connections. One per identity: the client id is the node id, the session is clean."""

    def __call__(self, client_id: str, will: Message | None = None) -> AbstractAsyncContextManager[Mqtt]:
        """Connect while the context is entered; raises ``MqttError`` when the broker does not answer.

        The broker publishes ``will`` for a client that is gone without a farewell: one that was lost, or that left the
        context by an exception.
        """


class MqttSession(Protocol):
    """One connection of a session that outlives it: subscriptions stay, and nothing is lost while nobody is connected.

    Every message comes at least once: what was not acknowledged comes again with the next connection, in the same
    order, before what is new.
    """

    async def publish(self, topic: str, payload: bytes) -> None:
        """Publish at QoS 1, not retained; returns at the PUBACK. Many may be on their way. Raises ``MqttError``."""

    async def subscribe(self, topic_filter: str) -> None:
        """Subscribe at QoS 1; returns at the SUBACK. Raises ``MqttError``."""

    def batches(self, limit: int, pause: float = 0.0) -> AsyncIterator[Sequence[Message]]:
        """All that has arrived, in order, 1 to ``limit`` messages at a time; raises ``MqttError`` once it is lost.

        To ask for the next batch is to acknowledge the last one; who stops asking has not acknowledged it. When
        nothing has arrived yet, what comes within ``pause`` seconds of the first message belongs to its batch.
        """


class MqttSessionConnect(Protocol):
    """Opens the connections of sessions: one session per client id, one connection of it at a time."""

    def __call__(self, client_id: str) -> AbstractAsyncContextManager[MqttSession]:
        """Connect while the context is entered; raises ``MqttError`` when the broker does not answer."""


class Response(Protocol):
    """One HTTP response whose body is still on its way."""

    status: int
    headers: Mapping[str, str]  # names in lower case

    async def read(self, limit: int) -> bytes:
        """At most ``limit`` bytes of the body, exactly ``limit`` unless it ends; ``b""`` at a clean end.

        Raises ``FetchError``: ``closed`` when the connection ends early, ``timeout`` when nothing comes in time.
        """


#: The header of a request that says its method, as in HTTP/2: who does not care passes it on, adapters take it out.
METHOD = ":method"


class Fetch(Protocol):
    """The HTTP client: one GET, or what ``METHOD`` in the headers says; no redirect followed, no body interpreted."""

    def __call__(self, url: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[Response]:
        """Send the request; raises ``FetchError`` (``connect``, ``timeout``) while entering."""


class Post(Protocol):
    """Sends somebody a document; no redirect followed, of the answer only the status."""

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> int:
        """The HTTP status. Raises ``FetchError`` (``connect``, ``timeout``) when nobody takes it in time."""


class U16(int):
    """A number that is kept as u16. Raises ``OverflowError`` where it is stored when it does not fit."""


NvsValue = bytes | str | int | float


class Nvs(Protocol):
    """Non-volatile storage as the agent sees it: typed values under (namespace, key), kept over resets."""

    def get(self, namespace: str, key: str) -> NvsValue | None:
        """The value, or ``None`` when there is none."""

    def set(self, namespace: str, key: str, value: NvsValue) -> None:
        """Store a value; it is durable on return."""

    def erase(self, namespace: str, key: str) -> None:
        """Forget a value; nothing happens when there is none."""
