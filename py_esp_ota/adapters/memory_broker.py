"""An MQTT broker without sockets: QoS 1, one connection per client id, sessions, RainMaker's topic rights."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from py_esp_ota.adapters.backlog import Arrivals, Backlog
from py_esp_ota.adapters.inbox import Inbox
from py_esp_ota.adapters.limits import CONNECTION_LIMIT, PAYLOAD_LIMIT
from py_esp_ota.adapters.subscriptions import Subscriptions
from py_esp_ota.adapters.topics import check_client_id, check_filter, check_topic, may_use
from py_esp_ota.errors import MqttError
from py_esp_ota.ports import Message, Mqtt, MqttConnect, MqttSession

_EACH = 10
"""Messages of each client that may wait for a session."""


@dataclass(eq=False, slots=True)
class _Subscriber:
    """Who has subscribed: a connection, or a session that outlives its connections."""

    client_id: str
    inbox: Inbox | Backlog
    filters: list[str] = field(default_factory=list)


class MemoryBroker:
    """An MQTT broker inside this process; calling it connects, so it is a ``MqttConnect``.

    Its method ``session`` is ``MqttSessionConnect``. Messages keep their order for each subscriber. A client that is
    not connected misses what is published meanwhile, but a session does not; a clean connection ends its client's
    session. A second connection with the same client id ends the first. A node may use only topics that carry its id: a
    refused subscription raises ``MqttError``, a refused publish ends the connection, as AWS IoT does, and so does one
    that is too large.

    Args:
        admin: client ids that may use every topic. Their presence is not reported.
        keep_alive: seconds that clients promise not to be silent for. One that leaves by an exception without power for
            a farewell is missed after half as long again, or when it comes back; by default at once.
        connections: clients that may be there at a time. A session has room for ten messages of each.
    """

    name = "in memory"
    basic_ingest = True

    def __init__(
        self,
        *,
        admin: Collection[str] = ("cloud",),
        keep_alive: float | None = None,
        connections: int = CONNECTION_LIMIT,
    ) -> None:
        self._admin = frozenset(admin)
        self._keep_alive = keep_alive
        self._limit = connections
        self._running = True
        self._clients: dict[str, _Client] = {}
        self._sessions: dict[str, tuple[_Subscriber, Backlog]] = {}
        self._subscriptions: Subscriptions[_Subscriber] = Subscriptions()
        self._presence: list[Callable[[str, bool], None]] = []

    @property
    def mqtt(self) -> MqttConnect:
        """The door for nodes: the broker itself."""
        return self

    def __call__(self, client_id: str, will: Message | None = None) -> AbstractAsyncContextManager[Mqtt]:
        """Connect as ``client_id`` while the context is entered."""
        return _CleanClient(self, client_id, will)

    def session(self, client_id: str) -> AbstractAsyncContextManager[MqttSession]:
        """Take up the session of ``client_id`` while the context is entered."""
        return self._kept_session(client_id)

    def on_presence(self, callback: Callable[[str, bool], None]) -> None:
        """Have ``callback(node_id, connected)`` called whenever a node comes or goes."""
        self._presence.append(callback)

    @property
    def connected(self) -> tuple[str, ...]:
        """The client ids connected now, in the order of connecting."""
        return tuple(self._clients)

    def kick(self, client_id: str) -> bool:
        """Cut a client's connection; whether it had one."""
        client = self._clients.get(client_id)
        if client:
            self._drop(client, "the broker cut the connection")
        return client is not None

    def stop(self) -> None:
        """Be unreachable: every connection is lost and nobody can connect."""
        self._running = False
        for client in list(self._clients.values()):
            self._drop(client, "the broker is gone")

    def start(self) -> None:
        """Be reachable again."""
        self._running = True

    @asynccontextmanager
    async def _kept_session(self, client_id: str) -> AsyncIterator[MqttSession]:
        await self._make_way(client_id)
        if client_id not in self._sessions:
            backlog = Backlog(_EACH * self._limit)
            self._sessions[client_id] = _Subscriber(client_id, backlog), backlog
        subscriber, backlog = self._sessions[client_id]
        client = _SessionClient(self, subscriber, backlog.open())
        self._came(client)
        raised: type[BaseException] | None = None
        try:
            yield client
        except BaseException as error:
            raised = type(error)
            raise
        finally:
            self._end(client, raised)

    async def _make_way(self, client_id: str) -> None:
        """Let a client come in, and end the connection that it has."""
        check_client_id(client_id)
        await asyncio.sleep(0)
        if not self._running:
            raise MqttError("the broker is unreachable")
        if len(self._clients) >= self._limit and client_id not in self._admin:
            raise MqttError(f"the broker has {len(self._clients)} connections already")
        if client_id in self._clients:
            self._drop(self._clients[client_id], "another connection has the same client id")

    async def _begin(self, client: _CleanClient) -> None:
        """A client connects; a session that it has ends."""
        client_id = client.subscriber.client_id
        await self._make_way(client_id)
        if client_id in self._sessions:
            self._forget(self._sessions.pop(client_id)[0])
        self._came(client)

    def _came(self, client: _Client) -> None:
        client.since = client.heard = asyncio.get_running_loop().time()
        self._clients[client.subscriber.client_id] = client
        self._report(client.subscriber.client_id, connected=True)

    def _end(self, client: _Client, raised: type[BaseException] | None) -> None:
        """A client leaves, with a farewell or by an exception; ``MqttError`` says that the connection was closed."""
        if raised is None:
            client.will = None
        if self._keep_alive is None or raised is None or issubclass(raised, MqttError):
            self._drop(client, "disconnected")
        else:
            self._miss(client)

    def _miss(self, client: _Client) -> None:
        """Drop a silent client when its keep-alive has passed; every half of it it asked whether we are there."""
        keep_alive, loop = self._keep_alive or 0.0, asyncio.get_running_loop()
        pinged = client.since + (loop.time() - client.since) // (keep_alive / 2) * (keep_alive / 2)
        loop.call_at(max(client.heard, pinged) + 1.5 * keep_alive, self._drop, client, "it said nothing for too long")

    def _drop(self, client: _Client, why: str) -> None:
        if client.line.lost:
            return
        client.line.lose(why)
        del self._clients[client.subscriber.client_id]
        if isinstance(client, _CleanClient):
            self._forget(client.subscriber)
        self._report(client.subscriber.client_id, connected=False)
        if client.will is not None and self._may_use(client.subscriber.client_id, client.will.topic):
            self._deliver(client.will)

    def _forget(self, subscriber: _Subscriber) -> None:
        for topic_filter in subscriber.filters:
            self._subscriptions.remove(topic_filter, subscriber)

    def _report(self, client_id: str, *, connected: bool) -> None:
        if client_id not in self._admin:
            for callback in self._presence:
                callback(client_id, connected)

    def _may_use(self, client_id: str, topic: str) -> bool:
        return client_id in self._admin or may_use(client_id, topic)

    def _subscribe(self, subscriber: _Subscriber, topic_filter: str) -> None:
        if not self._may_use(subscriber.client_id, topic_filter):
            raise MqttError(f"{subscriber.client_id} may not subscribe to {topic_filter}")
        if topic_filter not in subscriber.filters:
            subscriber.filters.append(topic_filter)
            self._subscriptions.add(topic_filter, subscriber)

    def _unsubscribe(self, subscriber: _Subscriber, topic_filter: str) -> None:
        if topic_filter in subscriber.filters:
            subscriber.filters.remove(topic_filter)
            self._subscriptions.remove(topic_filter, subscriber)

    def _publish(self, client: _Client, message: Message) -> None:
        client_id = client.subscriber.client_id
        if not self._may_use(client_id, message.topic):
            self._drop(client, f"{client_id} may not publish to {message.topic}")
        elif len(message.payload) > PAYLOAD_LIMIT:
            self._drop(client, f"{len(message.payload)} bytes in one message are more than {PAYLOAD_LIMIT}")
        client.line.check()
        self._deliver(message)

    def _deliver(self, message: Message) -> None:
        for receiver in self._subscriptions.receivers(message.topic):
            receiver.inbox.put(message)


class _Client:
    """One connection, as its owner sees it: what both kinds have."""

    __slots__ = ("_broker", "heard", "line", "since", "subscriber", "will")

    def __init__(
        self, broker: MemoryBroker, subscriber: _Subscriber, line: Inbox | Arrivals, will: Message | None = None
    ) -> None:
        self.subscriber = subscriber
        self.line = line
        self.will = will
        self.since = self.heard = 0.0  # when the first and the last packet came
        self._broker = broker

    async def publish(self, topic: str, payload: bytes, *, dup: bool = False) -> None:  # noqa: ARG002
        """Publish; the receivers have it in their inboxes on return. A broker passes on what it is sent again, too."""
        check_topic(topic)
        self.line.check()
        self.heard = asyncio.get_running_loop().time()
        self._broker._publish(self, Message(topic, bytes(payload)))  # noqa: SLF001 - the other half of one thing
        await asyncio.sleep(0)

    async def subscribe(self, topic_filter: str) -> None:
        """Subscribe; every message published from now on comes."""
        check_filter(topic_filter)
        self.line.check()
        self._broker._subscribe(self.subscriber, topic_filter)  # noqa: SLF001
        await asyncio.sleep(0)

    async def unsubscribe(self, topic_filter: str) -> None:
        """Unsubscribe; nothing published from now on comes."""
        check_filter(topic_filter)
        self.line.check()
        self._broker._unsubscribe(self.subscriber, topic_filter)  # noqa: SLF001
        await asyncio.sleep(0)


class _CleanClient(_Client):
    """``Mqtt``: its subscriptions end with it. It is connected while the context is entered, which is once."""

    __slots__ = ("_inbox",)

    def __init__(self, broker: MemoryBroker, client_id: str, will: Message | None) -> None:
        self._inbox = Inbox()
        super().__init__(broker, _Subscriber(client_id, self._inbox), self._inbox, will)

    async def __aenter__(self) -> Self:
        await self._broker._begin(self)  # noqa: SLF001
        return self

    async def __aexit__(
        self, raised: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._broker._end(self, raised)  # noqa: SLF001

    def messages(self) -> AsyncIterator[Message]:
        """What was received; what came before the connection was lost is still delivered."""
        return self._inbox


class _SessionClient(_Client):
    """``MqttSession``: its subscriptions and what it did not acknowledge stay."""

    __slots__ = ("_arrivals",)

    def __init__(self, broker: MemoryBroker, subscriber: _Subscriber, arrivals: Arrivals) -> None:
        self._arrivals = arrivals
        super().__init__(broker, subscriber, arrivals)

    def batches(self, limit: int, pause: float = 0.0) -> AsyncIterator[Sequence[Message]]:
        """What has arrived; to ask for the next batch is to acknowledge the last one."""
        return self._arrivals.batches(limit, pause)
