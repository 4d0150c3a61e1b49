"""What goes wrong between a session and a broker on real sockets, and how much may be on its way."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from contextlib import asynccontextmanager

import pytest
from broker_bench import needs_mosquitto, run_real, soon

from py_esp_ota.adapters import mqtt_session
from py_esp_ota.adapters.mosquitto import free_port, open_mosquitto
from py_esp_ota.adapters.mqtt import TcpMqtt
from py_esp_ota.errors import MqttError

pytestmark = pytest.mark.sockets

CONNACK, PUBACK_1, SUBACK_REFUSED = b"\x20\x02\x00\x00", b"\x40\x02\x00\x01", b"\x90\x03\x00\x01\x80"
REFUSED = b"\x20\x02\x00\x05"  # not authorised


def publish_packet(number: int, payload: bytes, topic: bytes = b"node/n1/otastatus", *, qos=1, dup=False) -> bytes:
    """A PUBLISH as a broker sends it; for payloads of less than 16,000 bytes."""
    rest = len(topic).to_bytes(2, "big") + topic + (number.to_bytes(2, "big") if qos else b"") + payload
    size = [len(rest)] if len(rest) < 128 else [len(rest) & 127 | 128, len(rest) >> 7]
    return bytes([0x30 | dup << 3 | qos << 1, *size]) + rest


@asynccontextmanager
async def scripted(*answers: bytes):
    """A broker that sends ``answers``, one at a time whenever it hears something; gives its port and what it heard."""
    heard: list[bytes] = []
    left = list(answers)
    ended = asyncio.Event()

    async def listen(reader, writer):
        while data := await reader.read(1 << 16):
            heard.append(data)
            if left:
                writer.write(left.pop(0))
        writer.close()
        ended.set()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heard, ended


@asynccontextmanager
async def session_with(*answers: bytes, **options):
    """A session with a scripted broker, which first takes it; and what that has heard after CONNECT."""
    first, *others = answers or (b"",)
    async with scripted(CONNACK + first, *others) as (port, heard, ended):
        async with TcpMqtt("127.0.0.1", port, **options).session("cloud") as cloud:
            yield cloud, lambda: b"".join(heard[1:])
        async with asyncio.timeout(5):
            await ended.wait()


async def next_batch(batches):
    async with asyncio.timeout(5):
        return [message.payload for message in await anext(batches)]


def test_nobody_listens_to_a_session():
    async def story():
        with pytest.raises(MqttError, match=r"no connection to 127.0.0.1:\d+: .*refused"):
            async with TcpMqtt("127.0.0.1", free_port()).session("cloud"):
                pass

    run_real(story())


def test_a_certificate_that_cannot_be_read_is_no_session():
    def lost(client_id):
        raise FileNotFoundError(2, "No such file", f"{client_id}.pem")

    async def story():
        with pytest.raises(MqttError, match=r"no connection to .*No such file: 'cloud.pem'"):
            async with TcpMqtt("127.0.0.1", free_port(), tls=lost).session("cloud"):
                pass

    run_real(story())


def test_a_session_says_that_it_is_to_be_kept_and_who_it_is():
    async def story():
        async with scripted(CONNACK) as (port, heard, ended):
            async with TcpMqtt("127.0.0.1", port, password=lambda _: "word").session("cloud"):
                pass
            await ended.wait()
            return b"".join(heard)

    packets = run_real(story())
    assert packets == b"\x10\x1e\x00\x04MQTT\x04\xc0\x00\x78\x00\x05cloud\x00\x05cloud\x00\x04word" + b"\xe0\x00"


def test_a_refused_session_says_why():
    async def story():
        async with scripted(REFUSED) as (port, _, ended):
            with pytest.raises(MqttError, match="Not authorized"):
                async with TcpMqtt("127.0.0.1", port).session("cloud"):
                    pass
            await ended.wait()

    run_real(story())
    gc.collect()


def test_a_broker_that_answers_no_connect_is_left_behind_cleanly(monkeypatch):
    monkeypatch.setattr(mqtt_session, "_LOOK", 0.05)

    async def story():
        async with scripted() as (port, _, ended):
            with pytest.raises(MqttError, match="timed out"):
                async with TcpMqtt("127.0.0.1", port, timeout=0.2).session("cloud"):
                    pass
            await ended.wait()

    run_real(story())
    gc.collect()


def test_a_session_that_is_given_up_while_it_connects_leaves_nothing():
    async def story():
        async with scripted() as (port, heard, ended):

            async def cloud():
                async with TcpMqtt("127.0.0.1", port).session("cloud"):
                    pass

            task = asyncio.create_task(cloud())
            await soon(lambda: heard)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            await ended.wait()

    run_real(story())
    gc.collect()


def test_a_broker_that_owes_a_puback_for_too_long_is_given_up_and_every_wait_ends(monkeypatch):
    monkeypatch.setattr(mqtt_session, "_LOOK", 0.05)

    async def story():
        async with session_with(timeout=0.3) as (cloud, _):
            waits = [cloud.publish("node/n1/otaurl", b""), cloud.subscribe("#"), anext(cloud.batches(1))]
            return await asyncio.gather(*waits, return_exceptions=True)

    ends = run_real(story())
    assert [(type(end), str(end)) for end in ends] == [(MqttError, "timed out")] * 3
    gc.collect()


@asynccontextmanager
async def talkative(*, pieces, pause):
    """A broker that answers a PUBLISH only after many messages of its own; gives its port."""

    async def listen(reader, writer):
        await reader.read(1 << 16)
        writer.write(CONNACK)
        await reader.read(1 << 16)
        for number in range(1, pieces + 1):
            writer.write(publish_packet(number, b"%d" % number))
            await asyncio.sleep(pause)
        writer.write(PUBACK_1)
        await reader.read()
        writer.close()
        ended.set()

    ended = asyncio.Event()
    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
        async with asyncio.timeout(5):
            await ended.wait()


def test_a_broker_that_has_much_to_say_before_its_answer_is_not_given_up(monkeypatch):
    monkeypatch.setattr(mqtt_session, "_LOOK", 0.05)

    async def story():
        async with (
            talkative(pieces=12, pause=0.1) as port,
            TcpMqtt("127.0.0.1", port, timeout=0.5).session("c") as cloud,
        ):
            await cloud.publish("node/n1/otaurl", b"")

    run_real(story())


def test_a_broker_is_not_given_up_for_what_we_do_not_read(monkeypatch):
    monkeypatch.setattr(mqtt_session, "_LOOK", 0.05)
    monkeypatch.setattr(mqtt_session, "_INBOX", 3)

    async def story():
        async with (
            talkative(pieces=9, pause=0.01) as port,
            TcpMqtt("127.0.0.1", port, timeout=0.5).session("c") as cloud,
        ):
            answer = asyncio.create_task(cloud.publish("node/n1/otaurl", b""))
            await asyncio.sleep(1.0)  # the database fails, say: nobody takes what has come
            batches = cloud.batches(10)
            while not answer.done():
                await next_batch(batches)
                await asyncio.sleep(0.05)
            await answer

    run_real(story())


def test_a_publish_that_nobody_waits_for_any_more_harms_no_other():
    async def story():
        async with session_with(b"", b"", PUBACK_1 + b"\x40\x02\x00\x02") as (cloud, heard):
            first = asyncio.create_task(cloud.publish("node/n1/otaurl", b""))
            await soon(heard)
            first.cancel()
            await asyncio.wait([first])
            async with asyncio.timeout(5):
                await cloud.publish("node/n2/otaurl", b"")

    run_real(story())


def test_a_refused_subscription_of_a_session_names_the_filter():
    async def story():
        async with session_with(b"", SUBACK_REFUSED) as (cloud, _):
            with pytest.raises(MqttError, match="refused the subscription to node/#"):
                await cloud.subscribe("node/#")

    run_real(story())


def test_acknowledgements_go_out_in_order_and_only_when_the_next_batch_is_asked_for():
    async def story():
        messages = b"".join(publish_packet(number, b"%d" % number) for number in (7, 3, 9))
        async with session_with(messages) as (cloud, heard):
            batches = cloud.batches(10)
            await asyncio.sleep(0.1)
            got = await next_batch(batches)
            await asyncio.sleep(0.1)
            before = heard()
            waiting = asyncio.create_task(anext(batches))
            await soon(lambda: len(heard()) >= 12)
            waiting.cancel()
            await asyncio.wait([waiting])
            return got, before, heard()

    got, before, after = run_real(story())
    assert got == [b"7", b"3", b"9"]
    assert before == b""
    assert after == b"\x40\x02\x00\x07\x40\x02\x00\x03\x40\x02\x00\x09"


def test_what_the_broker_sends_twice_on_one_connection_is_handed_out_once():
    async def story():
        messages = publish_packet(1, b"a") + publish_packet(1, b"a", dup=True) + publish_packet(2, b"b")
        async with session_with(messages) as (cloud, _):
            await asyncio.sleep(0.1)
            return await next_batch(cloud.batches(10))

    assert run_real(story()) == [b"a", b"b"]


def test_what_needs_no_acknowledgement_gets_none_and_a_number_is_used_again_after_its_own():
    async def story():
        first = publish_packet(0, b"q0", qos=0) + publish_packet(1, b"a")
        async with session_with(first, publish_packet(1, b"b")) as (cloud, heard):
            batches, got = cloud.batches(10), []
            while b"b" not in got:
                got += await next_batch(batches)
            return got, heard()

    assert run_real(story()) == ([b"q0", b"a", b"b"], PUBACK_1)


def test_a_topic_that_is_no_text_does_not_end_the_session():
    async def story():
        messages = publish_packet(1, b"a", b"node/\xff/otastatus") + publish_packet(2, b"b")
        async with session_with(messages) as (cloud, _):
            await asyncio.sleep(0.1)
            async with asyncio.timeout(5):
                return [message.topic for message in await anext(cloud.batches(10))]

    assert run_real(story()) == ["node/\N{REPLACEMENT CHARACTER}/otastatus", "node/n1/otastatus"]


def test_a_session_that_takes_nothing_stops_reading_and_loses_nothing(monkeypatch):
    monkeypatch.setattr(mqtt_session, "_INBOX", 10)
    count = 6000  # of 4 kB: more than the sockets' buffers hold
    written = 0

    async def story():
        async def listen(reader, writer):
            nonlocal written
            await reader.read(1000)
            writer.write(CONNACK)
            for number in range(count):
                writer.write(publish_packet(0, b"%08d" % number + b"x" * 4000, qos=0))
                await writer.drain()
                written += 1
            await reader.read()
            writer.close()
            ended.set()

        ended = asyncio.Event()
        server = await asyncio.start_server(listen, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            async with TcpMqtt("127.0.0.1", port).session("cloud") as cloud:
                await asyncio.sleep(0.5)
                held_back = written
                got = []
                async for batch in cloud.batches(100):
                    assert len(batch) <= 10
                    got += [int(message.payload[:8]) for message in batch]
                    if len(got) == count:
                        break
            await ended.wait()
        return held_back, got

    held_back, got = run_real(story())
    assert held_back < count
    assert got == list(range(count))


@needs_mosquitto
def test_a_mosquitto_that_dies_ends_every_wait_of_a_session(tmp_path, ca):
    async def story():
        async with open_mosquitto(tmp_path, ca) as broker, broker.session("cloud") as cloud:
            waits = [asyncio.create_task(anext(cloud.batches(1)))]
            await cloud.publish("node/n1/otaurl", b"")
            os.kill(broker.pid, signal.SIGKILL)
            with pytest.raises(MqttError):
                async with asyncio.timeout(5):
                    await waits[0]
            with pytest.raises(MqttError):
                await cloud.publish("node/n1/otaurl", b"")

    run_real(story())


@needs_mosquitto
def test_the_client_library_says_nothing_of_its_own(tmp_path, ca, caplog):
    caplog.set_level(logging.DEBUG)

    async def story():
        async with open_mosquitto(tmp_path, ca) as broker, broker.session("cloud") as cloud:
            await cloud.publish("node/n1/otaurl", b"")

    run_real(story())
    assert not [record for record in caplog.records if "mqtt" in record.name and "py_esp_ota" not in record.name]
