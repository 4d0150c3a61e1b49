"""A database that fails for a while: nothing a node said is lost without a word, and nothing ends for good."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager

import pytest
from sqlalchemy import event
from sqlalchemy.exc import DatabaseError, OperationalError
from test_cloud_mqtt import World, next_url, nothing_comes, settle, world

from py_esp_ota.adapters.memory import run_virtual
from py_esp_ota.cloud.store import Store
from py_esp_ota.ports import Message
from py_esp_ota.rainmaker.messages import OTAFETCH, OTASTATUS, OTAURL, OtaFetch, OtaStatusReport, topic

FULL = OperationalError("COMMIT", {}, sqlite3.OperationalError("database or disk is full"))
LOCKED = OperationalError("BEGIN", {}, sqlite3.OperationalError("database is locked"))
TORN = DatabaseError("SELECT", {}, sqlite3.DatabaseError("database disk image is malformed"))


class Failing:
    """A store whose transactions fail at their end while ``error`` is set."""

    def __init__(self, store: Store) -> None:
        self.error: Exception | None = None
        self.tries = 0
        self._begin, self._connect = store.begin, store.connect
        store.begin, store.connect = self.begin, self.connect

    @contextmanager
    def begin(self) -> Iterator[object]:
        with self._begin() as tx:
            yield tx
            tx.flush()
            self._fail()

    @contextmanager
    def connect(self) -> Iterator[object]:
        with self._connect() as tx:
            yield tx
            self._fail()

    def _fail(self) -> None:
        if self.error:
            self.tries += 1
            raise self.error


def lines(caplog) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


async def report(node, job: str, *words: str) -> None:
    for status in words:
        body = OtaStatusReport(ota_job_id=job, status=status, additional_info="", ts=1)
        await node.publish(topic("n1", OTASTATUS), body.encode())


def said(w: World, job: str) -> list[str]:
    return [line.status for line in w.service.jobs.history(job, "n1") if line.by_node]


@pytest.mark.both_databases
@pytest.mark.parametrize("error", [FULL, LOCKED, TORN], ids=["full", "locked", "torn"])
def test_reports_wait_for_the_database_and_are_kept_once_and_in_order(caplog, error):
    async def story():
        async with world() as w, w.broker("n1") as node:
            await settle()
            job = w.job("n1")
            await settle()
            store = Failing(w.service.store)
            store.error = error
            await report(node, job, "in-progress", "success")
            await asyncio.sleep(100)
            store.error = None
            assert said(w, job) == []
            assert store.tries < 20
            await asyncio.sleep(31)
            assert said(w, job) == ["in-progress", "success"]
            await report(node, job, "failed")
            await settle()
            return said(w, job), w.states(job)

    assert run_virtual(story()) == (["in-progress", "success", "failed"], {"n1": "success"})
    why = str(error.orig)
    told = [line for line in lines(caplog) if "messages of nodes" in line]
    assert told[0] == f"the database fails, messages of nodes wait for it, trying again in 1 s: {why}"
    assert told[1] == f"the database fails, messages of nodes wait for it, trying again in 2 s: {why}"
    assert told[-1] == "the database works again, and the messages of nodes that waited are stored"
    assert len(told) < 10
    assert "Traceback" not in caplog.text


@pytest.mark.both_databases
def test_deadlines_are_kept_after_the_database_failed(caplog):
    async def story():
        async with world() as w:
            w.service.intake.on_presence("n1", True)
            image = w.job("n1") and w.service.images.find().items[0]
            short = w.service.jobs.create("short", image.ota_image_id, nodes=["n1"], timeout=10).job.ota_job_id
            store = Failing(w.service.store)
            store.error = FULL
            await asyncio.sleep(600)
            tries = store.tries
            store.error = None
            await asyncio.sleep(31)
            return tries, w.states(short)

    tries, states = run_virtual(story())
    assert states == {"n1": "failed"}
    assert 5 < tries < 30  # neither given up nor a hot loop
    assert len(lines(caplog)) == tries
    assert lines(caplog)[0] == "deadlines of jobs wait, looking again in 1 s: database or disk is full"


@pytest.mark.both_databases
def test_a_url_that_did_not_go_out_goes_out_when_the_broker_is_back():
    async def story():
        async with world() as w, w.broker("n1") as node:
            await node.subscribe(topic("n1", OTAURL))
            await settle()
            w.broker.kick("cloud")
            job = w.job("n1", force_push=True)  # in the moment before the cloud notices
            assert (await next_url(node)).ota_job_id == job
            assert await nothing_comes(node)  # and once

    run_virtual(story())


def test_a_url_that_the_broker_did_not_acknowledge_goes_out_after_a_restart(tmp_path):
    url = f"sqlite:///{tmp_path / 'cloud.db'}"

    async def story():
        with closing(Store(url)) as store:
            w = World(store)
            w.service.outbox.start()  # as if the broker were there
            w.service.intake.on_presence("n1", True)
            w.service.intake.on_presence("n2", True)
            job = w.job("n1", "n2", force_push=True)
            body = OtaStatusReport(ota_job_id=job, status="in-progress", additional_info="", ts=1)
            w.service.intake.handle(
                Message(topic("n2", OTASTATUS), body.encode())
            )  # n2 has it, whatever the broker said
        with closing(Store(url)) as store:  # killed, and started again
            w = World(store)
            async with w.broker("n1") as n1, w.broker("n2") as n2:
                await n1.subscribe(topic("n1", OTAURL))
                await n2.subscribe(topic("n2", OTAURL))
                run = asyncio.create_task(w.service.run(w.broker.session))
                assert (await next_url(n1)).ota_job_id == job
                assert await nothing_comes(n2)
                await settle()
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)
        with closing(Store(url)) as store:  # and now the broker has acknowledged it
            w = World(store)
            async with w.broker("n1") as n1:
                await n1.subscribe(topic("n1", OTAURL))
                run = asyncio.create_task(w.service.run(w.broker.session))
                assert await nothing_comes(n1)
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)

    run_virtual(story())


@asynccontextmanager
async def pushing(url: str) -> AsyncIterator[tuple[World, str]]:
    """A cloud that was ended while it pushed a job to n1 and n2, and runs again."""
    with closing(Store(url)) as store:
        w = World(store)
        w.service.outbox.start()  # as if the broker were there
        w.service.intake.on_presence("n1", True)
        w.service.intake.on_presence("n2", True)
        job = w.job("n1", "n2", force_push=True)
    with closing(Store(url)) as store:
        w = World(store)
        w.start()
        await w.service.wait_connected()
        try:
            yield w, job
        finally:
            await w.stop()


async def join_slowly(node) -> None:
    """A node subscribes a moment after it has connected."""
    await asyncio.sleep(0.5)
    await node.subscribe(topic("n1", OTAURL))


def test_a_url_that_goes_out_after_a_restart_waits_for_its_node(tmp_path):
    """The broker acknowledges what nobody hears, and nodes find it again later than the cloud does."""

    async def story():
        async with pushing(f"sqlite:///{tmp_path / 'cloud.db'}") as (w, job):
            await asyncio.sleep(10)
            async with w.broker("n1") as n1:
                await join_slowly(n1)
                assert (await next_url(n1)).ota_job_id == job
                assert await nothing_comes(n1)
            assert list(w.service.turns._jobs.pushes) == [(job, "n2")]  # which has not come back

    run_virtual(story())


def test_a_node_that_asks_before_its_url_comes_again_gets_it_once(tmp_path):
    async def story():
        async with pushing(f"sqlite:///{tmp_path / 'cloud.db'}") as (w, job), w.broker("n1") as n1:
            await n1.subscribe(topic("n1", OTAURL))
            await n1.publish(topic("n1", OTAFETCH), OtaFetch(node_id="n1", fw_version="1.0").encode())
            assert (await next_url(n1)).ota_job_id == job
            assert await nothing_comes(n1)

    run_virtual(story())


def test_a_url_that_was_on_its_way_when_the_broker_vanished_waits_for_its_node():
    async def story():
        async with world() as w:
            async with w.broker("n1"):
                await settle()
                w.broker.kick("cloud")
                job = w.job("n1", force_push=True)  # in the moment before the cloud notices
            await asyncio.sleep(60)
            async with w.broker("n1") as n1:
                await join_slowly(n1)
                assert (await next_url(n1)).ota_job_id == job
                assert await nothing_comes(n1)
            return list(w.service.turns._jobs.pushes)

    assert run_virtual(story()) == []


@pytest.mark.both_databases
def test_presence_is_what_it_was_at_last():
    async def story():
        async with world() as w:
            store = Failing(w.service.store)
            store.error = LOCKED
            async with w.broker("n1"):
                await settle()
            async with w.broker("n1"):
                store.error = None
                await asyncio.sleep(31)
                online = w.service.nodes.is_online("n1")
            return online, w.service.nodes.is_online("n1")

    assert run_virtual(story()) == (True, False)


def test_what_was_not_stored_when_the_cloud_ended_comes_again():
    """Not acknowledged is not lost: the broker has it still."""

    async def story():
        async with world() as w, w.broker("n1") as node:
            await settle()
            job = w.job("n1")
            await settle()
            store = Failing(w.service.store)
            store.error = FULL
            await report(node, job, "in-progress", "success")
            await settle()
            await w.stop()
            store.error = None
            assert said(w, job) == []
            w.start()
            await settle()
            return said(w, job)

    assert run_virtual(story()) == ["in-progress", "success"]


def test_a_chore_that_meets_a_mistake_is_not_the_end_of_the_others(caplog):
    async def story():
        async with world() as w:
            w.service.turns.later(lambda _turn: 1 / 0)
            w.service.intake.on_presence("n1", True)
            await asyncio.sleep(1)
            return [node.node_id for node in w.service.nodes.find().items]

    assert run_virtual(story()) == ["n1"]
    assert "ZeroDivisionError" in caplog.text


# ------------------------------------------------------------------------------------------------------ a real database


@contextmanager
def locked(store, file):
    """Another program holds the write lock."""
    with store.begin() as tx:
        tx.connection().exec_driver_sql("PRAGMA busy_timeout=1")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def full(store, _file):
    """The file may not grow."""

    def limit(connection, *_others):
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={pages}")

    event.listen(store._engine, "checkout", limit)
    yield
    event.remove(store._engine, "checkout", limit)
    with store.begin() as tx:
        tx.connection().exec_driver_sql("PRAGMA max_page_count=1000000")


@pytest.mark.sqlite
@pytest.mark.parametrize(("outage", "why"), [(locked, "database is locked"), (full, "database or disk is full")])
def test_a_real_file_that_is_locked_or_full(tmp_path, caplog, outage, why):
    async def story():
        with closing(Store(f"sqlite:///{tmp_path / 'cloud.db'}")) as store:
            w = World(store)
            run = asyncio.create_task(w.service.run(w.broker.session))
            await w.service.wait_connected()
            async with w.broker("n1") as node:
                await settle()
                job = w.job("n1")
                with outage(store, tmp_path / "cloud.db"):
                    await report(node, job, *["in-progress"] * 200)
                    await asyncio.sleep(10)
                    assert len(said(w, job)) < 200
                await asyncio.sleep(31)
                assert not run.done()
                kept = said(w, job)
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)
            return kept

    assert run_virtual(story()) == ["in-progress"] * 200
    assert why in lines(caplog)[0]
    assert "Traceback" not in caplog.text


def test_a_url_goes_out_while_the_database_fails(bench):
    """What it says was read when it was written down; else the failure would end the cloud."""
    bench.join("n1")
    job = bench.job("n1", force_push=True)
    bench.image("9.9.9")  # whatever else happened to images since
    Failing(bench.service.store).error = FULL
    ((to, payload),) = bench.sent()
    assert to == "node/n1/otaurl"
    assert json.loads(payload)["ota_job_id"] == job


def test_a_push_to_many_goes_on_after_the_database_failed_in_the_middle(bench):
    nodes = [f"n{number:03}" for number in range(150)]
    for node_id in nodes:
        bench.service.intake.on_presence(node_id, True)
    bench.service.turns.catch_up()
    bench.service.jobs.create("job", bench.image().ota_image_id, groups=["FFFF-FFFF"], force_push=True)
    first = bench.sent()
    store = Failing(bench.service.store)
    store.error = FULL
    bench.service.serving._room()  # the outbox is empty again
    with pytest.raises(OperationalError):
        bench.service.turns.catch_up()
    store.error = None
    bench.service.turns.catch_up()
    assert sorted(to.split("/")[1] for to, _ in [*first, *bench.sent()]) == nodes
