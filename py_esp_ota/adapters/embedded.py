"""The broker for those who have none installed: amqtt inside this process, plain TCP on loopback.

It knows a client only by the name it gives, so any program on this computer can be any node. It does not deliver topics
that begin with ``$``: nodes use RainMaker's own option of plain topics.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from typing import Any

from amqtt.broker import Broker  # type: ignore[import-untyped]
from amqtt.contexts import Action, BrokerConfig, ListenerConfig  # type: ignore[import-untyped]
from amqtt.errors import BrokerError  # type: ignore[import-untyped]
from amqtt.plugins.base import BaseTopicPlugin  # type: ignore[import-untyped]
from amqtt.session import Session  # type: ignore[import-untyped]

from py_esp_ota.adapters.certificates import CLOUD
from py_esp_ota.adapters.mosquitto import free_port
from py_esp_ota.adapters.mqtt import TcpMqtt
from py_esp_ota.adapters.presence import Presence
from py_esp_ota.adapters.topics import may_use
from py_esp_ota.errors import MqttError
from py_esp_ota.ports import MqttConnect

# What goes wrong reaches us as an exception; amqtt's own report of it is for those who listen.
logging.getLogger("amqtt").addHandler(logging.NullHandler())

_ATTEMPTS = 3  # another process may take the free port first
_STOP_TIME = 1.0  # seconds


class EmbeddedBroker:
    """A running amqtt. A publish without the right to it is acknowledged and dropped, as Mosquitto does."""

    basic_ingest = False

    def __init__(self, port: int) -> None:
        self.name = f"embedded (amqtt {version('amqtt')}, no TLS)"
        self.port = port
        self.mqtt: MqttConnect = TcpMqtt("127.0.0.1", port, dollar_topics=False)
        self.presence = Presence()

    def on_presence(self, callback: Callable[[str, bool], None]) -> None:
        """Have ``callback(node_id, connected)`` called whenever a node comes or goes."""
        self.presence.callbacks.append(callback)


class _TidyBroker(Broker):  # type: ignore[misc]
    """amqtt, which forgets a socket now and then: when a client goes while it is being greeted, or at the very end."""

    def __init__(self, config: BrokerConfig) -> None:
        super().__init__(config)
        self._open: dict[asyncio.StreamWriter, asyncio.Task[Any] | None] = {}

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        """One connection, from its first byte until its socket is closed."""
        self._open[writer] = asyncio.current_task()
        try:
            await super().stream_connected(reader, writer, listener_name)
        except asyncio.CancelledError:
            pass  # the end of this task either way, and asyncio would report a cancelled one as a mistake
        finally:
            del self._open[writer]
            writer.transport.abort()

    def cut(self, session: Session) -> None:
        """Close a client's socket; the rest follows from that, however far its greeting has come."""
        for writer in self._open:
            if writer.get_extra_info("peername")[:2] == (session.remote_address, session.remote_port):
                writer.transport.abort()

    async def shutdown(self) -> None:
        """End the broker and every socket."""
        # amqtt waits for ever for a client that it greets at this very moment.
        with suppress(TimeoutError):
            async with asyncio.timeout(_STOP_TIME):
                await super().shutdown()
        for writer in self._open:
            writer.transport.abort()
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

    async def topic_filtering(
        self, *, session: Session | None = None, topic: str | None = None, action: Action | None = None
    ) -> bool:
        """Whether a client may publish, subscribe or receive."""
        client_id = (session.client_id if session else None) or ""
        # What a client receives it has subscribed to, and that was its right.
        return action is Action.RECEIVE or client_id == CLOUD or may_use(client_id, topic or "")

    async def on_broker_client_connected(self, *, client_id: str, client_session: Session) -> None:
        """A client came. amqtt lets two connections share a clean session's id; the first must go."""
        first = self._connected.get(client_id)
        self._connected[client_id] = client_session
        if first:
            self.presence.report(client_id, connected=False)
            self.broker.cut(first)
        self.presence.report(client_id, connected=True)

    async def on_broker_client_disconnected(self, *, client_id: str, client_session: Session) -> None:
        """A client went; one that was replaced went before."""
        if self._connected.get(client_id) is client_session:
            del self._connected[client_id]
            self.presence.report(client_id, connected=False)


@asynccontextmanager
async def open_embedded(port: int = 0) -> AsyncIterator[EmbeddedBroker]:
    """Run amqtt on 127.0.0.1 while the context is entered; port 0 takes a free one.

    Raises ``MqttError`` when it does not start.
    """
    embedded, broker = await _start(port, 1 if port else _ATTEMPTS)
    try:
        yield embedded
    finally:
        embedded.presence.callbacks.clear()
        await broker.shutdown()


async def _start(port: int, attempts: int) -> tuple[EmbeddedBroker, Broker]:
    embedded = EmbeddedBroker(port or free_port())
    rights = f"{NodeRights.__module__}.{NodeRights.__qualname__}"
    config = BrokerConfig(
        listeners={"default": ListenerConfig(bind=f"127.0.0.1:{embedded.port}")},
        plugins={"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}, rights: {}},
    )
    broker = _TidyBroker(config)
    plugin = broker.plugins_manager.get_plugin(NodeRights.__name__)
    if not isinstance(plugin, NodeRights):
        raise TypeError(f"amqtt did not load {rights}")
    plugin.presence, plugin.broker = embedded.presence, broker
    try:
        await broker.start()
    except BrokerError as error:
        if attempts > 1:
            return await _start(port, attempts - 1)
        raise MqttError(f"the embedded broker did not start: {error}") from error
    return embedded, broker
