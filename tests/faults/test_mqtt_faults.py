"""MQTT faults: what each does to a connection through the broker in memory."""

from __future__ import annotations

import asyncio

import pytest

from py_esp_ota.adapters.memory import MemoryBroker, run_virtual
from py_esp_ota.errors import MqttError
from py_esp_ota.faults import FaultyMqtt, parse
from py_esp_ota.faults.mqtt import Fate, budgeted, fate
from py_esp_ota.sdkconfig import Sdkconfig

UP, DOWN = "node/lamp/otastatus", "node/lamp/otaurl"


class Line:
    """A node's line to the broker, and what arrived at both of its ends, with the time."""

    def __init__(self, plan):
        self.broker = MemoryBroker()
        self.mqtt = FaultyMqtt(self.broker, plan)
        self.cloud_heard, self.node_heard = [], []

    def play(self, story):
        async def main():
            async with self.broker("cloud") as self.cloud:
                await self.cloud.subscribe(UP)
                ear = asyncio.create_task(self._listen(self.cloud, self.cloud_heard))
                result = await story(self)
                await asyncio.sleep(0.5)
                ear.cancel()
                return result

        return run_virtual(main())

    async def _listen(self, link, heard):
        loop = asyncio.get_running_loop()
        async for message in link.messages():
            heard.append((message.payload.decode(), round(loop.time(), 3)))

    async def say(self, link, words):
        for word in words:
            await link.publish(UP, word.encode())


def spoken(plan, words="abcdef", seconds=100):
    """What the cloud hears of single letters said at once."""

    async def story(line):
        async with line.mqtt("lamp") as link:
            await line.say(link, words)
            await asyncio.sleep(seconds)

    line = Line(plan)
    line.play(story)
    return line.cloud_heard


@pytest.mark.parametrize(
    ("plan", "heard"),
    [
        ("", "abcdef"),
        ("mqtt-lose@2", "abdef"),
        ("mqtt-lose@2*3", "abf"),
        ("mqtt-lose@0+mqtt-lose@5", "bcde"),
        ("mqtt-lose@6", "abcdef"),
        ("mqtt-lose@0:down", "abcdef"),
        ("mqtt-twice@1", "abbcdef"),
        ("mqtt-twice@1*2", "abbccdef"),
        ("mqtt-twice@1+mqtt-lose@1", "acdef"),
        ("mqtt-delay@0:10", "bcdefa"),
        ("mqtt-delay@0:10*2+mqtt-delay@1:5", "cdefab"),
        ("mqtt-delay@0:10+mqtt-delay@1:5", "cdefba"),
        ("mqtt-delay@0:10+mqtt-twice@0", "bcdefaa"),
    ],
)
def test_what_the_cloud_hears(plan, heard):
    assert "".join(word for word, _ in spoken(plan)) == heard


def test_a_message_is_late_by_so_many_seconds():
    assert spoken("mqtt-delay@0:10", "ab") == [("b", 0), ("a", 10)]


def test_a_lost_puback_is_waited_for_in_vain_and_the_message_has_arrived():
    async def story(line):
        async with line.mqtt("lamp") as link:
            await line.say(link, "a")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(30):
                    await line.say(link, "b")
            await line.say(link, "c")

    line = Line("mqtt-puback@1")
    line.play(story)
    assert "".join(word for word, _ in line.cloud_heard) == "abc"


def test_a_held_back_message_outlives_its_connection_and_a_message_down_does_not():
    async def story(line):
        async with line.mqtt("lamp") as link:
            await link.subscribe(DOWN)
            await line.say(link, "ab")
            ear = asyncio.create_task(line._listen(link, line.node_heard))
            await line.cloud.publish(DOWN, b"x")
            await asyncio.sleep(5)
            ear.cancel()
        await asyncio.sleep(100)
        async with line.mqtt("lamp") as link:
            await link.subscribe(DOWN)
            ear = asyncio.create_task(line._listen(link, line.node_heard))
            await asyncio.sleep(100)
            ear.cancel()

    line = Line("mqtt-delay@0:10+mqtt-delay@0:10:down")
    line.play(story)
    assert line.cloud_heard == [("b", 0), ("a", 105)]
    assert line.node_heard == []
    assert line.mqtt.held == []


def received(plan, words="abcd"):
    async def story(line):
        try:
            async with line.mqtt("lamp") as link:
                await link.subscribe(DOWN)
                ear = asyncio.create_task(line._listen(link, line.node_heard))
                for word in words:
                    await line.cloud.publish(DOWN, word.encode())
                await asyncio.sleep(100)
                ear.cancel()
                await asyncio.gather(ear)
        except MqttError as error:
            return str(error)
        except asyncio.CancelledError:
            return ""

    line = Line(plan)
    return line.play(story), line.node_heard


@pytest.mark.parametrize(
    ("plan", "heard"),
    [
        ("", [("a", 0), ("b", 0), ("c", 0), ("d", 0)]),
        ("mqtt-lose@1", [("a", 0), ("b", 0), ("c", 0), ("d", 0)]),
        ("mqtt-lose@1*2:down", None),
        ("mqtt-lose@1:down*2", [("a", 0), ("d", 0)]),
        ("mqtt-twice@3:down", [("a", 0), ("b", 0), ("c", 0), ("d", 0), ("d", 0)]),
        ("mqtt-delay@0:7:down", [("b", 0), ("c", 0), ("d", 0), ("a", 7)]),
        ("mqtt-delay@0:7:down+mqtt-delay@1:3:down", [("c", 0), ("d", 0), ("b", 3), ("a", 7)]),
    ],
)
def test_what_the_node_hears(plan, heard):
    if heard is None:
        with pytest.raises(ValueError, match=r"'mqtt-lose@1\*2:down'"):
            received(plan)
    else:
        assert received(plan) == ("", heard)


def test_a_cut_on_the_way_down_ends_the_connection_and_takes_the_message_with_it():
    assert received("mqtt-cut@2:down") == ("the connection was lost, as planned", [("a", 0), ("b", 0)])


def test_a_cut_on_the_way_up_comes_instead_of_the_message_and_again_for_as_many_connections():
    async def story(line):
        sent = []
        for number in range(4):
            try:
                async with line.mqtt("lamp") as link:
                    for word in "abc":
                        await line.say(link, word)
                        sent.append(f"{word}{number}")
            except MqttError:
                sent.append("cut")
        return sent

    line = Line("mqtt-cut@1*2")
    assert line.play(story) == ["a0", "cut", "a1", "cut", "a2", "b2", "c2", "a3", "b3", "c3"]
    assert line.broker.connected == ()


def test_a_message_that_a_cut_kept_back_is_the_same_message_when_it_comes_again():
    async def story(line):
        for words in ("ab", "bc"):
            try:
                async with line.mqtt("lamp") as link:
                    await line.say(link, words)
            except MqttError:
                pass

    line = Line("mqtt-cut@1+mqtt-lose@1")
    line.play(story)
    assert "".join(word for word, _ in line.cloud_heard) == "ac"


@pytest.mark.parametrize(
    ("plan", "refused"), [("mqtt-refuse*2", 2), ("mqtt-refuse", 5), ("mqtt-refuse*3+mqtt-refuse*1", 3)]
)
def test_the_broker_does_not_answer(plan, refused):
    async def story(line):
        failures = 0
        for _ in range(5):
            try:
                async with line.mqtt("lamp"):
                    pass
            except MqttError:
                failures += 1
        return failures

    assert Line(plan).play(story) == refused


def test_counting_begins_when_the_plan_is_armed_also_within_a_connection():
    async def story(line):
        async with line.mqtt("lamp") as link:
            await line.say(link, "ab")
            line.mqtt.arm("mqtt-lose@1")
            await line.say(link, "cde")
            line.mqtt.arm("mqtt-cut@1")
            with pytest.raises(MqttError):
                await line.say(link, "fg")
        async with line.mqtt("lamp") as link:
            await line.say(link, "ghi")

    line = Line("")
    line.play(story)
    assert "".join(word for word, _ in line.cloud_heard) == "abcefghi"


def test_the_fate_of_a_message_is_a_table():
    faults = parse("mqtt-cut@3*2+mqtt-delay@1:9:down+mqtt-puback@1*2").of("mqtt")
    assert fate(faults, "up", 1, 0, 1) == Fate(acked=False)
    assert fate(faults, "up", 3, 0, 3) == Fate(cut=True)
    assert fate(faults, "up", 9, 1, 3) == Fate(cut=True)
    assert fate(faults, "up", 9, 2, 3) == Fate()
    assert fate(faults, "down", 1, 0, 1) == Fate(delay=9)
    assert fate(faults, "down", 3, 0, 3) == Fate()


def test_a_budget_is_an_option_of_the_app():
    fair = Sdkconfig()
    assert budgeted(fair, parse("mqtt-lose@1")) == fair
    assert budgeted(fair, parse("mqtt-budget@7")).esp_rmaker_mqtt_default_budget == 7


def test_a_line_takes_only_its_own_faults():
    with pytest.raises(ValueError, match=r"'drop@1' is a fault of the network, not of the mqtt"):
        FaultyMqtt(MemoryBroker(), "drop@1")
