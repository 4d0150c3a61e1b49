"""The broker for those who have none installed: amqtt inside this process, plain TCP on loopback.

It knows a node only by the name it gives, so any program on this computer can be any node; who calls itself the cloud
must know a secret. The cloud's own session goes past amqtt's (``embedded_session``). It does not deliver topics that
begin with ``$``: nodes use RainMaker's own option of plain topics. It keeps no retained message: RainMaker has none.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from importlib.metadata import version
from typing import Any

from amqtt.adapters import StreamWriterAdapter  # type: ignore[import-untyped]
from amqtt.broker import Broker  # type: ignore[import-untyped]
from amqtt.contexts import Action, BrokerConfig, ListenerConfig  # type: ignore[import-untyped]
from amqtt.errors import BrokerError  # type: ignore[import-untyped]
from amqtt.plugins.base import BaseTopicPlugin  # type: ignore[import-untyped]
from amqtt.session import Session  # type: ignore[import-untyped]

from py_esp_ota.adapters.certificates import CLOUD
from py_esp_ota.adapters.embedded_gate import PacketReader, not_authorised, read_connect, refusal, unavailable
from py_esp_ota.adapters.embedded_session import CloudSession
from py_esp_ota.adapters.limits import CONNECT_TIME, CONNECTION_LIMIT, PAYLOAD_LIMIT, SUBSCRIPTION_LIMIT
from py_esp_ota.adapters.lives import OnEnd, watch
from py_esp_ota.adapters.mosquitto import free_port
from py_esp_ota.adapters.mqtt import TcpMqtt
from py_esp_ota.adapters.presence import Presence
from py_esp_ota.adapters.topics import may_use
from py_esp_ota.errors import MqttError
from py_esp_ota.ports import MqttConnect, MqttSession

# What goes wrong reaches us as an exception; amqtt's own report of it is for those who listen.
logging.getLogger("amqtt").addHandler(logging.NullHandler())

_log = logging.getLogger(__name__)

_ATTEMPTS = 3  # another process may take the free port first
_STOP_TIME = 1.0  # seconds
_BUSY = 1000  # messages on their way, with which nodes are kept waiting until the cloud has taken some
_LOOK = 0.01  # seconds between two looks whether it has
_UNREAD = 1 << 20  # bytes a client may leave unread
_SECRET_BYTES = 32


class EmbeddedBroker:
    """A running amqtt. A publish without the right to it is acknowledged and dropped, as Mosquitto does."""

    basic_ingest = False

    broker: _TidyBroker

    def __init__(self, port: int) -> None:
        self.name = f"embedded (amqtt {version('amqtt')}, no TLS)"
        self.port = port
        self.secret = secrets.token_urlsafe(_SECRET_BYTES)  # the cloud's
        self.mqtt: MqttConnect = TcpMqtt("127.0.0.1", port, dollar_topics=False, password={CLOUD: self.secret}.get)
        self.presence = Presence()

    def session(self, client_id: str) -> AbstractAsyncContextManager[MqttSession]:
        """Take up the cloud's session while the context is entered."""
        return self.broker.cloud.connect(client_id, self.broker.publish)

    def on_presence(self, callback: Callable[[str, bool], None]) -> None:
        """Have ``callback(node_id, connected)`` called whenever a node comes or goes."""
        self.presence.callbacks.append(callback)


class _TidyBroker(Broker):  # type: ignore[misc]
    """amqtt behind a gate, and without the sockets that it forgets when a client goes while it is being greeted."""

    def __init__(self, config: BrokerConfig, secret: str) -> None:
        super().__init__(config)
        self.cloud = CloudSession()
        self._turn = asyncio.Lock()  # to publish
        self._secret = secret
        self._open: dict[asyncio.StreamWriter, asyncio.Task[Any] | None] = {}
        self._transports: dict[tuple[str, int], asyncio.WriteTransport] = {}  # by the client's address and port

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        """One connection, from its first byte until its socket is closed."""
        self._open[writer] = asyncio.current_task()
        peer = (writer.get_extra_info("peername") or ("", 0))[:2]
        self._transports[peer] = writer.transport
        writer.transport.set_write_buffer_limits(high=2 * _UNREAD)  # who reads nothing is cut before amqtt waits for it
        try:
            packets = PacketReader(reader)
            if await self._lets_in(packets, writer):
                await self._client_connected(listener_name, packets, StreamWriterAdapter(writer))
        except asyncio.CancelledError:
            pass  # the end of this task either way, and asyncio would report a cancelled one as a mistake
        except OSError as error:
            _log.info("an MQTT connection was lost: %s", error)
        finally:
            del self._open[writer]
            if self._transports.get(peer) is writer.transport:
                del self._transports[peer]
            writer.transport.abort()

    async def _lets_in(self, packets: PacketReader, writer: asyncio.StreamWriter) -> bool:
        """Whether a client may come in; who may not is told so, and the log too, in one line."""
        try:
            async with asyncio.timeout(CONNECT_TIME):
                connect = await read_connect(await packets.first())
        except (TimeoutError, EOFError, OSError):
            connect = None
        if connect is None:
            _log.info("ended an MQTT connection that did not begin with CONNECT")
            return False
        why, answer = refusal(connect, self._secret), not_authorised()
        if not why and connect.client_id != CLOUD and len(self._open) > CONNECTION_LIMIT:
            why, answer = f"there are {CONNECTION_LIMIT} connections already", unavailable()
        if why:
            _log.warning("refused an MQTT connection as %r: %s", connect.client_id[:64], why)
            writer.write(answer)
        if connect.client_id != CLOUD:  # its answers, for which the others wait, come behind what it publishes
            packets.room = self._room
        packets.expect(connect.keep_alive)
        return not why

    async def _room(self) -> None:
        """Wait until the cloud has taken some of what is on its way to it."""
        while self._broadcast_queue.qsize() + self._unanswered(CLOUD) + self.cloud.owed > _BUSY:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK)  # amqtt has no event for it

    async def publish(self, topic: str, payload: bytes) -> None:
        """Publish for the cloud, when there is room for it; first come, first served."""
        async with self._turn:
            while self._broadcast_queue.qsize() > _BUSY and not self.cloud.gone:  # noqa: ASYNC110
                await asyncio.sleep(_LOOK)
            await self.internal_message_broadcast(topic, payload)

    def _unanswered(self, client_id: str) -> int:
        session, _ = self._sessions.get(client_id, (None, None))
        return len(session.inflight_out) if session else 0

    def reads(self, session: Session) -> bool:
        """Whether a client takes what it is sent; one that left too much unread is cut."""
        transport = self._transports.get((session.remote_address, session.remote_port))
        if transport is None or transport.get_write_buffer_size() <= _UNREAD:
            return True
        _log.warning("cut the MQTT connection of %r: it does not read what it is sent", session.client_id)
        transport.abort()
        return False

    async def _broadcast_message(
        self, session: Session | None, topic: str | None, data: bytes | None, force_qos: int | None = None
    ) -> None:
        if len(data or b"") > PAYLOAD_LIMIT:
            _log.warning("dropped a message of %d bytes to %.80r: more than %d", len(data or b""), topic, PAYLOAD_LIMIT)
        else:
            self.cloud.put(topic or "", bytes(data or b""))
            await super()._broadcast_message(session, topic, data, force_qos)

    async def retain_message(self, *_message: object) -> None:
        """Keep nothing."""

    @property
    def broadcasts(self) -> asyncio.Task[None]:
        """The task without which amqtt takes messages and delivers none."""
        task: asyncio.Task[None] = self._broadcast_task
        return task

    def cut(self, session: Session) -> None:
        """Close a client's socket; the rest follows from that, however far its greeting has come."""
        if transport := self._transports.get((session.remote_address, session.remote_port)):
            transport.abort()

    async def shutdown(self) -> None:
        """End the broker and every socket."""
        self.cloud.end()
        # amqtt waits for ever for a client that it greets at this very moment, or that takes nothing.
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_TIME):
                await super().shutdown()
        for server in self._servers.values():
            server.instance.close()
        for writer in self._open:
            writer.transport.abort()
        if self._session_monitor_task:
            self._session_monitor_task.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_TIME):
                await self._shutdown_broadcast_loop()
        left = [task for task in self._open.values() if task]
        if left:
            _, stuck = await asyncio.wait(left, timeout=_STOP_TIME)
            for task in stuck:
                task.cancel()
            await asyncio.wait(left)
        await asyncio.sleep(0)  # the loop closes an aborted socket in its next round


class NodeRights(BaseTopicPlugin):  # type: ignore[misc]
    """What amqtt asks and tells us: who may use which topic, who came, who went. amqtt finds it by this name."""

    presence: Presence
    broker: _TidyBroker

    def __init__(self, context: Any) -> None:
        super().__init__(context)
        self._connected: dict[str, Session] = {}
        self._filters: dict[str, set[str]] = {}  # of the clients that are connected, since they came

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool:
        """Whether a client may publish, subscribe or receive."""
        client_id = (session.client_id if session else None) or ""
        if action is Action.RECEIVE:  # it has subscribed to it, and that was its right
            return session is not None and self.broker.reads(session)
        if client_id == CLOUD:
            return True
        return may_use(client_id, topic or "") and (action is not Action.SUBSCRIBE or self._has_room(client_id, topic))

    def _has_room(self, client_id: str, topic_filter: str | None) -> bool:
        """Whether a client may have one more filter: amqtt walks through all of them for each message."""
        filters = self._filters.setdefault(client_id, set())
        if len(filters) < SUBSCRIPTION_LIMIT or topic_filter in filters:
            filters.add(topic_filter or "")
            return True
        return False

    async def on_broker_client_connected(self, *, client_id: str, client_session: Session) -> None:
        """A client came. amqtt lets two connections share a clean session's id; the first must go."""
        first = self._connected.get(client_id)
        self._connected[client_id] = client_session
        self._filters.pop(client_id, None)
        if first:
            self.presence.report(client_id, connected=False)
            self.broker.cut(first)
        self.presence.report(client_id, connected=True)

    async def on_broker_client_disconnected(self, *, client_id: str, client_session: Session) -> None:
        """A client went; one that was replaced went before."""
        if self._connected.get(client_id) is client_session:
            del self._connected[client_id]
            self._filters.pop(client_id, None)
            self.presence.report(client_id, connected=False)


@asynccontextmanager
async def open_embedded(port: int = 0, *, on_end: OnEnd | None = None) -> AsyncIterator[EmbeddedBroker]:
    """Run amqtt on 127.0.0.1 while the context is entered; port 0 takes a free one.

    ``on_end`` is called with one sentence when it ends by itself. Raises ``MqttError`` when it does not start.
    """
    embedded, broker = await _start(port, 1 if port else _ATTEMPTS)
    unwatch = watch(broker.broadcasts, "the embedded broker", on_end)
    try:
        yield embedded
    finally:
        unwatch()
        embedded.presence.callbacks.clear()
        await broker.shutdown()


async def _start(port: int, attempts: int) -> tuple[EmbeddedBroker, _TidyBroker]:
    embedded = EmbeddedBroker(port or free_port())
    rights = f"{NodeRights.__module__}.{NodeRights.__qualname__}"
    config = BrokerConfig(
        listeners={"default": ListenerConfig(bind=f"127.0.0.1:{embedded.port}")},
        plugins={"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}, rights: {}},
    )
    broker = _TidyBroker(config, embedded.secret)
    plugin = broker.plugins_manager.get_plugin(NodeRights.__name__)
    if not isinstance(plugin, NodeRights):
        raise TypeError(f"amqtt did not load {rights}")
    plugin.presence, plugin.broker = embedded.presence, broker
    embedded.broker = broker
    try:
        await broker.start()
    except BrokerError as error:
        if attempts > 1:
            return await _start(port, attempts - 1)
        raise MqttError(f"the embedded broker did not start: {error}") from error
    return embedded, broker
