"""What ten open monitors cost the intake: the same reports with them and without, in turns."""

from __future__ import annotations

import asyncio
import itertools
import random
import statistics
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from benchmarks.timing import Figure
from py_esp_ota.adapters.clock import SystemClock
from py_esp_ota.adapters.http import serve
from py_esp_ota.adapters.memory import MemoryBroker
from py_esp_ota.cloud.accounts import Accounts
from py_esp_ota.cloud.api import create_app
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.store import Store
from py_esp_ota.cloud.web import mount_web
from py_esp_ota.firmware import Firmware
from py_esp_ota.ports import Mqtt
from py_esp_ota.rainmaker.messages import OTASTATUS, OtaStatusReport, topic

MONITORS = 10
NODES = 100
BURST = 10
SECONDS = 3.0  # of reports in each round
ROUNDS = 3
AT_MOST = 1 / 0.8
"""Of the time without monitors: they may take a fifth of the intake."""


def figures() -> list[Figure]:
    """Ten pages of one job, and the pages of ten jobs."""
    return [asyncio.run(_watched(jobs)) for jobs in (1, MONITORS)]


async def _watched(jobs: int) -> Figure:
    async with _cloud() as (service, url, nodes):
        image = service.images.add("lamp", Firmware("lamp", "1.1.0").to_bytes()).ota_image_id
        ids = list(nodes)
        shares = [ids[share::jobs] for share in range(jobs)]
        made = [service.jobs.create(f"job {number}", image, nodes=share) for number, share in enumerate(shares)]
        load = _Load(service, nodes, {node: made[i % jobs].job.ota_job_id for i, node in enumerate(ids)})
        count = round(200 * SECONDS / await load.run(200))  # warm, and as many as take about so long
        with_monitors, without, news = [], [], []
        addresses = [f"/jobs/{made[number % jobs].job.ota_job_id}" for number in range(MONITORS)]
        for _ in range(ROUNDS):
            without.append(await load.run(count))
            async with _watchers(url, addresses) as told:
                with_monitors.append(await load.run(count))
            news.append(told[0])
    ours, peer = statistics.median(with_monitors), statistics.median(without)
    seen = min(news) > 0  # else it was fast because nobody was told
    which = "one job" if jobs == 1 else f"{jobs} jobs"
    note = f", {count} reports, monitors of {which}, told {statistics.median(news)} times"
    name = "nodes report while ten monitors are open"
    return Figure(name, ours, "the same with none", peer, AT_MOST, also=seen, note=note)


class _Load:
    """Nodes that report as fast as the cloud takes it."""

    def __init__(self, service: CloudService, nodes: dict[str, Mqtt], jobs: dict[str, str]) -> None:
        self._service, self._nodes, self._jobs = service, nodes, jobs
        self._words = itertools.count()

    async def run(self, count: int) -> float:
        """Seconds of this process, the server's and the nodes', from the first report until the last is stored."""
        told = asyncio.Event()
        self._service.live.listeners.add(told)
        begun = time.process_time()
        for number, node_id in zip(range(count), itertools.cycle(self._nodes), strict=False):
            words = f"Downloaded {number % 100}% Firmware Image, {next(self._words)}"
            report = OtaStatusReport(ota_job_id=self._jobs[node_id], status="in-progress", additional_info=words)
            await self._nodes[node_id].publish(topic(node_id, OTASTATUS), report.encode())
            if number % BURST == 0:
                await asyncio.sleep(0)  # as over a socket, where no more than this comes at once
        while not self._heard(node_id, words):
            await told.wait()
            told.clear()
        self._service.live.listeners.discard(told)
        return time.process_time() - begun

    def _heard(self, node_id: str, words: str) -> bool:
        states = self._service.jobs.node_status(self._jobs[node_id], node_id=node_id).items
        return states[0].additional_info == words


@asynccontextmanager
async def _cloud() -> AsyncIterator[tuple[CloudService, str, dict[str, Mqtt]]]:
    """A cloud with its page on loopback, and nodes that are connected."""
    numbers = random.Random(7)
    store, clock = Store(), SystemClock()

    def token_hex(size: int) -> str:
        return numbers.randbytes(size).hex()

    service = CloudService(store, clock=clock, public_url="http://127.0.0.1", token_hex=token_hex)
    accounts = Accounts(store, clock=clock, token_hex=token_hex, deliver=lambda _name, _code: None)
    app = create_app(service, accounts)
    mount_web(app, service)
    broker = MemoryBroker()
    broker.on_presence(service.intake.on_presence)
    life = asyncio.create_task(service.run(broker.session))
    await service.wait_connected()
    async with serve(app) as url, AsyncExitStack() as sessions:
        names = [f"node{number:03d}" for number in range(NODES)]
        yield service, url, {name: await sessions.enter_async_context(broker(name)) for name in names}
    life.cancel()
    await asyncio.gather(life, return_exceptions=True)
    store.close()


@asynccontextmanager
async def _watchers(url: str, addresses: list[str]) -> AsyncIterator[list[int]]:
    """A process of its own that holds one stream for each address, as so many browsers do; how often they were told."""
    command = (sys.executable, "-m", "benchmarks.watchers", url, *addresses)
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    assert await process.stdout.readline() == b"open\n"
    told: list[int] = []
    yield told
    process.stdin.close()
    told.append(int(await process.stdout.readline()))
    await process.wait()
