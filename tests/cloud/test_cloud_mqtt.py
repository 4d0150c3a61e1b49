"""The cloud on a broker: both topic forms, hostile payloads, a broker that comes and goes, time that passes."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import pytest
from cloud_bench import Bench
from databases import new_store
from hypothesis import given
from hypothesis import strategies as st

from py_esp_ota.adapters.memory import MemoryBroker, VirtualClock, run_virtual
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.store import Store
from py_esp_ota.firmware import Firmware
from py_esp_ota.ports import Message, Mqtt
from py_esp_ota.rainmaker.messages import OTAFETCH, OTASTATUS, OtaFetch, OtaStatusReport, OtaUrl, topic


class World:
    """A cloud connected to a broker in memory."""

    def __init__(self, store: Store) -> None:
        self.broker = MemoryBroker()
        numbers = random.Random(7)
        self.service = CloudService(
            store,
            clock=VirtualClock(),
            public_url="http://cloud.lab",
            token_hex=lambda size: numbers.randbytes(size).hex(),
        )
        self.broker.on_presence(self.service.intake.on_presence)

    def start(self) -> None:
        self._run = asyncio.create_task(self.service.run(self.broker.session))

    async def stop(self) -> None:
        self._run.cancel()
        await asyncio.gather(self._run, return_exceptions=True)

    def job(self, *nodes: str, **options: object) -> str:
        image = self.service.images.add("fw", Firmware("lamp", "1.1.0").to_bytes())
        return self.service.jobs.create("job", image.ota_image_id, nodes=nodes, **options).job.ota_job_id

    def states(self, job_id: str) -> dict[str, str]:
        return {state.node_id: state.status.value for state in self.service.jobs.node_status(job_id).items}


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    with closing(new_store()) as store:
        the_world = World(store)
        the_world.start()
        await the_world.service.wait_connected()
        try:
            yield the_world
        finally:
            await the_world.stop()


async def settle() -> None:
    await asyncio.sleep(0.01)


async def next_url(node: Mqtt) -> OtaUrl:
    async with asyncio.timeout(10):
        return OtaUrl.decode((await anext(node.messages())).payload)


async def nothing_comes(node: Mqtt) -> bool:
    try:
        async with asyncio.timeout(10):
            await anext(node.messages())
    except TimeoutError:
        return True
    return False


@pytest.mark.parametrize("basic_ingest", [False, True])
def test_both_topic_forms_are_heard(basic_ingest):
    async def story() -> dict[str, str]:
        async with world() as w, w.broker("n1") as node:
            await node.subscribe(topic("n1", "otaurl"))
            job = w.job("n1")
            await node.publish(topic("n1", OTAFETCH, basic_ingest), OtaFetch(node_id="n1", fw_version="1.0").encode())
            offer = await next_url(node)
            assert offer.ota_job_id == job
            report = OtaStatusReport(ota_job_id=job, status="in-progress", additional_info="Downloading", ts=1)
            await node.publish(topic("n1", OTASTATUS, basic_ingest), report.encode())
            await settle()
            return w.states(job)

    assert run_virtual(story()) == {"n1": "in-progress"}


def test_force_push_is_published_once():
    async def story() -> None:
        async with world() as w, w.broker("n1") as node:
            await node.subscribe(topic("n1", "otaurl"))
            await settle()
            job = w.job("n1", force_push=True)
            assert (await next_url(node)).ota_job_id == job
            assert await nothing_comes(node)

    run_virtual(story())


def test_an_offline_node_gets_a_forced_push_when_it_asks():
    async def story() -> None:
        async with world() as w:
            w.service.intake.on_presence("n1", False)
            job = w.job("n1", force_push=True)
            async with w.broker("n1") as node:
                await node.subscribe(topic("n1", "otaurl"))
                assert await nothing_comes(node)
                await node.publish(topic("n1", OTAFETCH), OtaFetch(node_id="n1", fw_version="1.0").encode())
                assert (await next_url(node)).ota_job_id == job

    run_virtual(story())


def test_the_payload_cannot_speak_for_another_node():
    async def story() -> None:
        async with world() as w, w.broker("n1") as liar, w.broker("n2"):
            await settle()
            job = w.job("n2")
            await liar.publish(topic("n1", OTAFETCH), OtaFetch(node_id="n2", fw_version="9.9").encode())
            report = {"node_id": "n2", "ota_job_id": job, "status": "success", "additional_info": ""}
            await liar.publish(topic("n1", OTASTATUS), json.dumps(report).encode())
            await settle()
            assert w.states(job) == {"n2": "triggered"}
            assert w.service.nodes.get("n2").fw_version == ""
            assert w.service.nodes.get("n1").fw_version == "9.9"

    run_virtual(story())


def test_presence_follows_the_broker():
    async def story() -> None:
        async with world() as w:
            async with w.broker("n1"):
                assert w.service.nodes.is_online("n1")
            assert not w.service.nodes.is_online("n1")

    run_virtual(story())


def test_the_cloud_comes_back_when_the_broker_does():
    async def story() -> None:
        async with world() as w:
            w.broker.stop()
            await asyncio.sleep(100)
            assert not w.service.connected
            w.broker.start()
            await asyncio.sleep(31)
            assert w.service.connected
            async with w.broker("n1") as node:
                await node.subscribe(topic("n1", "otaurl"))
                job = w.job("n1", force_push=True)
                assert (await next_url(node)).ota_job_id == job

    run_virtual(story())


def test_a_push_waits_for_the_broker_but_not_for_who_has_it_by_then():
    async def story() -> None:
        async with world() as w, w.broker("n1") as n1, w.broker("n2") as n2:
            await n1.subscribe(topic("n1", "otaurl"))
            await n2.subscribe(topic("n2", "otaurl"))
            await settle()
            w.broker.kick("cloud")
            job = w.job("n1", "n2", force_push=True)  # in the moment before the cloud notices
            await settle()
            assert w.states(job) == {"n1": "started", "n2": "started"}
            words = OtaStatusReport(ota_job_id=job, status="in-progress", additional_info="", ts=1)
            w.service.intake.handle(Message(topic("n2", OTASTATUS), words.encode()))
            assert (await next_url(n1)).ota_job_id == job
            assert await nothing_comes(n2)

    run_virtual(story())


def test_a_job_times_out_while_nobody_speaks():
    async def story() -> dict[str, str]:
        async with world() as w:
            w.service.intake.on_presence("n1", False)
            job = w.job("n1")
            await asyncio.sleep(15 * 86_400 - 1)
            assert w.states(job) == {"n1": "triggered"}
            await asyncio.sleep(2)
            return w.states(job)

    assert run_virtual(story()) == {"n1": "failed"}


def test_a_job_made_later_with_an_earlier_deadline_is_not_overslept():
    async def story() -> str:
        async with world() as w:
            w.service.intake.on_presence("n1", False)
            w.job("n1")
            await asyncio.sleep(1)
            image = w.service.images.find().items[0]
            short = w.service.jobs.create("short", image.ota_image_id, nodes=["n1"], timeout=10).job.ota_job_id
            await asyncio.sleep(10.1)
            return w.service.jobs.get(short).status.value

    assert run_virtual(story()) == "completed"


def test_a_listener_hears_what_changes():
    async def story() -> list[tuple[str, str]]:
        async with world() as w, w.broker("n1"):
            await settle()
            heard = []

            async def listen() -> None:
                async for notice in w.service.live.subscribe():
                    heard.append((notice.kind, notice.id))  # noqa: PERF401

            listener = asyncio.create_task(listen())
            await settle()
            job = w.job("n1")
            await settle()
            image = w.service.images.find().items[0].ota_image_id
            assert [each for each in heard if each[0] != "node"] == [("image", image), ("job", job)]
            heard.clear()
            for _ in range(3):
                w.service.live.publish("job", job)  # a slow listener hears it once
            await settle()
            w.service.live.close()
            await listener
            return heard

    ((kind, _),) = run_virtual(story())
    assert kind == "job"


# ----------------------------------------------------------------------------------------------------- hostile payloads

SUFFIXES = ["config", "params/local", "params/local/init", "otafetch", "otastatus"]

HOSTILE = [
    b"",
    b"null",
    b"[]",
    b"7",
    b'"text"',
    b"{",
    b"\xff\xfe\x00",
    b"{}",
    b"[" * 100_000,
    b'{"a":' * 20_000,
    b"9" * 5000,
    b"x" * 200_000,
    b'{"info": 7}',
    b'{"info": {}}',
    b'{"node_id": "n1", "info": {"fw_version": "1", "name": null}}',
    b'{"node_id": "n1", "info": {"fw_version": "1"}, "x": NaN}',
    b'{"node_id": "n1", "info": {"fw_version": "1"}, "x": 1e999}',
    b'{"node_id": "n1", "info": {"fw_version": "1"}, "x": "\\ud800"}',
    b'{"node_id": "n1", "fw_version": 1}',
    b'{"node_id": ["n1"], "fw_version": "1"}',
    b'{"Light": 1}',
    b'{"Light": {"Power": "\\udfff"}}',
    b'{"ota_job_id": 5, "status": "success"}',
    b'{"ota_job_id": "JOB"}',
    b'{"ota_job_id": "JOB", "status": {}}',
    b'{"ota_job_id": "JOB", "status": "success", "additional_info": []}',
    b'{"ota_job_id": "JOB", "status": "success", "additional_info": "cut off',
]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_hostile_payload_changes_no_job_and_stops_nothing(bench, suffix):
    bench.join("n1")
    job = bench.job("n1")
    for payload in HOSTILE:
        before = bench.service.jobs.node_status(job)
        bench.hear("n1", suffix, payload.replace(b"JOB", job.encode()))
        assert bench.service.jobs.node_status(job) == before, payload[:80]
        detail = bench.ok("GET", "/v1/user/nodes?node_details=true&node_id=n1")  # what was stored can be shown
        assert detail["total"] == 1, payload[:80]
        assert len(bench.fetch("n1")) == 1, payload[:80]


@pytest.mark.parametrize(
    ("report", "kept"),
    [
        ({"status": "triggered"}, "triggered"),  # the cloud's own words are not the node's to say
        ({"status": "started"}, "started"),
        ({"status": "SUCCESS"}, "SUCCESS"),
        ({"status": "in-progress", "additional_info": "a\x00b\u202e\ud800", "ts": 10**30}, "in-progress"),
        ({"status": "x" * 100_000}, "x" * 32),
    ],
)
def test_strange_words_are_kept_in_the_history_and_move_nothing_else(bench, report, kept):
    bench.join("n1")
    job = bench.job("n1")
    bench.hear("n1", "otastatus", {"ota_job_id": job, "additional_info": "text", **report})
    line = bench.service.jobs.history(job, "n1")[-1]
    assert (line.by_node, line.status) == (True, kept)
    assert line.ts is None
    assert bench.states(job) == {"n1": "in-progress" if kept == "in-progress" else "triggered"}
    assert line.additional_info in {"text", "a\ufffdb\ufffd\ufffd"}


@pytest.mark.parametrize(
    "name",
    [
        "node//otafetch",
        "node/n1",
        "node/+/otafetch",
        "x",
        "",
        "$aws/rules/r/node/n1",
        "node/n1/otaurl",
        "node/n 1/otafetch",
    ],
)
def test_strange_topics_are_nobodys(bench, name):
    bench.service.intake.handle(Message(name, b'{"node_id": "n1", "fw_version": "1"}'))
    assert bench.service.nodes.find().total == 0


def test_a_mistake_of_the_cloud_does_not_stop_it(bench, monkeypatch, caplog):
    monkeypatch.setattr(bench.service.serving, "on_fetch", lambda *_: 1 / 0)
    assert bench.fetch("n1") == []
    assert "could not be handled" in caplog.text
    bench.join("n1")
    assert bench.service.nodes.is_online("n1")


@given(st.sampled_from(SUFFIXES), st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["info", "fw_version", "status", "node_id", "x"]) | st.text(), inner, max_size=4),
    max_leaves=8,
))  # fmt: skip
def test_no_json_at_all_stops_the_cloud(suffix, document):
    bench = Bench()
    with closing(bench.store):
        bench.presence("n1", True)
        bench.hear("n1", suffix, json.dumps(document).encode())
        detail = bench.service.nodes.detail("n1")
        json.dumps([detail.config, detail.params], allow_nan=False, ensure_ascii=False).encode()
