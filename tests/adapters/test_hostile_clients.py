"""A broker among hostile programs on the same computer: false clouds, too much, too slow."""

from __future__ import annotations

import asyncio

import pytest
from broker_bench import brokers, next_of, run_real, silent, soon
from raw_mqtt import ACCEPTED, NOT_AUTHORISED, PUBACK, connect, packet, publish, raw, subscribe, text

from py_esp_ota.adapters import embedded as embedded_broker
from py_esp_ota.adapters import embedded_gate
from py_esp_ota.adapters.embedded import open_embedded
from py_esp_ota.adapters.limits import PAYLOAD_LIMIT
from py_esp_ota.adapters.mqtt import TcpMqtt
from py_esp_ota.errors import MqttError

pytestmark = pytest.mark.sockets


def embedded(story):
    async def whole():
        async with open_embedded() as broker:
            return await story(broker)

    return run_real(whole())


async def still_serves(broker, cloud, node_id="honest"):
    """A node comes, is heard by the cloud and hears it."""
    async with broker.mqtt(node_id) as node:
        await node.subscribe(f"node/{node_id}/otaurl")
        await node.publish(f"node/{node_id}/otastatus", b"report")
        heard = (await next_of(cloud)).payload
        await cloud.publish(f"node/{node_id}/otaurl", b"answer")
        return heard == b"report" and (await next_of(node)).payload == b"answer"


# --------------------------------------------------------------------------------------------------- the cloud's secret


@pytest.mark.parametrize("clean", [True, False], ids=["clean", "kept"])
@pytest.mark.parametrize("password", [None, "", "guess"])
def test_nobody_is_the_cloud_without_its_secret_and_the_real_one_hears_nothing_of_it(caplog, clean, password):
    async def story(broker):
        async with broker.mqtt("cloud") as cloud:
            await cloud.subscribe("node/+/otastatus")
            async with raw(broker.port, connect("cloud", password=password, clean=clean)) as liar:
                liar.send(subscribe("#"), publish("node/honest/otaurl", b"forged"))
                assert await liar.hear() == NOT_AUTHORISED
                assert await liar.ends()
            assert await still_serves(broker, cloud)
            assert await silent(cloud)

    embedded(story)
    assert [record.message for record in caplog.records if record.name == embedded_broker.__name__] == [
        "refused an MQTT connection as 'cloud': it does not know the cloud's secret"
    ]


def test_a_client_library_without_the_secret_is_told_so():
    async def story(broker):
        with pytest.raises(MqttError, match="Not authorized"):
            async with TcpMqtt("127.0.0.1", broker.port)("cloud"):
                pass

    embedded(story)


def test_the_secret_is_another_one_at_each_start():
    async def story(broker):
        return broker.mqtt._password("cloud")

    first, second = embedded(story), embedded(story)
    assert first != second
    assert min(len(first), len(second)) >= 32


@pytest.mark.parametrize("client_id", ["", "+", "#", "n1/x", b"\xff\xfe/"], ids=repr)
def test_an_id_that_is_no_topic_level_is_refused(client_id):
    """``node/+/...`` would carry the id ``+``, and so would every node's topic."""

    async def story(broker):
        async with raw(broker.port, connect(client_id), subscribe("node/+/otaurl")) as liar:
            assert await liar.hear() == NOT_AUTHORISED

    embedded(story)


def test_a_connect_that_is_cut_short_does_not_borrow_its_id_from_the_next_packet():
    short = packet(0x10, text("MQTT") + bytes([4, 2, 0, 120]))

    async def story(broker):
        async with broker.mqtt("cloud") as cloud:
            await cloud.subscribe("node/+/otastatus")
            async with raw(broker.port, short, text("cloud"), subscribe("#")) as liar:
                assert await liar.hear() != ACCEPTED
            assert await still_serves(broker, cloud)

    embedded(story)


def test_a_will_reaches_only_what_the_client_may_use():
    async def story(broker):
        async with broker.mqtt("cloud") as cloud:
            await cloud.subscribe("node/+/otastatus")
            async with raw(broker.port, connect("n1", will=("node/n2/otastatus", b"forged"))) as liar:
                assert await liar.hear() == NOT_AUTHORISED
            async with raw(broker.port, connect("n1", will=("node/n1/otastatus", b"its own"))) as node:
                assert await node.hear() == ACCEPTED
            assert (await next_of(cloud)).payload == b"its own"
            assert await silent(cloud)

    embedded(story)


# ------------------------------------------------------------------------------------------------------------- too much


@pytest.mark.parametrize("bench", brokers(), indirect=True)
def test_a_message_that_is_too_large_goes_nowhere_and_service_goes_on(bench):
    async def story(broker):
        async with broker.mqtt("cloud") as cloud:
            await cloud.subscribe("node/+/otastatus")
            for size in (PAYLOAD_LIMIT + 1, 1 << 20):
                try:
                    async with broker.mqtt("n1") as node:
                        await node.publish("node/n1/otastatus", b"x" * size)
                except MqttError:
                    pass  # a broker may hang up, or take it and drop it
                assert await silent(cloud)
            async with broker.mqtt("n1") as node:
                await node.publish("node/n1/otastatus", b"x" * PAYLOAD_LIMIT)
                assert len((await next_of(cloud)).payload) == PAYLOAD_LIMIT
            assert await still_serves(broker, cloud)

    bench.play(story)


def test_a_large_packet_is_not_even_read():
    async def story(broker):
        async with raw(broker.port, connect("n1")) as liar:
            assert await liar.hear() == ACCEPTED
            liar.send(b"\x32\xff\xff\xff\x7f" + text("node/n1/otastatus"))  # 256 MiB announced
            return await liar.ends()

    assert embedded(story)


def test_a_socket_that_says_nothing_is_closed(monkeypatch):
    monkeypatch.setattr(embedded_broker, "CONNECT_TIME", 0.1)

    async def story(broker):
        async with raw(broker.port) as idle, raw(broker.port, connect("n1")[:5]) as slow:
            return await idle.ends(), await slow.ends()

    assert embedded(story) == (True, True)


@pytest.mark.parametrize("keep_alive", [0, 1, 9999])
def test_a_client_that_falls_silent_is_ended_and_one_that_pings_is_not(monkeypatch, keep_alive):
    monkeypatch.setattr(embedded_gate, "KEEP_ALIVE_LIMIT", 0.4)

    async def story(broker):
        gone = []
        broker.on_presence(lambda node_id, connected: connected or gone.append(node_id))
        silent, lively, half = (connect(name, keep_alive=keep_alive) for name in ("silent", "lively", "half"))
        async with raw(broker.port, silent), raw(broker.port, lively) as pings, raw(broker.port, half) as stuck:
            stuck.send(b"\x32\x7f")
            for _ in range(12):
                await asyncio.sleep(0.1)
                pings.send(b"\xc0\x00")
            return sorted(gone)

    assert embedded(story) == ["half", "silent"]


def test_a_client_has_so_many_filters_and_no_more(monkeypatch):
    monkeypatch.setattr(embedded_broker, "SUBSCRIPTION_LIMIT", 2)

    async def story(broker):
        for _ in range(2):  # a new connection begins anew
            async with raw(broker.port, connect("n1")) as client:
                assert await client.hear() == ACCEPTED
                codes = []
                for topic_filter in ("node/n1/a", "node/n1/b", "node/n1/a", "node/n1/c"):
                    client.send(subscribe(topic_filter))
                    codes.append((await client.hear(5))[-1])
                assert codes == [1, 1, 1, 0x80]

    embedded(story)


def test_the_cloud_connects_however_many_others_there_are(monkeypatch):
    monkeypatch.setattr(embedded_broker, "CONNECTION_LIMIT", 2)

    async def story(broker):
        async with raw(broker.port, connect("n1")) as one, raw(broker.port, connect("n2")) as two:
            assert (await one.hear(), await two.hear()) == (ACCEPTED, ACCEPTED)
            async with raw(broker.port, connect("n3")) as three:
                assert await three.hear() == b"\x20\x02\x00\x03"
            async with broker.mqtt("cloud") as cloud:
                await cloud.subscribe("node/+/otastatus")

    embedded(story)


def test_a_client_that_reads_nothing_is_cut_and_nobody_waits_for_it():
    async def story(broker):
        async with broker.mqtt("cloud") as cloud:
            await cloud.subscribe("node/+/otastatus")
            async with raw(broker.port, connect("n1"), subscribe("node/n1/otaurl")) as deaf:
                assert await deaf.hear(9) == ACCEPTED + b"\x90\x03\x00\x01\x01"
                deaf.reader._transport.pause_reading()
                seen = []
                broker.on_presence(lambda node_id, connected: seen.append((node_id, connected)))
                for _ in range(400):
                    await cloud.publish("node/n1/otaurl", b"x" * 100_000)
                    if seen:
                        break
                await soon(lambda: seen)
                assert seen == [("n1", False)]
                assert await still_serves(broker, cloud)

    embedded(story)


def test_a_flood_is_slowed_down_and_none_of_it_is_lost():
    count = 3000

    async def story(broker):
        async with broker.mqtt("cloud") as cloud:
            await cloud.subscribe("node/+/otastatus")
            async with raw(broker.port, connect("n1")) as flood:
                assert await flood.hear() == ACCEPTED
                for number in range(count):
                    flood.send(publish("node/n1/otastatus", b"%d" % number, number=number % 60_000 + 1))
                await asyncio.wait_for(flood.writer.drain(), 20)
                heard = [int((await next_of(cloud)).payload) for _ in range(count)]
            return sorted(heard)

    assert embedded(story) == list(range(count))


def test_the_cloud_is_heard_while_nodes_wait_for_it(monkeypatch):
    """Its PUBACK may come behind what it publishes itself."""
    monkeypatch.setattr(embedded_broker, "_BUSY", 0)

    async def story(broker):
        async with raw(broker.port, connect("cloud", password=broker.secret), subscribe("node/+/otastatus")) as cloud:
            assert await cloud.hear(9) == ACCEPTED + b"\x90\x03\x00\x01\x01"
            async with broker.mqtt("n1") as node:
                await node.subscribe("node/n1/otaurl")
                await node.publish("node/n1/otastatus", b"first")
                assert (await cloud.hear(28)).endswith(b"first")  # and is not acknowledged
                second = asyncio.create_task(node.publish("node/n1/otastatus", b"second"))
                await asyncio.sleep(0.1)
                assert not second.done()
                cloud.send(publish("node/n1/otaurl", b"url"))
                assert (await next_of(node, 2)).payload == b"url"
                cloud.send(PUBACK)
                await asyncio.wait_for(second, 2)

    embedded(story)


def test_nothing_stays_open_when_amqtt_does_not_come_to_its_end(monkeypatch):
    """It waits for ever for a client that takes nothing."""

    async def never(_broker):
        await asyncio.Event().wait()

    monkeypatch.setattr(embedded_broker, "_STOP_TIME", 0.1)
    monkeypatch.setattr(embedded_broker.Broker, "shutdown", never)

    async def story():
        async with open_embedded() as broker, raw(broker.port, connect("n1")) as client:
            assert await client.hear() == ACCEPTED
        assert await client.ends()
        with pytest.raises(ConnectionRefusedError):
            async with raw(broker.port):
                pass
        return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

    async def alone():
        return await asyncio.create_task(story())

    assert len(run_real(alone())) == 1  # the one that runs the story


def test_retained_messages_are_not_kept():
    """RainMaker retains nothing, and who could would fill this program's memory."""

    async def story(broker):
        async with raw(broker.port, connect("n1"), publish("node/n1/otastatus", b"x", retain=True)) as node:
            assert await node.hear(8) == ACCEPTED + PUBACK
        async with broker.mqtt("cloud") as cloud:
            await cloud.subscribe("node/+/otastatus")
            return await silent(cloud)

    assert embedded(story)
