"""A campaign for ten thousand nodes: foretold, watched, and stopped by the report that is one too many."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import select

from benchmarks.clouds import BATCH, cloud
from benchmarks.rehearsals import rehearsal_of
from benchmarks.timing import Figure, once
from py_esp_ota.adapters.clock import SystemClock
from py_esp_ota.cloud.accounts import Accounts
from py_esp_ota.cloud.api import create_app
from py_esp_ota.cloud.campaign import CampaignState
from py_esp_ota.cloud.models import NodeRow
from py_esp_ota.cloud.plan import Abort, Amount, Plan
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.web import mount_web
from py_esp_ota.firmware import Firmware
from py_esp_ota.ports import Message
from py_esp_ota.rainmaker.messages import CONFIG, OTASTATUS, NodeConfig, OtaStatusReport, topic

MANY, FEW = 10_000, 10
PREVIEW_S, PAGE_S, ABORT_S, REHEARSAL_S = 0.3, 0.2, 1.0, 60.0
TOLERATED = 100
"""Failures that a campaign puts up with; one more aborts it."""

_EVERYBODY = ["FFFF-FFFF"]


@contextmanager
def _fleet(count: int) -> Iterator[tuple[CloudService, str]]:
    """A cloud with so many nodes that have said who they are, and an image for them."""
    with tempfile.TemporaryDirectory() as folder, cloud(Path(folder)) as service:
        for number in range(count):
            service.intake.on_presence(f"n{number:05}", True)
            if number % BATCH == BATCH - 1:
                service.turns.catch_up()
        service.turns.catch_up()
        said = [_introduction(number) for number in range(count)]
        for start in range(0, count, BATCH):
            service.intake.take(said[start : start + BATCH])
        yield service, service.images.add("lamp", Firmware("lamp", "1.1.0").to_bytes()).ota_image_id


def _introduction(number: int) -> Message:
    """What a node is; there are some kinds of them, and some that will refuse the image."""
    node_id = f"n{number:05}"
    model = "fan" if number % 50 == 0 else "lamp"
    config = NodeConfig(
        node_id=node_id,
        name=f"Lamp {number}",
        fw_version=f"1.0.{number % 4}",
        type=model,
        model=model,
        project_name=model,
        platform="esp32c3",
    )
    return Message(topic(node_id, CONFIG), config.encode())


def _failed(job: str, number: int) -> Message:
    words = OtaStatusReport(ota_job_id=job, status="rejected", additional_info="Firmware rolled back", ts=1)
    return Message(topic(f"n{number:05}", OTASTATUS, basic_ingest=True), words.encode())


def _seconds(run: Callable[[], object]) -> float:
    """Of this process, so that other programs of the machine do not count."""
    begun = time.process_time()
    run()
    return time.process_time() - begun


def preview() -> Figure:
    """What a job for all would meet, beside reading their rows out of the same database."""
    with _fleet(MANY) as (service, image):

        def ours() -> None:
            assert service.previews.preview("bench", image, groups=_EVERYBODY).total == MANY

        def rows() -> None:
            with service.store.connect() as tx:
                assert len(tx.execute(select(NodeRow.__table__)).all()) == MANY

        pairs = [(_seconds(ours), _seconds(rows)) for _ in range(9)]
    mine, peer = map(statistics.median, zip(*pairs, strict=True))
    name = "preview of a job for 10,000 nodes"
    return Figure(name, mine, "reading their rows from SQLite", peer, 2.0, also=mine < PREVIEW_S)


def monitor() -> Figure:
    """The page of a job with two hundred failures among ten thousand nodes, beside that of a job for ten.

    Both are seconds of this process: the other one of a pair comes much later.
    """
    return asyncio.run(_monitor())


async def _monitor() -> Figure:
    with _fleet(MANY) as many, _fleet(FEW) as few:
        looks = [_page_of(*fleet) for fleet in (many, few)]
        samples: list[list[float]] = [[], []]
        for turn in range(10):
            for look, bucket in zip(looks, samples, strict=True):
                begun = time.process_time()
                await look()
                if turn:  # templates are compiled at the first one
                    bucket.append(time.process_time() - begun)
    mine, peer = map(statistics.median, samples)
    return Figure("monitor of a job for 10,000 nodes", mine, "one for ten nodes", peer, 4.0, also=mine < PAGE_S)


def _page_of(service: CloudService, image: str) -> Callable[[], Coroutine[Any, Any, None]]:
    """What loads the monitor of a campaign in phases."""
    plan = Plan(phases=("20%", "rest"))
    job = service.jobs.create("bench", image, groups=_EVERYBODY, plan=plan).job.ota_job_id
    for number in range(0, service.nodes.count(), 50):
        service.intake.handle(_failed(job, number))
    accounts = Accounts(service.store, clock=SystemClock(), token_hex=lambda n: "0" * n, deliver=lambda _n, _c: None)
    app = create_app(service, accounts)
    mount_web(app, service)
    client = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://127.0.0.1")

    async def look() -> None:
        answer = await client.get(f"/jobs/{job}")
        assert "Firmware rolled back" in answer.text

    return look


def abort() -> Figure:
    """The report that is one too many, until the job is aborted and written down; beside it, the one before."""
    with _fleet(MANY) as (service, image):
        samples: list[tuple[float, float]] = []
        plan = Plan(abort=Abort(failed=Amount(TOLERATED)))
        for _ in range(5):
            job = service.jobs.create("bench", image, groups=_EVERYBODY, plan=plan, force_push=True).job.ota_job_id
            service.intake.take([_failed(job, number) for number in range(TOLERATED - 2)])
            before = once(lambda job=job: service.intake.handle(_failed(job, TOLERATED - 2)))  # type: ignore[misc]
            assert service.jobs.get(job).state is CampaignState.RUNNING
            last = once(lambda job=job: service.intake.handle(_failed(job, TOLERATED - 1)))  # type: ignore[misc]
            assert service.jobs.get(job).state is CampaignState.ABORTED
            samples.append((last, before))
    mine, peer = map(statistics.median, zip(*samples, strict=True))
    name = "abort of a job for 10,000, from the report on"
    return Figure(name, mine, "a report that aborts nothing", peer, 20.0, also=mine < ABORT_S)


def rehearsal() -> Figure:
    """A campaign on virtual copies of its nodes: what each of them costs must not grow with their number."""
    few, many = rehearsal_of(MANY // 100), rehearsal_of(MANY // 10)
    name = "rehearsal of a job for 1,000 nodes"
    peer = "ten rehearsals of a hundred"
    return Figure(name, many.processor, peer, 10 * few.processor, 2.0, also=many.processor < REHEARSAL_S)


def figures() -> list[Figure]:
    """All of them."""
    return [preview(), monitor(), abort(), rehearsal()]
