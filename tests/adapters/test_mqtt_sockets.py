"""What goes wrong between a client and a broker on real sockets."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import ssl
import stat
from contextlib import asynccontextmanager, suppress

import pytest
from broker_bench import needs_mosquitto, next_of, run_real, silent, soon

from py_esp_ota.adapters.broker import open_broker
from py_esp_ota.adapters.certificates import LocalCa
from py_esp_ota.adapters.mosquitto import find_mosquitto, free_port, open_mosquitto
from py_esp_ota.adapters.mqtt import TcpMqtt, client_context
from py_esp_ota.errors import MqttError

pytestmark = pytest.mark.sockets


@asynccontextmanager
async def deaf_broker():
    """Accepts connections and never answers; gives its port and what it heard."""
    heard: list[bytes] = []
    ended = asyncio.Event()

    async def listen(reader, writer):
        while data := await reader.read(1000):
            heard.append(data)
        writer.close()
        ended.set()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heard, ended


def test_nobody_listens():
    async def story():
        with pytest.raises(MqttError, match=r"127.0.0.1:\d+: .*refused"):
            async with TcpMqtt("127.0.0.1", free_port())("n1"):
                pass

    run_real(story())


def test_a_certificate_that_cannot_be_read_is_no_connection():
    def lost(client_id):
        raise FileNotFoundError(2, "No such file", f"{client_id}.pem")

    async def story():
        with pytest.raises(MqttError, match=r"no connection to .*No such file: 'n1.pem'"):
            async with TcpMqtt("127.0.0.1", free_port(), tls=lost)("n1"):
                pass

    run_real(story())
    gc.collect()


def test_a_broker_that_never_answers_is_left_behind_cleanly():
    async def story():
        async with deaf_broker() as (port, heard, ended):
            with pytest.raises(MqttError, match="timed out"):
                async with TcpMqtt("127.0.0.1", port, timeout=0.2)("n1"):
                    pass
            await ended.wait()  # the socket is closed
            return heard[0]

    packet = run_real(story())
    assert packet.endswith(b"\x00\x04MQTT\x04\x02\x00\x78\x00\x02n1")  # MQTT 3.1.1, clean session, keep-alive 120 s
    gc.collect()


def test_a_broker_that_hangs_up_before_it_answers_is_not_waited_for():
    async def hang_up(reader, writer):
        await reader.read(1)
        writer.close()

    async def story():
        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with asyncio.timeout(5):
                with pytest.raises(MqttError, match=r"no connection to 127.0.0.1:\d+: the broker hung up"):
                    async with TcpMqtt("127.0.0.1", port, timeout=60)("n1"):
                        pass

    run_real(story())
    gc.collect()


def test_a_node_that_loses_power_while_it_connects_leaves_nothing():
    async def story():
        async with deaf_broker() as (port, heard, ended):

            async def node():
                async with TcpMqtt("127.0.0.1", port, timeout=0.3)("n1"):
                    pass

            task = asyncio.create_task(node())
            await soon(lambda: heard)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
            await ended.wait()
            return {task.get_name() for task in asyncio.all_tasks() if "MQTT" in task.get_name()}

    assert run_real(story()) == set()


@needs_mosquitto
def test_a_broker_that_dies_ends_every_wait(tmp_path, ca):
    async def story():
        seen = []
        async with open_mosquitto(tmp_path, ca) as broker:
            broker.on_presence(lambda node_id, connected: seen.append((node_id, connected)))
            async with broker.mqtt("n1") as node:
                await soon(lambda: seen)
                waiting = asyncio.create_task(anext(node.messages()))
                await asyncio.sleep(0)
                os.kill(broker.pid, signal.SIGKILL)
                with pytest.raises(MqttError):
                    await waiting
                begun = asyncio.get_running_loop().time()
                with pytest.raises(MqttError):
                    await node.publish("node/n1/otastatus", b"")
                assert asyncio.get_running_loop().time() - begun < 1
            await soon(lambda: len(seen) == 2)
            with pytest.raises(MqttError):
                async with broker.mqtt("n1"):
                    pass
        return seen

    assert run_real(story()) == [("n1", True), ("n1", False)]


@needs_mosquitto
def test_only_a_certificate_of_our_authority_connects(tmp_path, ca):
    strange = LocalCa(tmp_path / "strange")

    def without_certificate(_client_id):
        return ssl.create_default_context(cafile=ca.ca_file)

    def certificate_of_another(_client_id):
        return client_context(ca.ca_file, strange.node("n1"))

    async def story():
        async with open_mosquitto(tmp_path, ca) as broker:
            for tls in (without_certificate, certificate_of_another, None):
                with pytest.raises(MqttError):
                    async with TcpMqtt("127.0.0.1", broker.port, tls=tls, timeout=0.5)("n1"):
                        pass
            async with broker.mqtt("n1") as node:
                await node.publish("node/n1/otafetch", b"")

    run_real(story())


@needs_mosquitto
def test_a_client_trusts_only_our_authority(tmp_path, ca):
    strange = LocalCa(tmp_path / "strange")

    async def story():
        async with open_mosquitto(tmp_path, ca) as broker:
            mqtt = TcpMqtt("127.0.0.1", broker.port, tls=lambda _: client_context(strange.ca_file, strange.node("n1")))
            with pytest.raises(MqttError, match="CERTIFICATE_VERIFY_FAILED"):
                async with mqtt("n1"):
                    pass

    run_real(story())
    gc.collect()


@needs_mosquitto
def test_the_certificate_decides_who_a_client_is(tmp_path, ca):
    async def story():
        async with open_mosquitto(tmp_path, ca) as broker:
            seen = []
            broker.on_presence(lambda node_id, connected: seen.append((node_id, connected)))
            liar = TcpMqtt("127.0.0.1", broker.port, tls=lambda _: client_context(ca.ca_file, ca.node("n2")))
            async with broker.mqtt("cloud") as cloud, liar("n1") as node:
                await cloud.subscribe("node/+/otastatus")
                await node.publish("node/n1/otastatus", b"forged")
                await node.publish("node/n2/otastatus", b"its own")
                await soon(lambda: seen)
                return (await next_of(cloud)).payload, await silent(cloud), list(seen)

    assert run_real(story()) == (b"its own", True, [("n2", True)])


@needs_mosquitto
def test_at_its_other_address_it_asks_for_the_same_and_its_certificate_carries_it(tmp_path, ca):
    async def story():
        async with open_mosquitto(tmp_path, ca, address="127.0.0.2", names=["cloud.test"]) as broker:
            there = TcpMqtt("127.0.0.2", broker.port, tls=lambda _: client_context(ca.ca_file, ca.node("n2")))
            async with broker.mqtt("cloud") as cloud, there("n1") as node:
                await cloud.subscribe("node/+/otastatus")
                await node.publish("node/n1/otastatus", b"forged")
                await node.publish("node/n2/otastatus", b"its own")
                heard = (await next_of(cloud)).payload, await silent(cloud)
            nobody = TcpMqtt("127.0.0.2", broker.port, tls=lambda _: ssl.create_default_context(cafile=ca.ca_file))
            with pytest.raises(MqttError):
                async with nobody("n1"):
                    pass
            return heard

    assert run_real(story()) == (b"its own", True)
    gc.collect()


@needs_mosquitto
def test_the_process_ends_with_the_context_even_when_it_ends_badly(tmp_path, ca):
    brokers = []

    async def story():
        async with open_mosquitto(tmp_path, ca) as broker:
            brokers.append(broker)
            raise KeyError

    with pytest.raises(KeyError):
        run_real(story())
    assert not alive(brokers[0].pid)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_broker_that_cannot_start_says_why_in_its_own_words(tmp_path, ca):
    program = script(tmp_path / "mosquitto", "echo 'Error: no cheese' >&2; exit 3")

    async def story():
        with pytest.raises(MqttError, match="mosquitto did not start: Error: no cheese"):
            async with open_mosquitto(tmp_path, ca, program):
                pass

    run_real(story())


def test_a_port_that_was_taken_meanwhile_is_tried_again(tmp_path, ca):
    tries = tmp_path / "tries"
    program = script(tmp_path / "mosquitto", f"echo x >>{tries}; echo 'Error: Address already in use' >&2; exit 1")

    async def story():
        with pytest.raises(MqttError, match="already in use"):
            async with open_mosquitto(tmp_path, ca, program):
                pass

    run_real(story())
    assert tries.read_text().split() == ["x"] * 3


def test_mosquitto_that_is_not_installed_is_missed_only_by_who_asks_for_it(tmp_path, ca, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("py_esp_ota.adapters.mosquitto._SBIN", ())
    assert find_mosquitto() is None

    async def story():
        with pytest.raises(MqttError, match="not installed"):
            async with open_broker(tmp_path, ca, prefer="mosquitto"):
                pass
        async with open_broker(tmp_path, ca) as broker:
            return broker.name, broker.basic_ingest

    name, basic_ingest = run_real(story())
    assert name.startswith("embedded (amqtt ")
    assert not basic_ingest


@needs_mosquitto
def test_mosquitto_is_taken_when_it_is_installed(tmp_path, ca):
    async def story():
        async with open_broker(tmp_path, ca) as broker:
            return broker.name

    assert run_real(story()).startswith("mosquitto ")
    assert run_real(story()).endswith(" (mutual TLS)")


def test_the_embedded_broker_closes_with_clients_still_connected(tmp_path, ca):
    async def story():
        async with open_broker(tmp_path, ca, prefer="embedded") as broker:
            connection = broker.mqtt("n1")
            node = await connection.__aenter__()
        with pytest.raises(MqttError):
            await next_of(node)
        await connection.__aexit__(None, None, None)

    run_real(story())
    gc.collect()


@pytest.mark.parametrize("prefer", ["embedded", pytest.param("mosquitto", marks=needs_mosquitto)])
def test_a_broker_takes_the_port_it_is_given_and_says_when_it_is_taken(tmp_path, ca, prefer):
    port = free_port()

    async def story():
        async with open_broker(tmp_path, ca, prefer=prefer, port=port) as broker:
            with pytest.raises(MqttError, match=r"did not start: .*in use"):
                async with open_broker(tmp_path / "second", ca, prefer=prefer, port=port):
                    pass
            async with broker.mqtt("n1") as node:
                await node.publish("node/n1/otafetch", b"{}")
            return broker.port

    assert run_real(story()) == port


# --------------------------------------------------------------------------------------------------- a broker that dies


@needs_mosquitto
def test_a_mosquitto_that_is_killed_comes_back_on_its_port_with_its_certificates(tmp_path, ca, caplog):
    async def story():
        ends, seen = [], []
        async with open_mosquitto(tmp_path, ca, on_end=ends.append) as broker:
            broker.on_presence(lambda node_id, connected: seen.append((node_id, connected)))
            for node_id in ("n1", "n2"):
                first = broker.pid
                async with broker.mqtt(node_id) as node:
                    await soon(lambda node_id=node_id: seen[-1:] == [(node_id, True)])
                    os.kill(first, signal.SIGKILL)
                    with pytest.raises(MqttError):
                        await next_of(node)
                await soon(lambda first=first: broker.pid != first)
                async with retried(broker.mqtt, node_id) as node:
                    await node.publish(f"node/{node_id}/otafetch", b"")
        assert not alive(broker.pid)
        return ends, seen

    ends, seen = run_real(story())
    assert ends == []
    assert seen[:4] == [("n1", True), ("n1", False), ("n1", True), ("n1", False)]
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "mosquitto ended, starting it again in 0.5 s: it was ended by SIGKILL",
        "mosquitto ended, starting it again in 1 s: it was ended by SIGKILL",
    ]


@asynccontextmanager
async def retried(mqtt, client_id):
    """A connection, as soon as there can be one."""
    async with asyncio.timeout(5):
        while True:
            with suppress(MqttError):
                connection = mqtt(client_id)
                node = await connection.__aenter__()
                break
            await asyncio.sleep(0.05)
    try:
        yield node
    finally:
        await connection.__aexit__(None, None, None)


RUNS_AND_DIES = "echo x >>{tries}; echo 'mosquitto version 9 running' >&2; echo 'Error: out of cheese' >&2; exit 1"
RUNS_ONCE = (
    "echo x >>{tries}; [ $(wc -l <{tries}) = 1 ] && echo 'mosquitto version 9 running' >&2; echo 'Error: gone' >&2"
)


@pytest.mark.parametrize(
    ("text", "last"),
    [(RUNS_AND_DIES, "Error: out of cheese"), (RUNS_ONCE, "mosquitto did not start: Error: gone")],
    ids=["dies", "does-not-start"],
)
def test_a_broker_that_dies_again_and_again_is_given_up_with_its_own_last_words(tmp_path, ca, monkeypatch, text, last):
    monkeypatch.setattr("py_esp_ota.adapters.mosquitto._PAUSES", (0.01, 0.02, 0.03))
    tries = tmp_path / "tries"
    program = script(tmp_path / "mosquitto", text.format(tries=tries))

    async def story():
        ends = []
        async with open_mosquitto(tmp_path, ca, program, on_end=ends.append):
            await soon(lambda: ends)
            await asyncio.sleep(0.1)
        return ends

    assert run_real(story()) == [f"mosquitto ended: 4 times in a row, at last with {last!r}"]
    assert tries.read_text().split() == ["x"] * 4


def test_a_broker_that_ends_while_it_waits_to_be_started_again_is_left_alone(tmp_path, ca, monkeypatch):
    monkeypatch.setattr("py_esp_ota.adapters.mosquitto._PAUSES", (60.0,))
    tries = tmp_path / "tries"
    program = script(tmp_path / "mosquitto", RUNS_AND_DIES.format(tries=tries))

    async def story():
        async with open_mosquitto(tmp_path, ca, program):
            await asyncio.sleep(0.2)

    run_real(story())
    assert tries.read_text().split() == ["x"]


def test_a_mosquitto_that_cannot_save_is_told_of_once_until_it_can(tmp_path, ca, caplog):
    failed = ["Saving in-memory database to x.", "Error: No space left on device."]
    lines = ["mosquitto version 9 running", *failed, *failed, failed[0], "Client n1 disconnected.", *failed]
    log = tmp_path / "log"
    log.write_text("\n".join(lines) + "\n")
    program = script(tmp_path / "mosquitto", f"cat {log} >&2; exec sleep 60")

    def said():
        return [record.message for record in caplog.records if record.levelname == "ERROR"]

    async def story():
        async with open_mosquitto(tmp_path, ca, program):
            await soon(lambda: len(said()) == 2)

    run_real(story())
    assert set(said()) == {
        "mosquitto cannot save what waits and keeps it in memory alone: Error: No space left on device."
    }
