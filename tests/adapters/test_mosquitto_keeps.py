"""What Mosquitto keeps for a session that outlives its connection, and whose Mosquitto a folder has."""

from __future__ import annotations

import asyncio
import subprocess
from contextlib import AsyncExitStack, asynccontextmanager

import aiomqtt
import pytest
from broker_bench import needs_mosquitto, run_real, soon

from py_esp_ota.adapters.file_lock import FileLock
from py_esp_ota.adapters.mosquitto import open_mosquitto
from py_esp_ota.errors import MqttError

pytestmark = [pytest.mark.sockets, needs_mosquitto]


@asynccontextmanager
async def kept_session(broker):
    """The cloud, in a session that outlives the connection, which acknowledges nothing by itself."""
    client = aiomqtt.Client(
        "127.0.0.1", broker.port, identifier="cloud", clean_session=False, tls_context=broker._context("cloud")
    )
    client._client.manual_ack_set(True)
    async with client:
        yield client


async def take(client, count):
    """So many messages, none of them acknowledged."""
    async with asyncio.timeout(10):
        return [(await anext(client.messages)).payload async for _ in _times(count)]


async def _times(count):
    for number in range(count):
        yield number


def test_what_waits_for_the_cloud_survives_the_end_and_is_its_owners(tmp_path, ca):
    reports = [b"report %d" % number for number in range(1500)]  # more than Mosquitto keeps by itself

    async def story():
        async with open_mosquitto(tmp_path, ca) as broker:
            async with kept_session(broker) as cloud:
                await cloud.subscribe("node/+/otastatus", qos=1)
            async with broker.mqtt("n1") as node:
                for report in reports:
                    await node.publish("node/n1/otastatus", report)
        assert (tmp_path / "mosquitto.db").stat().st_mode & 0o777 == 0o600
        async with open_mosquitto(tmp_path, ca) as broker, kept_session(broker) as cloud:
            return await take(cloud, len(reports))  # more than Mosquitto has on its way by itself

    assert run_real(story()) == reports


def test_what_was_acknowledged_while_mosquitto_ended_is_kept_and_the_rest_is_for_the_node_to_say_again(tmp_path, ca):
    async def chatter(node, name, acknowledged):
        number = 0
        while True:
            number += 1
            report = b"%d of %d" % (number, name)
            await node.publish("node/n1/otastatus", report)
            acknowledged.add(report)

    async def story():
        acknowledged = set()
        async with AsyncExitStack() as line:
            async with open_mosquitto(tmp_path, ca) as broker:
                async with kept_session(broker) as cloud:
                    await cloud.subscribe("node/+/otastatus", qos=1)
                node = await line.enter_async_context(broker.mqtt("n1"))
                talk = [asyncio.create_task(chatter(node, name, acknowledged)) for name in range(20)]
                await soon(lambda: len(acknowledged) > 500)
            ends = await asyncio.gather(*talk, return_exceptions=True)  # each was cut short in the middle of a publish
        assert {type(end) for end in ends} == {MqttError}
        got = set()
        async with open_mosquitto(tmp_path, ca) as broker, kept_session(broker) as cloud:
            while acknowledged - got:
                got |= set(await take(cloud, 1))
        return len(got)

    assert run_real(story()) > 500


def test_a_file_that_cannot_be_read_is_named_with_what_to_do(tmp_path, ca):
    (tmp_path / "mosquitto.db").write_bytes(b"no database at all, and long enough to be read as one")

    async def story():
        async with open_mosquitto(tmp_path, ca):
            pass

    with pytest.raises(MqttError, match=r"did not start: .*Move .*mosquitto\.db away to start without the messages"):
        run_real(story())


def test_two_do_not_share_a_folder(tmp_path, ca):
    async def story():
        async with open_mosquitto(tmp_path, ca) as broker:
            with pytest.raises(MqttError, match=r"^process \d+ runs a mosquitto in .* already$"):
                async with open_mosquitto(tmp_path, ca):
                    pass
            async with broker.mqtt("n1") as node:
                await node.publish("node/n1/otafetch", b"{}")

    run_real(story())


def test_one_of_an_earlier_start_is_ended_and_named(tmp_path, ca, caplog):
    with FileLock(tmp_path / "mosquitto.lock") as held:
        left_over = subprocess.Popen(["sleep", "60"], stdout=held)
        held.say(str(left_over.pid))

    async def story():
        async with open_mosquitto(tmp_path, ca) as broker, broker.mqtt("n1") as node:
            await node.publish("node/n1/otafetch", b"{}")

    run_real(story())
    assert left_over.wait(timeout=5) == -15
    assert f"ended the mosquitto of an earlier start, process {left_over.pid}" in caplog.text
