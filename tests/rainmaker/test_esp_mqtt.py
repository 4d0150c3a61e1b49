"""esp-mqtt's task: what is sent at once, what waits, what is sent again, and when a message is given up."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from py_esp_ota.adapters.memory import run_virtual
from py_esp_ota.errors import MqttError
from py_esp_ota.ports import Message
from py_esp_ota.rainmaker.esp_mqtt import EspMqtt
from py_esp_ota.rainmaker.outbox import Outbox, Outgoing


class Broker:
    """A broker that writes down what it is sent, and acknowledges it as told."""

    def __init__(self):
        self.up = True
        self.acks = {}  # by payload: seconds until the PUBACK, None for never
        self.sent = []
        self.link = None

    @asynccontextmanager
    async def __call__(self, _client_id, _will):
        if not self.up:
            raise MqttError("nobody answers")
        self.link = Link(self)
        yield self.link

    def note(self, what):
        self.sent.append((round(asyncio.get_running_loop().time(), 3), what))


class Link:
    def __init__(self, broker):
        self.broker = broker
        self.arrivals = asyncio.Queue()

    async def publish(self, _topic, payload, *, dup=False):
        word = payload.decode()
        self.broker.note(word + "!" * dup)
        seconds = self.broker.acks.get(word, 0.01)
        await (asyncio.Event().wait() if seconds is None else asyncio.sleep(seconds))

    async def subscribe(self, topic):
        self.broker.note(f"SUBSCRIBE {topic}")
        await asyncio.sleep(0.01)

    async def unsubscribe(self, topic):
        self.broker.note(f"UNSUBSCRIBE {topic}")

    async def messages(self):
        while (message := await self.arrivals.get()) is not None:
            yield message
        raise MqttError("lost")


class Client:
    """The client beside its broker; ``story`` is told for so many seconds."""

    def __init__(self, story, seconds=120, **acks):
        self.broker = Broker()
        self.broker.acks = acks
        self.connections = self.losses = 0
        self.heard = []
        self.items = {}

        async def main():
            self.mqtt = EspMqtt(
                "n1",
                self.broker,
                on_connected=self.on_connected,
                on_disconnected=self.on_disconnected,
                on_data=self.heard.append,
            )
            life = asyncio.create_task(self.mqtt.run())
            await asyncio.sleep(0)
            await story(self)
            await asyncio.sleep(seconds)
            life.cancel()
            await asyncio.gather(life, return_exceptions=True)
            if not life.cancelled() and life.exception():
                raise life.exception()

        run_virtual(main())

    def on_connected(self):
        self.connections += 1

    def on_disconnected(self, _why):
        self.losses += 1

    def say(self, *words):
        for word in words:
            self.items[word] = self.mqtt.publish("t", word.encode())

    def lose(self):
        self.broker.link.arrivals.put_nowait(None)

    @property
    def sent(self):
        return self.broker.sent

    def times(self, word):
        return [when for when, what in self.sent if what == word]


def test_what_is_said_leaves_at_once_and_in_order():
    async def story(client):
        client.say("a", "b")
        client.mqtt.subscribe("x", lambda _refused: None)
        client.say("c")

    client = Client(story)
    assert client.sent == [(0, "a"), (0, "b"), (0, "SUBSCRIBE x"), (0, "c")]
    assert all(item.acked.is_set() for item in client.items.values())


def test_without_a_puback_it_is_sent_again_each_second_for_half_a_minute():
    async def story(client):
        await asyncio.sleep(10.25)
        client.say("a")

    client = Client(story, a=None)
    # The task turns once a second, at whole ones here: at 11 not enough has passed.
    assert client.times("a") == [10.25]
    assert client.times("a!") == [float(second) for second in range(12, 41)]
    assert not client.items["a"].acked.is_set()


def test_a_second_that_has_not_quite_passed_is_one_turn_more():
    async def story(client):
        await asyncio.sleep(10)
        client.say("a")

    assert Client(story, a=None).times("a!")[:2] == [12, 13]  # at 11 it is a second old, and not more


def test_a_late_puback_ends_it():
    async def story(client):
        client.say("a")

    client = Client(story, a=3.5)
    assert client.times("a!") == [2, 3]
    assert client.items["a"].acked.is_set()


def test_a_puback_of_a_message_that_was_given_up_says_nothing():
    async def story(client):
        client.say("a")

    assert not Client(story, a=45).items["a"].acked.is_set()


def test_what_comes_behind_a_lost_puback_does_not_wait_but_is_not_sent_again_before_it_is_its_turn():
    async def story(client):
        client.say("a", "b")
        await asyncio.sleep(5)
        client.say("c")

    client = Client(story, a=None, b=None)
    assert client.times("c") == [5]
    assert client.items["c"].acked.is_set()
    assert client.times("a!")[0] == 2
    assert client.times("b!") == []  # as old as the first, and given up with it


def test_the_next_one_has_its_turn_when_the_first_is_given_up():
    async def story(client):
        client.say("a")
        await asyncio.sleep(10)
        client.say("b")

    client = Client(story, a=None, b=None)
    assert client.times("a!")[-1] == 30
    assert (client.times("b!")[0], client.times("b!")[-1]) == (31, 40)


def test_without_a_connection_a_message_waits_and_leaves_with_the_next_one():
    async def story(client):
        client.lose()
        await asyncio.sleep(1)
        client.say("a", "b", "c")

    client = Client(story)
    # One for each turn: the first a second after the CONNACK, the next when a PUBACK makes the task turn.
    assert client.sent == [(16, "a"), (16.01, "b"), (16.02, "c")]
    assert (client.connections, client.losses) == (2, 1)


def test_half_a_minute_without_a_connection_is_too_long():
    async def story(client):
        client.broker.up = False
        client.lose()
        await asyncio.sleep(1)
        client.say("a")
        await asyncio.sleep(13)
        client.say("b")
        await asyncio.sleep(25)
        client.broker.up = True

    client = Client(story)
    # Tries at 15, 30 and 45 s; what is said afterwards overtakes nothing.
    assert client.sent == []
    assert client.losses == 3


def test_what_was_on_its_way_when_the_connection_was_lost_is_sent_again_as_a_duplicate_after_what_never_was():
    async def story(client):
        client.say("a")
        await asyncio.sleep(0.5)
        client.lose()
        await asyncio.sleep(1)
        client.broker.acks.clear()
        client.say("b")

    client = Client(story, a=None)
    assert client.sent == [(0, "a"), (16.5, "b"), (16.51, "a!")]
    assert all(item.acked.is_set() for item in client.items.values())


def test_a_connection_that_does_not_come_about_is_tried_again_after_fifteen_seconds():
    async def story(client):
        client.broker.up = False
        client.lose()

    assert Client(story, seconds=100).losses == 1 + 6


def test_subscribing_without_a_connection_is_refused():
    async def story(client):
        client.lose()
        await asyncio.sleep(1)
        assert not client.mqtt.connected
        assert not client.mqtt.subscribe("x", lambda _refused: None)
        assert not client.mqtt.unsubscribe("x")

    assert Client(story).sent == []


def test_a_message_that_comes_makes_the_task_turn():
    async def story(client):
        client.say("a")
        await asyncio.sleep(1.5)
        client.broker.link.arrivals.put_nowait(Message("t", b""))

    client = Client(story, a=None)
    # It turned at 1; at 1.5 no second has passed since, so the next look is at 2.5.
    assert client.times("a!")[:3] == [2.5, 3.5, 4.5]
    assert client.heard == [Message("t", b"")]


def test_stopped_it_does_not_come_back():
    async def story(client):
        client.mqtt.unsubscribe("x")
        client.mqtt.stop()
        await asyncio.sleep(60)
        client.say("a")
        assert not client.mqtt.connected

    client = Client(story)
    assert (client.connections, client.losses) == (1, 0)
    assert client.times("a") == []


def test_an_error_of_a_send_ends_the_connection_and_one_of_the_program_ends_all():
    async def story(client):
        async def fail(*_packet, **_flags):
            raise client.failure

        client.failure = MqttError("the socket is gone")
        client.broker.link.publish = fail
        client.say("a")
        await asyncio.sleep(20)
        assert (client.connections, client.losses) == (2, 1)
        assert client.times("a!") != []
        client.failure = ZeroDivisionError()
        client.broker.link.publish = fail
        client.say("b")

    with pytest.raises(ZeroDivisionError):
        Client(story)


def test_the_outbox_is_a_list_with_an_age():
    box = Outbox()
    old, new = Outgoing("t", b"1", tick=0), Outgoing("t", b"2", tick=1)
    box.put(old)
    box.put(new)
    assert box.first(transmitted=True) is None
    assert box.first(transmitted=False) is old
    box.delete_expired(30_000)
    assert len(box) == 2
    box.delete_expired(30_001)
    assert box.first(transmitted=False) is new
    assert (box.delete(old), box.delete(new), len(box)) == (False, True, 0)
