"""What every broker's session does, whichever it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from broker_bench import brokers

from py_esp_ota.errors import MqttError
from py_esp_ota.ports import Message

STATUS = "node/+/otastatus"


async def say(broker, *payloads, topic="node/n1/otastatus"):
    """A node says this and goes."""
    async with broker.mqtt(topic.split("/")[1]) as node:
        for payload in payloads:
            await node.publish(topic, payload)


async def take(batches: AsyncIterator, count: int) -> list[bytes]:
    """Take batches until there are ``count`` messages; the last batch is not acknowledged."""
    got: list[bytes] = []
    async with asyncio.timeout(5):
        while len(got) < count:
            got += [message.payload for message in await anext(batches)]
    return got


async def quiet(batches, seconds=0.15) -> bool:
    """Whether nothing comes; asking acknowledges what came before."""
    try:
        async with asyncio.timeout(seconds):
            await anext(batches)
    except TimeoutError:
        return True
    return False


def numbers(first, last):
    return [str(number).encode() for number in range(first, last)]


def test_a_batch_holds_messages_as_they_were_sent(bench):
    async def story(broker):
        async with broker.session("cloud") as cloud:
            await cloud.subscribe(STATUS)
            await say(broker, bytes(range(256)))
            async with asyncio.timeout(5):
                return await anext(cloud.batches(10))

    assert list(bench.play(story)) == [Message("node/n1/otastatus", bytes(range(256)))]


def test_batches_keep_the_order_and_are_no_larger_than_asked(bench):
    async def story(broker):
        sizes, got = [], []
        async with broker.session("cloud") as cloud:
            await cloud.subscribe(STATUS)
            await say(broker, *numbers(0, 100))
            async with asyncio.timeout(5):
                async for batch in cloud.batches(7):
                    sizes.append(len(batch))
                    got += [int(message.payload) for message in batch]
                    if len(got) == 100:
                        break
        return sizes, got

    sizes, got = bench.play(story)
    assert got == list(range(100))
    assert all(1 <= size <= 7 for size in sizes)


def test_all_that_has_arrived_is_one_batch(bench):
    async def story(broker):
        async with broker.session("cloud") as cloud:
            await cloud.subscribe(STATUS)
            await say(broker, *numbers(0, 20))
            await asyncio.sleep(0.3)
            async with asyncio.timeout(5):
                return len(await anext(cloud.batches(1000)))

    assert bench.play(story) == 20


def test_a_session_gets_what_came_while_it_was_away(bench):
    async def story(broker):
        async with broker.session("cloud") as cloud:
            await cloud.subscribe(STATUS)
        await say(broker, *numbers(0, 50))
        async with broker.session("cloud") as cloud:
            await say(broker, *numbers(50, 60))
            return await take(cloud.batches(8), 60)

    assert bench.play(story) == numbers(0, 60)


def test_what_was_not_acknowledged_comes_again_and_what_was_does_not(bench):
    async def story(broker):
        async with broker.session("cloud") as cloud:
            await cloud.subscribe(STATUS)
            await say(broker, *numbers(0, 20))
            batches = cloud.batches(1)
            first = await take(batches, 5)  # the fifth is not acknowledged
        async with broker.session("cloud") as cloud:
            again = cloud.batches(1000)
            return first, await take(again, 16), await quiet(again)

    assert bench.play(story) == (numbers(0, 5), numbers(4, 20), True)


def test_what_was_acknowledged_by_asking_is_gone_for_good(bench):
    async def story(broker):
        async with broker.session("cloud") as cloud:
            await cloud.subscribe(STATUS)
            await say(broker, *numbers(0, 20))
            batches = cloud.batches(1000)
            await take(batches, 20)
            assert await quiet(batches)
        async with broker.session("cloud") as cloud:
            return await quiet(cloud.batches(1000))

    assert bench.play(story)


async def stumble(broker):
    """Make a mistake with the first batch."""
    async with broker.session("cloud") as cloud:
        async for _ in cloud.batches(1000):
            raise KeyError


def test_a_mistake_in_the_loop_acknowledges_nothing(bench):
    async def story(broker):
        async with broker.session("cloud") as cloud:
            await cloud.subscribe(STATUS)
        await say(broker, *numbers(0, 10))
        with pytest.raises(KeyError):
            await stumble(broker)
        async with broker.session("cloud") as cloud:
            return await take(cloud.batches(1000), 10)

    assert bench.play(story) == numbers(0, 10)


def test_who_begins_to_ask_anew_has_not_acknowledged_what_it_had(bench):
    async def story(broker):
        async with broker.session("cloud") as cloud:
            await cloud.subscribe(STATUS)
            await say(broker, b"1", b"2")
            given_up = await take(cloud.batches(1), 1)
            second = cloud.batches(1)
            taken = await take(second, 1)
            assert await quiet(second)
        async with broker.session("cloud") as cloud:
            return given_up, taken, await take(cloud.batches(5), 1)

    assert bench.play(story) == ([b"1"], [b"2"], [b"1"])


def test_a_second_connection_takes_the_session_over(bench):
    async def story(broker):
        async with broker.session("cloud") as first:
            await first.subscribe(STATUS)
            await say(broker, *numbers(0, 10))
            batches = first.batches(1000)
            await take(batches, 10)
            async with broker.session("cloud") as second:
                await asyncio.sleep(0.2)
                with pytest.raises(MqttError):
                    await anext(batches)  # too late to acknowledge
                with pytest.raises(MqttError):
                    await first.subscribe("node/+/otafetch")
                return await take(second.batches(1000), 10)

    assert bench.play(story) == numbers(0, 10)


def test_a_lost_connection_ends_the_wait_for_messages(bench):
    async def story(broker):
        async with broker.session("cloud") as first:
            waiting = asyncio.create_task(anext(first.batches(10)))
            await asyncio.sleep(0.01)
            async with broker.session("cloud"):
                with pytest.raises(MqttError):
                    async with asyncio.timeout(5):
                        await waiting

    bench.play(story)


def test_leaving_ends_everything(bench):
    async def story(broker):
        async with broker.session("cloud") as cloud:
            batches = cloud.batches(10)
            waiting = asyncio.create_task(anext(batches))
            await asyncio.sleep(0.01)
        for late in (waiting, anext(batches), cloud.publish("node/n1/otaurl", b""), cloud.subscribe(STATUS)):
            with pytest.raises(MqttError):
                await late

    bench.play(story)


def test_many_publishes_are_on_their_way_at_once_and_arrive_in_order(bench):
    async def story(broker):
        async with broker.session("cloud") as cloud, broker.mqtt("n1") as node:
            await node.subscribe("node/n1/otaurl")
            async with asyncio.timeout(20), asyncio.TaskGroup() as group:
                for number in numbers(0, 2000):
                    group.create_task(cloud.publish("node/n1/otaurl", number))
                got = [(await anext(node.messages())).payload for _ in range(2000)]
        return got

    assert bench.play(story) == numbers(0, 2000)


def test_subscribing_again_brings_a_message_once(bench):
    async def story(broker):
        for _ in range(2):
            async with broker.session("cloud") as cloud:
                await cloud.subscribe(STATUS)
        async with broker.session("cloud") as cloud:
            await cloud.subscribe(STATUS)
            await say(broker, b"once", b"then")
            return await take(cloud.batches(10), 2)

    assert bench.play(story) == [b"once", b"then"]


def test_nodes_are_served_beside_a_session_that_takes_nothing(bench):
    async def story(broker):
        async with broker.session("cloud") as cloud, broker.mqtt("n1") as node:
            await cloud.subscribe(STATUS)
            await node.subscribe("node/n1/otaurl")
            await say(broker, *numbers(0, 200), topic="node/n2/otastatus")
            await cloud.publish("node/n1/otaurl", b"heard")
            async with asyncio.timeout(5):
                return (await anext(node.messages())).payload

    assert bench.play(story) == b"heard"


def test_misuse_of_a_session_is_a_value_error_and_costs_nothing(bench):
    async def story(broker):
        for client_id in ("", "a/b", "+"):
            with pytest.raises(ValueError, match="client id"):
                async with broker.session(client_id):
                    pass
        async with broker.session("cloud") as cloud:
            with pytest.raises(ValueError, match="wildcard"):
                await cloud.publish("node/+/otaurl", b"")
            with pytest.raises(ValueError, match="whole"):
                await cloud.subscribe("node/n+/otaurl")
            await cloud.subscribe(STATUS)
            await say(broker, b"fine")
            return await take(cloud.batches(10), 1)

    assert bench.play(story) == [b"fine"]


@pytest.mark.parametrize("bench", brokers("memory", "mosquitto"), indirect=True)
def test_a_clean_connection_ends_the_session(bench):
    async def story(broker):
        async with broker.session("cloud") as cloud:
            await cloud.subscribe(STATUS)
        await say(broker, b"lost")
        async with broker.mqtt("cloud"):
            pass
        await say(broker, b"lost too")
        async with broker.session("cloud") as cloud:
            return await quiet(cloud.batches(10))

    assert bench.play(story)


@pytest.mark.parametrize("bench", brokers("embedded"), indirect=True)
def test_a_broker_without_dollar_topics_refuses_them_in_a_session_too(bench):
    async def story(broker):
        async with broker.session("cloud") as cloud:
            with pytest.raises(MqttError, match="basic ingest off"):
                await cloud.publish("$aws/rules/esp_node_otafetch/node/n1/otafetch", b"{}")

    bench.play(story)
