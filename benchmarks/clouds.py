"""The cloud under many nodes: intake beside the broker alone, a long log beside a short one, one job for thousands."""

from __future__ import annotations

import asyncio
import secrets
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path

from sqlalchemy import text

from benchmarks.timing import Figure, interleaved
from py_esp_ota.adapters.certificates import LocalCa
from py_esp_ota.adapters.clock import SystemClock
from py_esp_ota.adapters.mosquitto import MosquittoBroker, find_mosquitto, open_mosquitto
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.store import Store
from py_esp_ota.firmware import Firmware
from py_esp_ota.ports import Message
from py_esp_ota.rainmaker.messages import OTASTATUS, OtaStatusReport, topic

REPORTS, NODES = 20_000, 4
BATCH = 500
LONG = 1_000_000
MANY = 10_000


@contextmanager
def cloud(folder: Path) -> Iterator[CloudService]:
    """A cloud with its database in a file."""
    with Store(f"sqlite:///{folder / 'cloud.db'}") as store:
        yield CloudService(store, clock=SystemClock(), public_url="http://bench", token_hex=secrets.token_hex)


def job_for(service: CloudService, nodes: int, *, online: bool = False) -> str:
    """Nodes that the cloud knows, and a job for all of them; its id."""
    for number in range(nodes):
        service.intake.on_presence(f"n{number}", online)
        if number % BATCH == BATCH - 1:
            service.turns.catch_up()
    service.turns.catch_up()
    image = service.images.add("bench", Firmware("bench", "1.1.0").to_bytes())
    return service.jobs.create("bench", image.ota_image_id, groups=["FFFF-FFFF"]).job.ota_job_id


# --------------------------------------------------------------------------------------------------- over a real broker


def intake() -> Figure:
    """Reports of nodes over Mosquitto, until they are stored, beside the same reports until they are only received."""
    received, stored = asyncio.run(_received()), asyncio.run(_stored())
    peer = "receiving and acknowledging them"
    note = f" ({REPORTS / stored:,.0f} a second)"
    return Figure("20,000 reports over Mosquitto, stored", stored, peer, received, 3.0, note=note)


async def _received() -> float:
    with tempfile.TemporaryDirectory() as folder:
        async with _broker(Path(folder)) as broker, broker.session("cloud") as session:
            await session.subscribe("$aws/rules/+/node/+/otastatus")

            async def take() -> None:
                left = REPORTS
                async for batch in session.batches(BATCH):
                    left -= len(batch)
                    if left <= 0:
                        return

            return await _timed(Path(folder), broker, "job", take())


async def _stored() -> float:
    with tempfile.TemporaryDirectory() as folder, cloud(Path(folder)) as service:
        async with _broker(Path(folder)) as broker:
            run = asyncio.create_task(service.run(broker.session))
            await service.wait_connected()
            job = job_for(service, NODES)
            before = _events(service)

            async def stored() -> None:
                while _events(service) - before < REPORTS:  # noqa: ASYNC110 - another process may look, too
                    await asyncio.sleep(0.05)

            try:
                return await _timed(Path(folder), broker, job, stored())
            finally:
                run.cancel()
                await asyncio.gather(run, return_exceptions=True)


@asynccontextmanager
async def _broker(folder: Path) -> AsyncIterator[MosquittoBroker]:
    ca = LocalCa(folder)
    for number in range(NODES):
        ca.node(f"n{number}")  # before anything is timed
    async with open_mosquitto(folder, ca) as broker:
        yield broker


async def _timed(folder: Path, broker: MosquittoBroker, job: str, done: Awaitable[None]) -> float:
    """Seconds from the first report until ``done``."""
    arguments = [str(folder), str(broker.port), job, str(NODES), str(REPORTS)]
    pipe = asyncio.subprocess.PIPE
    nodes = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.reporters", *arguments, stdin=pipe, stdout=pipe
    )
    assert nodes.stdin is not None
    assert nodes.stdout is not None
    assert await nodes.stdout.readline() == b"ready\n"
    began = time.perf_counter()
    nodes.stdin.write(b"\n")
    await done
    seconds = time.perf_counter() - began
    await nodes.communicate()
    return seconds


def _events(service: CloudService) -> int:
    with service.store.connect() as tx:
        return int(tx.execute(text("SELECT max(number) FROM event")).scalar_one())


# --------------------------------------------------------------------------------------------------------- the database


def batches() -> Figure:
    """Reports stored many in a transaction, beside each in its own, as a file on this disk takes them."""
    with tempfile.TemporaryDirectory() as folder, cloud(Path(folder)) as service:
        reports = _reports(job_for(service, NODES), 2 * BATCH)

        def one_by_one() -> None:
            for report in reports:
                service.intake.handle(report)

        mine, single = interleaved(lambda: _take(service, reports), one_by_one, rounds=5)
    return Figure("1,000 reports in batches", mine, "a transaction for each", single, 1 / 5)


def long_log() -> Figure:
    """Reports into a log of a million events, beside an empty one."""
    with (
        tempfile.TemporaryDirectory() as long,
        tempfile.TemporaryDirectory() as short,
        cloud(Path(long)) as full,
        cloud(Path(short)) as empty,
    ):
        many, few = _reports(job_for(full, NODES), 2 * BATCH), _reports(job_for(empty, NODES), 2 * BATCH)
        _fill(Path(long) / "cloud.db")
        mine, peer = interleaved(lambda: _take(full, many), lambda: _take(empty, few), rounds=9)
    return Figure("1,000 reports after a million events", mine, "none stored before", peer, 1.5)


def large_job() -> Figure:
    """A job for ten thousand nodes, in one piece, beside SQLite alone writing as many rows."""
    with tempfile.TemporaryDirectory() as folder, cloud(Path(folder)) as service:
        job_for(service, MANY, online=True)
        service.outbox.start()
        image = service.images.find().items[0].ota_image_id
        with closing(sqlite3.connect(Path(folder) / "rows.db", isolation_level=None)) as rows:
            rows.execute("CREATE TABLE state (job INTEGER, node TEXT, status TEXT, PRIMARY KEY (job, node))")
            jobs = iter(range(1000))

            def alone() -> None:
                job = next(jobs)
                rows.execute("BEGIN")
                rows.executemany(
                    "INSERT INTO state VALUES (?, ?, ?)", [(job, f"n{node}", "triggered") for node in range(MANY)]
                )
                rows.execute("COMMIT")

            def ours() -> None:
                service.jobs.create("bench", image, groups=["FFFF-FFFF"], force_push=True)

            mine, peer = interleaved(ours, alone, rounds=9)
    return Figure("a job pushed to 10,000 nodes", mine, "SQLite writing as many rows", peer, 4.0)


def _reports(job: str, number: int) -> list[Message]:
    words = OtaStatusReport(ota_job_id=job, status="in-progress", additional_info="Downloaded 10% Firmware Image", ts=1)
    payload = words.encode()
    return [Message(topic(f"n{each % NODES}", OTASTATUS), payload) for each in range(number)]


def _take(service: CloudService, reports: list[Message]) -> None:
    for start in range(0, len(reports), BATCH):
        service.intake.take(reports[start : start + BATCH])


def _fill(file: Path) -> None:
    """A million events, as reports of jobs long ago."""
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) "
            "INSERT INTO event (time, kind, actor, who, ota_job_id, node_id, ota_image_id, user_name, data) "
            "SELECT i, 'reported', 'node', 'n' || (i % 5000), 'job' || (i / 50000), 'n' || (i % 5000), '', '', "
            """'{"status": "in-progress", "additional_info": "Downloaded 10% Firmware Image", "ts": 1}' FROM n""",
            (LONG,),
        )


def figures() -> list[Figure]:
    """All of them."""
    figures = [batches(), long_log(), large_job()]
    if find_mosquitto() is None:
        sys.stdout.write("     20,000 reports over Mosquitto, stored: skipped, mosquitto is not installed\n")
        return figures
    return [intake(), *figures]
