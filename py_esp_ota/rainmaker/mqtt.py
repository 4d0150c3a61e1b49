"""The agent's MQTT: topics, a budget, and subscriptions that outlive connections.

It stands for ``esp_rmaker_mqtt.c`` and, below it, CM ``src/esp-mqtt/esp-mqtt-glue.c``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from py_esp_ota.errors import MqttError
from py_esp_ota.idf.log import Log
from py_esp_ota.ports import Message, MqttConnect
from py_esp_ota.rainmaker.budget import Budget
from py_esp_ota.rainmaker.esp_mqtt import EspMqtt
from py_esp_ota.rainmaker.messages import TOPIC_LIMIT, topic
from py_esp_ota.rainmaker.outbox import Outgoing
from py_esp_ota.sdkconfig import Sdkconfig

TAG = "esp_mqtt_glue"
TAG_MQTT = "esp_rmaker_mqtt"

Handler = Callable[[bytes], None]


class SubscriptionState(Enum):
    """``mqtt_subscription_state_t``."""

    NONE = auto()
    REQUESTED = auto()
    ACKNOWLEDGED = auto()
    FAILED = auto()


@dataclass(slots=True, eq=False)
class Subscription:
    """``esp_mqtt_glue_subscription_t``, always of QoS 1."""

    topic: str
    handler: Handler
    state: SubscriptionState = SubscriptionState.NONE


class MqttClient:
    """``esp_rmaker_mqtt_*`` for one identity: the client id is the node id, the session is clean.

    ``on_connected`` and ``on_disconnected`` are the handlers of ``RMAKER_MQTT_EVENT_*``, called in their order.
    """

    def __init__(self, node_id: str, connect: MqttConnect, config: Sdkconfig, log: Log) -> None:
        self._node_id = node_id
        self._basic_ingest = config.esp_rmaker_mqtt_use_basic_ingest_topics
        self._log = log
        self._client = EspMqtt(
            node_id, connect, on_connected=self._connected, on_disconnected=self._disconnected, on_data=self._received
        )
        self._slots: list[Subscription | None] = [None] * config.esp_rmaker_max_mqtt_subscriptions
        self.budget = Budget(config)
        self.on_connected: list[Callable[[], None]] = []
        self.on_disconnected: list[Callable[[], None]] = []

    @property
    def connected(self) -> bool:
        """``esp_rmaker_is_mqtt_connected``."""
        return self._client.connected

    # ---------------------------------------------------------------------------------------------------- publishing

    def publish(self, suffix: str, payload: bytes) -> Outgoing | None:
        """Publish to a topic of this node, behind its rule if there is one; see ``publish_topic``."""
        return self.publish_topic(topic(self._node_id, suffix, basic_ingest=self._basic_ingest)[:TOPIC_LIMIT], payload)

    def publish_topic(self, name: str, payload: bytes) -> Outgoing | None:
        """``esp_rmaker_mqtt_publish`` at QoS 1; ``None`` when the budget is used up: the message is lost.

        Without a connection the message waits in the outbox, at most half a minute.
        """
        if not self.budget.take(asyncio.get_running_loop().time()):
            self._log.error(TAG_MQTT, "Out of MQTT Budget. Dropping publish message.")
            return None
        return self._client.publish(name, payload)

    # --------------------------------------------------------------------------------------------------- subscribing

    def subscribe(self, suffix: str, handler: Handler) -> bool:
        """Subscribe to a topic of this node; see ``subscribe_topic``."""
        return self.subscribe_topic(topic(self._node_id, suffix)[:TOPIC_LIMIT], handler)

    def subscribe_topic(self, name: str, handler: Handler) -> bool:
        """``esp_mqtt_glue_subscribe``: now if there is a connection, and again on every later one.

        ``False`` when as many are known as there may be.
        """
        same = [known for known in self._known() if known.topic == name]
        mine = next((known for known in same if known.handler == handler), None)
        if mine is None:
            if None not in self._slots:
                self._log.error(TAG, f"No space for new subscription to topic: {name}")
                return False
            mine = Subscription(name, handler)
            if any(known.state is SubscriptionState.ACKNOWLEDGED for known in same):
                mine.state = SubscriptionState.ACKNOWLEDGED
            self._slots[self._slots.index(None)] = mine
        if mine.state is not SubscriptionState.ACKNOWLEDGED:
            self._request([mine])
            if mine.state is SubscriptionState.FAILED:
                text = f"MQTT subscribe failed for topic: {name}, keeping in DB for retry"
                self._log.warning(TAG, text)
        return True

    def unsubscribe(self, name: str) -> bool:
        """``esp_mqtt_glue_unsubscribe``: the first whose topic begins with ``name``; ``False`` when there is none."""
        for number, known in enumerate(self._slots):
            if known is not None and known.topic.startswith(name):
                self._slots[number] = None
                last = all(other.topic != known.topic for other in self._known())
                if last and not self._client.unsubscribe(known.topic):
                    self._log.warning(TAG, f"Could not unsubscribe from topic: {known.topic}")
                return True
        return False

    def _known(self) -> list[Subscription]:
        return [known for known in self._slots if known is not None]

    def _request(self, subscriptions: list[Subscription]) -> None:
        """One SUBSCRIBE for all of the same topic."""
        name = subscriptions[0].topic

        def acknowledged(refused: MqttError | None) -> None:
            if refused is not None:  # the node takes any SUBACK for a yes
                self._log.error(TAG, f"Failed to subscribe to {name}: {refused}")
            for subscription in subscriptions:
                subscription.state = SubscriptionState.ACKNOWLEDGED

        asked = self._client.subscribe(name, acknowledged)
        for subscription in subscriptions:
            subscription.state = SubscriptionState.REQUESTED if asked else SubscriptionState.FAILED

    # ---------------------------------------------------------------------------------------------------- connection

    async def run(self) -> None:
        """``esp_rmaker_mqtt_connect``: connect, and again after each loss, until ``disconnect``."""
        self.budget.start(asyncio.get_running_loop().time())
        await self._client.run()

    @property
    def will(self) -> Message | None:
        """``esp_rmaker_set_mqtt_conn_lwt``: what the broker says for a node that is gone."""
        return self._client.will

    @will.setter
    def will(self, message: Message) -> None:
        self._client.will = message

    def reconnect(self) -> None:
        """``esp_mqtt_glue_update_config``: disconnect and connect again, with what is subscribed."""
        self._client.reconnect()

    def disconnect(self) -> None:
        """``esp_rmaker_mqtt_disconnect``: for good; nothing connects again before the next boot."""
        self.budget.stop(asyncio.get_running_loop().time())
        for known in self._known():
            self.unsubscribe(known.topic)
        self._client.stop()

    def _connected(self) -> None:
        self._log.info(TAG, "MQTT Connected")
        for name in dict.fromkeys(known.topic for known in self._known()):
            self._request([known for known in self._known() if known.topic == name])
        for handler in tuple(self.on_connected):
            handler()

    def _disconnected(self, why: MqttError) -> None:
        self._log.warning(TAG, f"MQTT Disconnected: {why}. Will try reconnecting in a while...")
        for known in self._known():
            known.state = SubscriptionState.NONE
        for handler in tuple(self.on_disconnected):
            handler()

    def _received(self, message: Message) -> None:
        """``esp_mqtt_glue_subscribe_callback``."""
        for known in self._known():
            if topic_matches(known.topic, message.topic):
                known.handler(message.payload)


def topic_matches(topic_filter: str, name: str) -> bool:
    """``mqtt_topic_matches``: ``+`` stands for a level, at the end for one that is not empty; ``#`` for itself."""
    wanted, levels = topic_filter.split("/"), name.split("/")
    same = len(wanted) == len(levels) and all(want in {"+", level} for want, level in zip(wanted, levels, strict=True))
    return same and (wanted[-1] != "+" or levels[-1] != "")
