"""The node's MQTT client: one connection for ever, a budget, an outbox, and subscriptions that outlive connections.

It stands for CM ``src/esp-mqtt/esp-mqtt-glue.c`` over esp-mqtt with its default options.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn

from py_esp_ota.errors import MqttError
from py_esp_ota.idf.log import Log
from py_esp_ota.ports import Message, Mqtt, MqttConnect
from py_esp_ota.rainmaker.budget import Budget
from py_esp_ota.rainmaker.messages import TOPIC_LIMIT, topic
from py_esp_ota.sdkconfig import Sdkconfig

TAG = "esp_mqtt_glue"
RECONNECT_TIMEOUT_S = 10.0  # MQTT_RECON_DEFAULT_MS
OUTBOX_EXPIRED_TIMEOUT_S = 30.0  # OUTBOX_EXPIRED_TIMEOUT_MS

Handler = Callable[[bytes], None]


@dataclass(slots=True, eq=False)
class Outgoing:
    """A message in the outbox; ``acked`` is set by its PUBACK."""

    topic: str
    payload: bytes
    expires: float
    acked: asyncio.Event = field(default_factory=asyncio.Event)


class MqttClient:
    """``esp_rmaker_mqtt_*`` for one identity: the client id is the node id, the session is clean."""

    def __init__(self, node_id: str, connect: MqttConnect, config: Sdkconfig, log: Log) -> None:
        self._node_id = node_id
        self._connect = connect
        self._basic_ingest = config.esp_rmaker_mqtt_use_basic_ingest_topics
        self._log = log
        self.budget = Budget(config)
        self._handlers: dict[str, Handler] = {}
        self._outbox: deque[Outgoing] = deque()
        self._filled = asyncio.Event()
        self._link: Mqtt | None = None
        self.on_disconnected: list[Callable[[], None]] = []  # handlers of RMAKER_MQTT_EVENT_DISCONNECTED

    @property
    def connected(self) -> bool:
        """``esp_rmaker_is_mqtt_connected``."""
        return self._link is not None

    def publish(self, suffix: str, payload: bytes) -> Outgoing | None:
        """``esp_rmaker_mqtt_publish`` at QoS 1; ``None`` when the budget is used up: the message is lost.

        Without a connection the message waits in the outbox, at most half a minute.
        """
        return self.publish_topic(topic(self._node_id, suffix, basic_ingest=self._basic_ingest)[:TOPIC_LIMIT], payload)

    def publish_topic(self, name: str, payload: bytes) -> Outgoing | None:
        """The same on a topic that is given whole."""
        now = asyncio.get_running_loop().time()
        if not self.budget.take(now):
            self._log.error(TAG, "Out of MQTT Budget. Dropping publish message.")
            return None
        message = Outgoing(name, payload, now + OUTBOX_EXPIRED_TIMEOUT_S)
        self._outbox.append(message)
        self._filled.set()
        return message

    async def subscribe(self, suffix: str, handler: Handler) -> None:
        """``esp_rmaker_mqtt_subscribe``: now if there is a connection, and again on every later one."""
        await self.subscribe_topic(topic(self._node_id, suffix)[:TOPIC_LIMIT], handler)

    async def subscribe_topic(self, name: str, handler: Handler) -> None:
        """The same to a topic that is given whole."""
        known = name in self._handlers
        self._handlers[name] = handler
        if self._link is not None and not known:
            try:
                await self._link.subscribe(name)
            except MqttError as error:
                self._log.error(TAG, f"Failed to subscribe to {name}: {error}")

    async def unsubscribe(self, name: str) -> bool:
        """``esp_mqtt_glue_unsubscribe``: the first topic that begins with ``name``; whether there was one."""
        found = next((known for known in self._handlers if known.startswith(name)), None)
        if found is None:
            return False
        del self._handlers[found]
        if self._link is not None:
            with suppress(MqttError):  # the session is clean: it ends with the connection
                await self._link.unsubscribe(found)
        return True

    async def run(self, on_connected: Callable[[], None]) -> NoReturn:
        """Connect, and again ten seconds after each loss. ``on_connected`` is called once per connection."""
        self.budget.start(asyncio.get_running_loop().time())
        while True:
            try:
                async with self._connect(self._node_id) as link:
                    await self._session(link, on_connected)
            except MqttError as error:
                self._log.warning(TAG, f"MQTT Disconnected: {error}. Will try reconnecting in a while...")
                for handler in tuple(self.on_disconnected):
                    handler()
            await asyncio.sleep(RECONNECT_TIMEOUT_S)

    async def _session(self, link: Mqtt, on_connected: Callable[[], None]) -> None:
        """One connection, from CONNACK to its loss. Raises ``MqttError``."""
        for name in self._handlers:
            await link.subscribe(name)
        self._link = link
        self._log.info(TAG, "MQTT Connected")
        # No TaskGroup: one that fails already swallows a cancellation, and a node that lost power and connection in the
        # same moment would live on.
        halves: list[asyncio.Task[NoReturn]] = []
        try:
            on_connected()
            halves.append(asyncio.create_task(self._send(link), name=f"{self._node_id} sends"))
            halves.append(asyncio.create_task(self._receive(link), name=f"{self._node_id} receives"))
            await asyncio.wait(halves, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._link = None
            for half in halves:
                half.cancel()
            ends = await asyncio.gather(*halves, return_exceptions=True)
        raise _worst(ends)

    async def _send(self, link: Mqtt) -> NoReturn:
        """Empty the outbox in order; what was not acknowledged goes out again, first, on the next connection."""
        loop = asyncio.get_running_loop()
        while True:
            while not self._outbox:
                self._filled.clear()
                await self._filled.wait()
            message = self._outbox[0]
            if message.expires > loop.time():
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(message.expires):
                        await link.publish(message.topic, message.payload)
                    message.acked.set()
            if not message.acked.is_set():
                self._log.warning(TAG, f"no PUBACK for {message.topic}, message deleted")
            self._outbox.popleft()

    async def _receive(self, link: Mqtt) -> NoReturn:
        async for message in link.messages():
            self._dispatch(message)
        raise MqttError("the connection was closed")

    def _dispatch(self, message: Message) -> None:
        """``esp_mqtt_glue_subscribe_callback``: only topics taken literally are ever subscribed here."""
        handler = self._handlers.get(message.topic)
        if handler is not None:
            handler(message.payload)


def _worst(ends: Sequence[BaseException]) -> BaseException:
    """Why a connection is over: what ends the boot as well comes before its loss, and its loss before being stopped."""
    order = sorted(ends, key=lambda end: 2 * isinstance(end, asyncio.CancelledError) + isinstance(end, MqttError))
    return order[0]
