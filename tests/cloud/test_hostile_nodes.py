"""A node that means harm, at random: whatever it publishes, the cloud serves the others and says one line on each."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest
from databases import new_store
from hypothesis import example, given, settings
from hypothesis import strategies as st
from raw_mqtt import ACCEPTED, connect, packet, publish, raw, subscribe
from test_cloud_mqtt import HOSTILE, SUFFIXES, World, next_url, settle, world

from py_esp_ota.adapters.embedded import open_embedded
from py_esp_ota.adapters.limits import PAYLOAD_LIMIT
from py_esp_ota.adapters.memory import run_virtual
from py_esp_ota.errors import MqttError
from py_esp_ota.ports import Mqtt
from py_esp_ota.rainmaker.messages import OTAFETCH, OtaFetch, OtaStatusReport, topic


async def first_job() -> str:
    """The id of the first job in any ``World``: a node may have heard of it."""
    with closing(new_store()) as store:
        w = World(store)
        w.service.intake.on_presence("honest", True)
        return w.job("honest")


JOB = run_virtual(first_job())
NODES = ["liar", "honest", "cloud", "+", "nobody"]
STATUSES = ["in-progress", "success", "failed", "rejected", "delayed", "triggered", "x" * 50]

topics = st.one_of(
    st.builds(topic, st.sampled_from(NODES), st.sampled_from([*SUFFIXES, "otaurl", "params/remote"]), st.booleans()),
    st.just(topic("liar", "otastatus")),
    st.text(max_size=20),
    st.sampled_from(["$SYS/broker/version", "#", "node/+/otastatus", "node/liar", "node//otastatus", "/" * 1000]),
)
payloads = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(HOSTILE).map(lambda payload: payload.replace(b"JOB", JOB.encode())),
    st.sampled_from([PAYLOAD_LIMIT - 1, PAYLOAD_LIMIT, PAYLOAD_LIMIT + 1, 1 << 20]).map(b"\xfe".__mul__),
    st.sampled_from([60, 1000, 60_000]).map(lambda depth: b'{"info":' + b"[" * depth + b"]" * depth + b"}"),
    st.builds(
        lambda status, info: OtaStatusReport(ota_job_id=JOB, status=status, additional_info=info).encode(),
        st.sampled_from(STATUSES),
        st.sampled_from(["", "well", "a\x1b[2Jb"]) | st.text(max_size=30),
    ),
    st.dictionaries(st.sampled_from(["ota_job_id", "status", "info", "node_id", "ts"]), st.text(max_size=9)).map(
        lambda body: json.dumps(body).encode()
    ),
)
messages = st.lists(st.tuples(topics, payloads), max_size=8)


@contextmanager
def listened() -> Iterator[list[logging.LogRecord]]:
    """What the package has to say meanwhile, from warnings on."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = records.append  # type: ignore[method-assign]
    logger = logging.getLogger("py_esp_ota")
    logger.addHandler(handler)
    try:
        yield records
    finally:
        logger.removeHandler(handler)


def judged(records: list[logging.LogRecord], said: int) -> None:
    """One line each at most, no traceback, nothing raw that a terminal would obey."""
    lines = [record.getMessage() for record in records]
    assert len(lines) <= said, lines
    assert not [record for record in records if record.exc_info]
    assert all(line.isprintable() for line in lines), lines


async def still_serves(w: World, node: Mqtt, job: str) -> None:
    """The honest node asks and gets its URL, and its state is what it alone has made of it."""
    assert w.states(job) == {"honest": "triggered"}
    await node.publish(topic("honest", OTAFETCH), OtaFetch(node_id="honest", fw_version="1.0").encode())
    assert (await next_url(node)).ota_job_id == job


SUCCESS = OtaStatusReport(ota_job_id=JOB, status="success", additional_info="").encode()


@given(messages)
@example([(topic("liar", "otastatus"), SUCCESS), (topic("honest", "otastatus"), SUCCESS)])
@example([(topic("liar", suffix), payload) for suffix in SUFFIXES for payload in HOSTILE])
def test_in_memory(said):
    async def story():
        async with world() as w, w.broker("honest") as node:
            await node.subscribe(topic("honest", "otaurl"))
            await settle()
            job = w.job("honest")
            assert job == JOB
            with listened() as records:
                for name, payload in said:
                    with suppress(MqttError, ValueError):  # of the client's own library
                        async with w.broker("liar") as liar:
                            await liar.publish(name, payload)
                await settle()
            judged(records, len(said))
            await still_serves(w, node, job)

    run_virtual(story())


names = topics.map(lambda name: name.encode(errors="surrogatepass")) | st.binary(max_size=40)
packets = st.one_of(
    st.builds(publish, names, payloads, number=st.integers(0, 65_535), retain=st.booleans()),
    st.builds(subscribe, names, number=st.integers(0, 65_535)),
    st.builds(packet, st.integers(0, 255), st.binary(max_size=60)),
    st.builds(
        connect, st.sampled_from(["liar", "cloud", "honest/", "+"]), will=st.tuples(names, st.binary(max_size=9))
    ),
    st.binary(max_size=60),
)


@pytest.mark.sockets
@settings(max_examples=25)
@given(st.lists(st.tuples(st.booleans(), st.lists(packets, max_size=6)), max_size=4))
@example([(True, [publish(topic("liar", suffix), payload) for suffix in SUFFIXES for payload in HOSTILE])])
@example([(True, [publish(topic("liar", "otastatus"), SUCCESS), publish(topic("honest", "otastatus"), SUCCESS)])])
@example([(True, [subscribe("#"), publish(b"\xff\xfe", b""), publish("node/honest/otaurl", b"{}"), connect("cloud")])])
@example([(False, [connect("cloud")]), (False, [b"\x10\xff\xff\xff\xff\x7f"]), (True, [b"\x30\xff\xff\xff\x7f"])])
def test_over_the_embedded_broker(sessions):
    """Whole packets, broken ones and noise, from sockets that have introduced themselves and from others."""

    async def story():
        with closing(new_store()) as store:
            async with open_embedded() as broker:
                w = World(store)
                broker.on_presence(w.service.intake.on_presence)
                run = asyncio.create_task(w.service.run(broker.session))
                await w.service.wait_connected()
                async with broker.mqtt("honest") as node:
                    await node.subscribe(topic("honest", "otaurl"))
                    w.service.intake.on_presence("honest", True)
                    job = w.job("honest")
                    assert job == JOB
                    with listened() as records:
                        for introduced, session in sessions:
                            async with raw(broker.port, *[connect("liar")] * introduced) as liar:
                                if introduced:
                                    assert await liar.hear() == ACCEPTED
                                liar.send(*session)
                                with suppress(ConnectionError):
                                    await asyncio.wait_for(liar.writer.drain(), 5)
                                await asyncio.sleep(0.01)
                        await still_serves(w, node, job)
                    judged(records, sum(1 + len(session) for _, session in sessions))
                    assert not run.done()
                run.cancel()
                await asyncio.gather(run, return_exceptions=True)

    async def limited():
        async with asyncio.timeout(60):
            await story()

    asyncio.run(limited())
