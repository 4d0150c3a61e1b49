"""Subscriptions as the glue above esp-mqtt keeps them: ten places, one SUBSCRIBE per topic, unsubscribing by prefix."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from py_esp_ota.adapters.memory import run_virtual
from py_esp_ota.errors import MqttError
from py_esp_ota.idf.log import Log
from py_esp_ota.ports import Message
from py_esp_ota.rainmaker.mqtt import MqttClient, topic_matches
from py_esp_ota.sdkconfig import Sdkconfig


class Broker:
    """Writes down what is asked, and delivers what it is told to."""

    def __init__(self):
        self.asked = []
        self.arrivals = asyncio.Queue()

    @asynccontextmanager
    async def __call__(self, _client_id, _will):
        self.asked.append("CONNECT")
        yield self

    async def subscribe(self, topic):
        self.asked.append(topic)
        await asyncio.sleep(0)

    async def unsubscribe(self, topic):
        self.asked.append(f"-{topic}")
        await asyncio.sleep(0)

    async def publish(self, topic, _payload, *, dup):
        assert not dup
        self.asked.append(f"!{topic}")

    async def messages(self):
        while (message := await self.arrivals.get()) is not None:
            yield message
        raise MqttError("lost")


def played(story, **options):
    """What the broker was asked, and the console."""

    async def main():
        broker, log = Broker(), Log(lambda: 0)
        mqtt = MqttClient("n1", broker, Sdkconfig(**options), log)
        life = asyncio.create_task(mqtt.run())
        await asyncio.sleep(0.1)
        await story(mqtt, broker)
        await asyncio.sleep(20)
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
        return broker.asked, log.lines

    return run_virtual(main())


def ignore(_payload):
    pass


def test_ten_topics_and_no_more():
    async def story(mqtt, _broker):
        assert all(mqtt.subscribe_topic(f"t{number}", ignore) for number in range(10))
        assert not mqtt.subscribe_topic("eleventh", ignore)
        assert mqtt.unsubscribe("t3")
        assert mqtt.subscribe_topic("eleventh", ignore)

    asked, lines = played(story)
    assert asked == ["CONNECT", *(f"t{number}" for number in range(10)), "-t3", "eleventh"]
    assert sum("No space for new subscription to topic: eleventh" in line for line in lines) == 1


def test_each_connection_subscribes_again_in_the_order_of_the_places():
    async def story(mqtt, broker):
        for name in ("a", "b", "c"):
            mqtt.subscribe_topic(name, ignore)
        mqtt.unsubscribe("a")
        mqtt.subscribe_topic("d", ignore)
        await asyncio.sleep(1)
        broker.arrivals.put_nowait(None)

    asked, _ = played(story)
    assert asked[asked.index("CONNECT", 1) :] == ["CONNECT", "d", "b", "c"]


def test_the_same_topic_and_handler_is_subscribed_once_it_is_acknowledged_no_more():
    async def story(mqtt, _broker):
        mqtt.subscribe_topic("a", ignore)
        mqtt.subscribe_topic("a", ignore)  # no SUBACK yet
        await asyncio.sleep(1)
        mqtt.subscribe_topic("a", ignore)
        mqtt.subscribe_topic("a", lambda _payload: None)  # another handler of an active topic

    asked, _ = played(story)
    assert asked == ["CONNECT", "a", "a"]


def test_two_handlers_of_one_topic_both_hear_and_the_last_one_to_leave_unsubscribes():
    heard = []

    async def story(mqtt, broker):
        mqtt.subscribe_topic("a", lambda payload: heard.append(("first", payload)))
        await asyncio.sleep(1)
        mqtt.subscribe_topic("a", lambda payload: heard.append(("second", payload)))
        broker.arrivals.put_nowait(Message("a", b"x"))
        broker.arrivals.put_nowait(Message("b", b"x"))
        await asyncio.sleep(1)
        assert mqtt.unsubscribe("a")
        broker.asked.append("one left")
        assert mqtt.unsubscribe("a")
        assert not mqtt.unsubscribe("a")

    asked, _ = played(story)
    assert heard == [("first", b"x"), ("second", b"x")]
    assert asked == ["CONNECT", "a", "one left", "-a"]


def test_unsubscribing_takes_the_first_topic_that_begins_like_it():
    async def story(mqtt, _broker):
        for name in ("node/n1/params/remote/g", "node/n1/params/remote"):
            mqtt.subscribe_topic(name, ignore)
        assert mqtt.unsubscribe("node/n1/params/remote")
        assert not mqtt.unsubscribe("node/n1/params/remote/g")

    asked, _ = played(story)
    assert asked[-1] == "-node/n1/params/remote/g"


def test_without_a_connection_a_subscription_is_kept_for_the_next_one():
    async def story(mqtt, broker):
        broker.arrivals.put_nowait(None)
        await asyncio.sleep(1)
        assert mqtt.subscribe_topic("a", ignore)
        assert broker.asked == ["CONNECT"]

    asked, lines = played(story)
    assert asked == ["CONNECT", "CONNECT", "a"]
    assert any("MQTT subscribe failed for topic: a, keeping in DB for retry" in line for line in lines)


@pytest.mark.parametrize(
    ("wanted", "name", "matches"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/b/c", False),
        ("a/+", "a/b", True),
        ("a/+/c", "a//c", True),
        ("a/+", "a/", False),
        ("+/b", "$x/b", True),  # a broker would not deliver it
        ("a/#", "a/b", False),
        ("#", "#", True),
    ],
)
def test_only_plus_is_a_wildcard(wanted, name, matches):
    assert topic_matches(wanted, name) is matches


def test_a_long_topic_is_cut_without_a_word():
    async def main():
        broker = Broker()
        mqtt = MqttClient("n" * 200, broker, Sdkconfig(), Log(lambda: 0))
        life = asyncio.create_task(mqtt.run())
        await asyncio.sleep(0.1)
        mqtt.publish("config", b"x")
        mqtt.subscribe("otaurl", ignore)
        await asyncio.sleep(1)
        life.cancel()
        await asyncio.gather(life, return_exceptions=True)
        return broker.asked

    _, published, subscribed = run_virtual(main())
    assert (len(published), len(subscribed)) == (1 + 149, 149)


def test_disconnected_on_purpose_it_unsubscribes_and_stays_away():
    async def story(mqtt, _broker):
        mqtt.subscribe_topic("a", ignore)
        await asyncio.sleep(1)
        left = mqtt.budget.left(asyncio.get_running_loop().time())
        mqtt.disconnect()
        await asyncio.sleep(60)
        assert not mqtt.connected
        assert mqtt.budget.left(asyncio.get_running_loop().time()) == left

    asked, _ = played(story)
    assert asked.count("CONNECT") == 1
