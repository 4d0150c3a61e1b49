"""What only the broker in memory does: refusing as AWS IoT does, breaking on request, thousands of nodes."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from broker_bench import next_of, silent

from py_esp_ota.adapters import backlog, inbox, memory_broker
from py_esp_ota.adapters.memory import MemoryBroker, run_virtual
from py_esp_ota.errors import MqttError
from py_esp_ota.ports import Message


def watched() -> tuple[MemoryBroker, list[tuple[str, bool]]]:
    broker = MemoryBroker()
    seen: list[tuple[str, bool]] = []
    broker.on_presence(lambda node_id, connected: seen.append((node_id, connected)))
    return broker, seen


def test_a_refused_subscription_names_node_and_filter():
    async def story():
        async with MemoryBroker()("n1") as node:
            with pytest.raises(MqttError, match="n1 may not subscribe to node/n2/otaurl"):
                await node.subscribe("node/n2/otaurl")
            await node.publish("node/n1/otafetch", b"still connected")

    run_virtual(story())


def test_a_refused_publish_ends_the_connection():
    async def story():
        broker, seen = watched()
        async with broker("n1") as node:
            with pytest.raises(MqttError, match="n1 may not publish to node/n2/otastatus"):
                await node.publish("node/n2/otastatus", b"")
            with pytest.raises(MqttError, match="may not publish"):
                await node.publish("node/n1/otastatus", b"")
            with pytest.raises(MqttError, match="may not publish"):
                await next_of(node)
        return seen

    assert run_virtual(story()) == [("n1", True), ("n1", False)]


def test_the_admin_may_be_named():
    async def story():
        broker = MemoryBroker(admin=["boss"])
        async with broker("boss") as boss, broker("cloud") as node:
            await boss.subscribe("node/#")
            with pytest.raises(MqttError):
                await node.subscribe("node/#")

    run_virtual(story())


def test_a_cut_connection_first_delivers_what_had_arrived():
    async def story():
        broker, seen = watched()
        async with broker("cloud") as cloud, broker("n1") as node:
            await node.subscribe("node/n1/otaurl")
            await cloud.publish("node/n1/otaurl", b"arrived")
            assert broker.kick("n1")
            assert not broker.kick("n1")
            await cloud.publish("node/n1/otaurl", b"too late")
            message = await next_of(node)
            for _ in range(2):
                with pytest.raises(MqttError, match="cut the connection"):
                    await next_of(node)
            with pytest.raises(MqttError):
                await node.publish("node/n1/otastatus", b"")
            return message.payload, seen, broker.connected

    assert run_virtual(story()) == (b"arrived", [("n1", True), ("n1", False)], ("cloud",))


def test_a_broker_that_is_gone_takes_nobody_until_it_is_back():
    async def story():
        broker, seen = watched()
        async with broker("n1") as node:
            waiting = asyncio.create_task(anext(node.messages()))
            await asyncio.sleep(1)
            broker.stop()
            with pytest.raises(MqttError, match="gone"):
                await waiting
        with pytest.raises(MqttError, match="unreachable"):
            async with broker("n1"):
                pass
        broker.start()
        async with broker("n1") as node:
            await node.publish("node/n1/otafetch", b"")
        return seen

    assert run_virtual(story()) == [("n1", True), ("n1", False)] * 2


def test_the_first_connection_may_leave_late_without_harm():
    async def story():
        broker, seen = watched()
        async with broker("cloud") as cloud:
            first = broker("n1")
            await first.__aenter__()
            async with broker("n1") as second:
                await first.__aexit__(None, None, None)
                await second.subscribe("node/n1/otaurl")
                await cloud.publish("node/n1/otaurl", b"here")
                assert (await next_of(second)).payload == b"here"
        return seen

    assert run_virtual(story()) == [("n1", True), ("n1", False), ("n1", True), ("n1", False)]


def test_a_client_that_left_leaves_nothing_behind():
    async def story():
        broker = MemoryBroker()
        for number in range(100):
            async with broker(f"n{number}") as node:
                await node.subscribe(f"node/n{number}/otaurl")
                await node.subscribe(f"node/n{number}/#")
        return broker

    broker = run_virtual(story())
    assert broker.connected == ()
    assert not broker._subscriptions


def test_overlapping_filters_bring_one_message():
    async def story():
        broker = MemoryBroker()
        async with broker("cloud") as cloud:
            for topic_filter in ("node/#", "node/+/otafetch", "node/n1/otafetch"):
                await cloud.subscribe(topic_filter)
            await cloud.publish("node/n1/otafetch", b"once")
            return (await next_of(cloud)).payload, await silent(cloud)

    assert run_virtual(story()) == (b"once", True)


def test_the_payload_is_the_senders_no_more():
    async def story():
        broker = MemoryBroker()
        async with broker("cloud") as cloud:
            await cloud.subscribe("node/n1/otaurl")
            payload = bytearray(b"before")
            await cloud.publish("node/n1/otaurl", payload)
            payload[:] = b"behind"
            return (await next_of(cloud)).payload

    assert run_virtual(story()) == b"before"


def test_ten_thousand_nodes_are_served_in_the_same_order_each_time():
    async def node(broker, node_id, order):
        async with broker(node_id) as mqtt:
            await mqtt.subscribe(f"node/{node_id}/otaurl")
            await mqtt.publish(f"$aws/rules/esp_node_otafetch/node/{node_id}/otafetch", b"{}")
            await anext(mqtt.messages())
            order.append(node_id)

    async def story():
        broker, order = MemoryBroker(), []
        async with broker("cloud") as cloud, asyncio.TaskGroup() as group:
            await cloud.subscribe("$aws/rules/+/node/+/otafetch")
            for number in range(10_000):
                group.create_task(node(broker, f"n{number}", order))
            for _ in range(10_000):
                message = await anext(cloud.messages())
                await cloud.publish(f"node/{message.topic.split('/')[4]}/otaurl", b"{}")
        return order

    first = run_virtual(story())
    assert len(set(first)) == 10_000
    assert run_virtual(story()) == first


def test_a_client_that_lags_behind_loses_what_is_too_much_and_the_log_says_so_once(monkeypatch, caplog):
    monkeypatch.setattr(inbox, "QUEUE_LIMIT", 3)
    monkeypatch.setattr(inbox, "QUEUE_BYTES", 10)

    async def story():
        broker = MemoryBroker()
        async with broker("cloud") as cloud, broker("n1") as node:
            await node.subscribe("node/n1/otaurl")
            for payload in (b"1", b"2", b"3", b"4", b"5"):
                await cloud.publish("node/n1/otaurl", payload)
            few = [(await next_of(node)).payload for _ in range(3)]
            for payload in (b"123456", b"1234567", b"1234"):
                await cloud.publish("node/n1/otaurl", payload)
            return few, [(await next_of(node)).payload for _ in range(2)], await silent(node)

    assert run_virtual(story()) == ([b"1", b"2", b"3"], [b"123456", b"1234"], True)
    assert [record.message for record in caplog.records] == [
        "dropped a message to 'node/n1/otaurl': 3 wait already",
        "dropped a message to 'node/n1/otaurl': 1 wait already",
    ]


def test_a_session_keeps_no_more_than_a_client_may_leave_waiting_and_the_log_says_so_once(monkeypatch, caplog):
    monkeypatch.setattr(memory_broker, "_EACH", 3)
    monkeypatch.setattr(backlog, "QUEUE_BYTES", 10)

    async def story():
        broker = MemoryBroker(connections=1)
        async with broker.session("cloud") as cloud:
            await cloud.subscribe("node/+/otastatus")
        async with broker("n1") as node:
            for payload in (b"1", b"2", b"3", b"4", b"5"):
                await node.publish("node/n1/otastatus", payload)
            async with broker.session("cloud") as cloud:
                batches = cloud.batches(2)
                few = [message.payload for message in await anext(batches)]
                await node.publish("node/n1/otastatus", b"6")  # the two are not acknowledged yet
                few += [message.payload for message in await anext(batches)]
                for payload in (b"123456", b"1234567", b"123"):
                    await node.publish("node/n1/otastatus", payload)
                return few, [message.payload for message in await anext(batches)]

    assert run_virtual(story()) == ([b"1", b"2", b"3"], [b"123456", b"123"])
    assert [record.message for record in caplog.records] == [
        "dropped a message to 'node/n1/otastatus': 3 wait already",
        "dropped a message to 'node/n1/otastatus': 2 wait already",
    ]


def test_what_many_nodes_say_at_one_instant_is_one_batch():
    async def story():
        broker = MemoryBroker()

        async def node(node_id):
            async with broker(node_id) as client:
                await asyncio.sleep(10)
                await client.publish(f"node/{node_id}/otastatus", b"{}")

        async with broker.session("cloud") as cloud, asyncio.TaskGroup() as group:
            await cloud.subscribe("node/+/otastatus")
            for number in range(1000):
                group.create_task(node(f"n{number}"))
            return len(await anext(cloud.batches(5000)))

    assert run_virtual(story()) == 1000


def test_a_session_outlives_a_broker_that_is_gone_for_a_while():
    async def story():
        broker = MemoryBroker()
        async with broker("n1") as node:
            async with broker.session("cloud") as cloud:
                await cloud.subscribe("node/+/otastatus")
                await node.publish("node/n1/otastatus", b"1")
                batches = cloud.batches(1)
                await anext(batches)
                broker.stop()
                with pytest.raises(MqttError, match="gone"):
                    await anext(batches)
                with pytest.raises(MqttError, match="gone"):
                    await cloud.publish("node/n1/otaurl", b"")
            with pytest.raises(MqttError, match="unreachable"):
                async with broker.session("cloud"):
                    pass
        broker.start()
        async with broker("n1") as node, broker.session("cloud") as cloud:
            await node.publish("node/n1/otastatus", b"2")
            return [message.payload for message in await anext(cloud.batches(10))]

    assert run_virtual(story()) == [b"1", b"2"]


def test_nodes_are_turned_away_when_there_are_too_many_and_the_cloud_never():
    async def story():
        broker = MemoryBroker(connections=1)
        async with broker("n1"), broker("cloud"):
            with pytest.raises(MqttError, match="2 connections already"):
                async with broker("n2"):
                    pass

    run_virtual(story())


@pytest.mark.parametrize(
    ("lived", "spoke", "missed"),
    [
        (10, 10, 10 + 180),
        (50, 0, 0 + 180),
        (100, 0, 60 + 180),  # it pinged after a minute
        (100, 70, 70 + 180),
    ],
)
def test_with_a_keep_alive_a_client_without_power_is_missed_late(lived, spoke, missed):
    async def main():
        broker, seen = MemoryBroker(keep_alive=120), []
        loop = asyncio.get_running_loop()
        broker.on_presence(lambda _node, here: seen.append((round(loop.time()), here)))
        will = Message("node/n1/params/local", b"gone")

        async def live():
            async with broker("n1", will) as link:
                await asyncio.sleep(spoke)
                if spoke:
                    await link.publish("node/n1/config", b"")
                await asyncio.sleep(1000)

        async with broker("cloud") as cloud:
            await cloud.subscribe("node/+/params/local")
            life = asyncio.create_task(live())
            await asyncio.sleep(lived + 0.5)
            life.cancel()
            assert await anext(cloud.messages()) == will
        return seen

    assert run_virtual(main()) == [(0, True), (missed, False)]


def test_with_a_keep_alive_a_client_that_comes_back_ends_the_ghost_of_itself():
    async def main():
        broker, seen = MemoryBroker(keep_alive=120), []
        broker.on_presence(lambda _node, here: seen.append(here))
        with suppress(ZeroDivisionError):
            async with broker("n1"):
                raise ZeroDivisionError
        assert seen == [True]
        async with broker("n1"):
            await asyncio.sleep(1000)
            assert seen == [True, False, True]
        return seen

    assert run_virtual(main()) == [True, False, True, False]
