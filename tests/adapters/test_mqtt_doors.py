"""What every broker does, whichever it is."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from broker_bench import brokers, next_of, silent, soon

from py_esp_ota.errors import MqttError
from py_esp_ota.ports import Message


@pytest.mark.parametrize(
    "payload", [b"", b"{}", bytes(range(256)), b"x" * 100_000], ids=["empty", "json", "bytes", "long"]
)
def test_a_message_arrives_as_it_was_sent(bench, payload):
    async def story(broker):
        async with broker.mqtt("cloud") as cloud, broker.mqtt("n1") as node:
            await node.subscribe("node/n1/otaurl")
            await cloud.publish("node/n1/otaurl", payload)
            return await next_of(node)

    assert bench.play(story) == Message("node/n1/otaurl", payload)


def test_messages_keep_their_order(bench):
    async def story(broker):
        async with broker.mqtt("cloud") as cloud, broker.mqtt("n1") as node:
            await cloud.subscribe("node/+/otastatus")
            for number in range(50):
                await node.publish("node/n1/otastatus", str(number).encode())
            return [int((await next_of(cloud)).payload) for _ in range(50)]

    assert bench.play(story) == list(range(50))


def test_two_filters_that_match_bring_a_message_once_and_others_bring_none(bench):
    async def story(broker):
        async with broker.mqtt("cloud") as cloud, broker.mqtt("n1") as node:
            await cloud.subscribe("node/+/otafetch")
            await cloud.subscribe("node/+/otafetch")
            await node.publish("node/n1/config", b"not asked for")
            await node.publish("node/n1/otafetch", b"1")
            await node.publish("node/n1/otafetch", b"2")
            got = [(await next_of(cloud)).payload for _ in range(2)]
            return got, await silent(cloud)

    assert bench.play(story) == ([b"1", b"2"], True)


@pytest.mark.parametrize("bench", brokers("memory", "mosquitto"), indirect=True)
def test_a_wildcard_at_level_one_does_not_see_dollar_topics(bench):
    async def story(broker):
        topic = "$aws/rules/esp_node_otafetch/node/n1/otafetch"
        async with broker.mqtt("cloud") as cloud, broker.mqtt("n1") as node:
            await cloud.subscribe("#")
            await cloud.subscribe("+/rules/+/node/+/otafetch")
            await node.publish(topic, b"unseen")
            blind = await silent(cloud)
            await cloud.subscribe("$aws/rules/+/node/+/otafetch")
            await node.publish(topic, b"seen")
            return blind, await next_of(cloud)

    blind, message = bench.play(story)
    assert blind
    assert message == Message("$aws/rules/esp_node_otafetch/node/n1/otafetch", b"seen")


@pytest.mark.parametrize("bench", brokers("embedded"), indirect=True)
def test_a_broker_without_dollar_topics_says_so_instead_of_losing_the_message(bench):
    async def story(broker):
        async with broker.mqtt("n1") as node:
            with pytest.raises(MqttError, match="basic ingest off"):
                await node.publish("$aws/rules/esp_node_otafetch/node/n1/otafetch", b"{}")
            await node.publish("node/n1/otafetch", b"{}")

    bench.play(story)


def test_who_is_not_connected_misses_what_is_said_meanwhile(bench):
    async def story(broker):
        async with broker.mqtt("cloud") as cloud:
            async with broker.mqtt("n1") as node:
                await node.subscribe("node/n1/otaurl")
            await cloud.publish("node/n1/otaurl", b"missed")
            async with broker.mqtt("n1") as node:
                await cloud.publish("node/n1/otaurl", b"missed: a clean session has no subscriptions")
                await node.subscribe("node/n1/otaurl")
                await cloud.publish("node/n1/otaurl", b"heard")
                return (await next_of(node)).payload

    assert bench.play(story) == b"heard"


def test_a_second_connection_with_the_same_id_ends_the_first(bench):
    async def story(broker):
        async with broker.mqtt("cloud") as cloud, broker.mqtt("n1") as first:
            await first.subscribe("node/n1/otaurl")
            async with broker.mqtt("n1") as second:
                await second.subscribe("node/n1/otaurl")
                with pytest.raises(MqttError):
                    await next_of(first)
                with pytest.raises(MqttError):
                    await first.publish("node/n1/otastatus", b"ghost")
                with pytest.raises(MqttError):
                    await first.subscribe("node/n1/to-node")
                await cloud.publish("node/n1/otaurl", b"for the second")
                return (await next_of(second)).payload

    assert bench.play(story) == b"for the second"


def test_leaving_ends_the_messages(bench):
    async def story(broker):
        async with broker.mqtt("n1") as node:
            waiting = asyncio.create_task(anext(node.messages()))
            await asyncio.sleep(0.01)
        with pytest.raises(MqttError):
            await waiting
        with pytest.raises(MqttError):
            await next_of(node)
        with pytest.raises(MqttError):
            await node.publish("node/n1/otastatus", b"too late")

    bench.play(story)


def test_an_error_inside_the_connection_comes_out_of_it(bench):
    async def story(broker):
        with pytest.raises(KeyError):
            async with broker.mqtt("n1"):
                raise KeyError
        async with broker.mqtt("n1") as node:
            await node.publish("node/n1/otafetch", b"again")

    bench.play(story)


def test_a_node_hears_nothing_of_another_node(bench):
    async def story(broker):
        async with broker.mqtt("cloud") as cloud, broker.mqtt("n1") as node:
            await node.subscribe("node/n1/otaurl")
            for stranger in ("node/n2/otaurl", "node/+/otaurl", "#"):
                with suppress(MqttError):  # refused, or granted and never served
                    await node.subscribe(stranger)
            await cloud.publish("node/n2/otaurl", b"secret")
            await cloud.publish("node/n1/otaurl", b"own")
            return (await next_of(node)).payload, await silent(node)

    assert bench.play(story) == (b"own", True)


def test_a_node_cannot_speak_for_another(bench):
    async def story(broker):
        async with broker.mqtt("cloud") as cloud, broker.mqtt("n1") as node, broker.mqtt("n2") as other:
            await cloud.subscribe("node/+/otastatus")
            with suppress(MqttError):  # AWS IoT ends the connection, Mosquitto drops the message
                await node.publish("node/n2/otastatus", b"forged")
            await other.publish("node/n2/otastatus", b"genuine")
            return (await next_of(cloud)).payload, await silent(cloud)

    assert bench.play(story) == (b"genuine", True)


def test_the_broker_tells_which_node_comes_and_goes_but_not_the_cloud(bench):
    async def story(broker):
        seen = []
        broker.on_presence(lambda node_id, connected: seen.append((node_id, connected)))
        async with broker.mqtt("cloud"):
            async with broker.mqtt("n1"), broker.mqtt("n2"):
                await soon(lambda: len(seen) == 2)
            await soon(lambda: len(seen) == 4)
        return seen

    seen = bench.play(story)
    assert sorted(seen[:2]) == [("n1", True), ("n2", True)]
    assert sorted(seen[2:]) == [("n1", False), ("n2", False)]


def test_a_node_that_was_replaced_is_still_present(bench):
    async def story(broker):
        seen = []
        broker.on_presence(lambda _node_id, connected: seen.append(connected))
        async with broker.mqtt("n1"):
            await soon(lambda: seen == [True])
            async with broker.mqtt("n1"):
                await soon(lambda: seen == [True, False, True])
                await asyncio.sleep(0.1)
                assert seen == [True, False, True]
            await soon(lambda: seen == [True, False, True, False])

    bench.play(story)


@pytest.mark.parametrize("bench", brokers("mosquitto", "embedded"), indirect=True)
def test_a_presence_callback_that_fails_does_not_stop_the_news(bench, caplog):
    async def story(broker):
        seen = set()

        def broken(_node_id, _connected):
            raise KeyError("a mistake")

        broker.on_presence(broken)
        broker.on_presence(lambda node_id, _connected: seen.add(node_id))
        async with broker.mqtt("n1"), broker.mqtt("n2"):
            await soon(lambda: len(seen) == 2)

    bench.play(story)
    assert "a mistake" in caplog.text


@pytest.mark.parametrize("client_id", ["", "a/b", "+", "#"])
def test_an_id_that_is_no_topic_level_cannot_connect(bench, client_id):
    async def story(broker):
        with pytest.raises(ValueError):
            async with broker.mqtt(client_id):
                pass

    bench.play(story)


def test_misuse_is_a_value_error_and_costs_nothing(bench):
    async def story(broker):
        async with broker.mqtt("cloud") as cloud:
            with pytest.raises(ValueError, match="wildcard"):
                await cloud.publish("node/+/otaurl", b"")
            with pytest.raises(ValueError, match="whole"):
                await cloud.subscribe("node/n+/otaurl")
            await cloud.subscribe("node/n1/otaurl")
            await cloud.publish("node/n1/otaurl", b"fine")
            return (await next_of(cloud)).payload

    assert bench.play(story) == b"fine"


def test_the_broker_has_a_name_for_people(bench):
    async def story(broker):
        return broker.name, broker.basic_ingest

    begin = {"memory": "in memory", "mosquitto": "mosquitto ", "embedded": "embedded (amqtt "}[bench.name]
    name, basic_ingest = bench.play(story)
    assert name.startswith(begin)
    assert basic_ingest is (bench.name != "embedded")


def test_unsubscribed_a_topic_is_heard_no_more(bench):
    async def story(broker):
        async with broker.mqtt("cloud") as cloud, broker.mqtt("n1") as node:
            for name in ("otaurl", "params/remote"):
                await node.subscribe(f"node/n1/{name}")
            await node.unsubscribe("node/n1/otaurl")
            await node.unsubscribe("node/n1/never")
            await cloud.publish("node/n1/otaurl", b"unheard")
            await cloud.publish("node/n1/params/remote", b"heard")
            return await next_of(node)

    assert bench.play(story) == Message("node/n1/params/remote", b"heard")


def test_what_is_sent_again_comes_again_and_many_may_be_on_their_way(bench):
    async def story(broker):
        async with broker.mqtt("cloud") as cloud, broker.mqtt("n1") as node:
            await cloud.subscribe("node/+/otastatus")
            async with asyncio.TaskGroup() as group:
                for word in (b"1", b"2", b"3"):
                    group.create_task(node.publish("node/n1/otastatus", word))
            await node.publish("node/n1/otastatus", b"2", dup=True)
            return [(await next_of(cloud)).payload for _ in range(4)]

    assert bench.play(story) == [b"1", b"2", b"3", b"2"]


WILL = Message("node/n1/params/local", b"gone")


@pytest.mark.parametrize(("farewell", "heard"), [(True, []), (False, [WILL])])
def test_a_will_is_published_for_who_is_gone_without_a_farewell(bench, farewell, heard):
    async def story(broker):
        async with broker.mqtt("cloud") as cloud:
            await cloud.subscribe("node/+/params/local")
            with suppress(ZeroDivisionError):
                async with broker.mqtt("n1", WILL) as node:
                    await node.publish("node/n1/config", b"")
                    if not farewell:
                        raise ZeroDivisionError
            return [] if farewell and await silent(cloud) else [await next_of(cloud)]

    assert bench.play(story) == heard


def test_a_cancelled_node_leaves_its_will(bench):
    async def story(broker):
        async def live():
            async with broker.mqtt("n1", WILL):
                await asyncio.Event().wait()

        async with broker.mqtt("cloud") as cloud:
            await cloud.subscribe("node/+/params/local")
            life = asyncio.create_task(live())
            await asyncio.sleep(0.5)
            life.cancel()
            with suppress(asyncio.CancelledError):
                await life
            return await next_of(cloud)

    assert bench.play(story) == WILL
