"""An MQTT broker without sockets: QoS 1, clean sessions, one connection per client id, RainMaker's topic rights."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from py_esp_ota.adapters.inbox import Inbox
from py_esp_ota.adapters.limits import CONNECTION_LIMIT, PAYLOAD_LIMIT
from py_esp_ota.adapters.topics import check_client_id, check_filter, check_topic, matches, may_use
from py_esp_ota.errors import MqttError
from py_esp_ota.ports import Message, Mqtt, MqttConnect


class MemoryBroker:
    """An MQTT broker inside this process; calling it connects, so it is a ``MqttConnect``.

    Messages keep their order for each subscriber. A client that is not connected misses what is published meanwhile,
    and a second connection with the same client id ends the first. A node may use only topics that carry its id: a
    refused subscription raises ``MqttError``, a refused publish ends the connection, as AWS IoT does, and so does one
    that is too large.

    Args:
        admin: client ids that may use every topic. Their presence is not reported.
    """

    name = "in memory"
    basic_ingest = True

    def __init__(self, *, admin: Collection[str] = ("cloud",)) -> None:
        self._admin = frozenset(admin)
        self._running = True
        self._clients: dict[str, _Client] = {}
        # Ten thousand nodes subscribe to plain topics, a handful of filters have wildcards.
        self._exact: dict[str, dict[_Client, None]] = {}
        self._wild: dict[tuple[_Client, str], None] = {}
        self._presence: list[Callable[[str, bool], None]] = []

    @property
    def mqtt(self) -> MqttConnect:
        """The door for nodes and cloud: the broker itself."""
        return self

    def __call__(self, client_id: str) -> AbstractAsyncContextManager[Mqtt]:
        """Connect as ``client_id`` while the context is entered."""
        return self._session(client_id)

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
    async def _session(self, client_id: str) -> AsyncIterator[Mqtt]:
        check_client_id(client_id)
        await asyncio.sleep(0)
        if not self._running:
            raise MqttError("the broker is unreachable")
        if len(self._clients) >= CONNECTION_LIMIT and client_id not in self._admin:
            raise MqttError(f"the broker has {len(self._clients)} connections already")
        if client_id in self._clients:
            self._drop(self._clients[client_id], "another connection has the same client id")
        client = _Client(self, client_id)
        self._clients[client_id] = client
        self._report(client_id, connected=True)
        try:
            yield client
        finally:
            self._drop(client, "disconnected")

    def _drop(self, client: _Client, why: str) -> None:
        if client.inbox.lost:
            return
        client.inbox.lose(why)
        del self._clients[client.client_id]
        for topic_filter in client.filters:
            if (client, topic_filter) in self._wild:
                del self._wild[client, topic_filter]
            else:
                self._exact[topic_filter].pop(client)
                if not self._exact[topic_filter]:
                    del self._exact[topic_filter]
        self._report(client.client_id, connected=False)

    def _report(self, client_id: str, *, connected: bool) -> None:
        if client_id not in self._admin:
            for callback in self._presence:
                callback(client_id, connected)

    def _may_use(self, client: _Client, topic: str) -> bool:
        return client.client_id in self._admin or may_use(client.client_id, topic)

    def _subscribe(self, client: _Client, topic_filter: str) -> None:
        if not self._may_use(client, topic_filter):
            raise MqttError(f"{client.client_id} may not subscribe to {topic_filter}")
        if topic_filter in client.filters:
            return
        client.filters.append(topic_filter)
        if "+" in topic_filter or "#" in topic_filter:
            self._wild[client, topic_filter] = None
        else:
            self._exact.setdefault(topic_filter, {})[client] = None

    def _publish(self, client: _Client, message: Message) -> None:
        if not self._may_use(client, message.topic):
            self._drop(client, f"{client.client_id} may not publish to {message.topic}")
            client.inbox.check()
        if len(message.payload) > PAYLOAD_LIMIT:
            self._drop(client, f"{len(message.payload)} bytes in one message are more than {PAYLOAD_LIMIT}")
            client.inbox.check()
        for receiver in dict.fromkeys(self._receivers(message.topic)):
            receiver.inbox.put(message)

    def _receivers(self, topic: str) -> Iterator[_Client]:
        yield from self._exact.get(topic, ())
        for client, topic_filter in self._wild:
            if matches(topic_filter, topic):
                yield client


class _Client:
    """One connection; ``Mqtt`` as its owner sees it."""

    def __init__(self, broker: MemoryBroker, client_id: str) -> None:
        self.client_id = client_id
        self.filters: list[str] = []
        self.inbox = Inbox()
        self._broker = broker

    async def publish(self, topic: str, payload: bytes) -> None:
        """Publish; the receivers have it in their inboxes on return."""
        check_topic(topic)
        self.inbox.check()
        self._broker._publish(self, Message(topic, bytes(payload)))  # noqa: SLF001 - the other half of one thing
        await asyncio.sleep(0)

    async def subscribe(self, topic_filter: str) -> None:
        """Subscribe; every message published from now on comes."""
        check_filter(topic_filter)
        self.inbox.check()
        self._broker._subscribe(self, topic_filter)  # noqa: SLF001
        await asyncio.sleep(0)

    def messages(self) -> AsyncIterator[Message]:
        """What was received; what came before the connection was lost is still delivered."""
        return self.inbox
