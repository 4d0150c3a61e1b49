"""A fleet in parts, for many processes or machines: each part is a pure job, and their results add up to the whole."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from operator import add

from py_esp_ota._core import PartitionTable
from py_esp_ota.adapters.virtual_time import run_virtual
from py_esp_ota.cloud.plan import Plan
from py_esp_ota.fleet.file import FleetFile, read_fleet
from py_esp_ota.fleet.fleet import run_fleet
from py_esp_ota.fleet.members import JobOrder
from py_esp_ota.fleet.population import parts_of
from py_esp_ota.fleet.result import FleetResult, SoFar
from py_esp_ota.work import Work


@dataclass(frozen=True, slots=True)
class Source:
    """A fleet as plain data: its file, what the file names, and what is said instead of it."""

    text: str
    apps: tuple[tuple[str, bytes], ...] = ()  # images by their names
    tables: tuple[tuple[str, bytes], ...] = ()  # binary ones
    devices: int | None = None
    seed: int | None = None

    def app(self, name: str) -> bytes:
        """An image. See ``file.Files``."""
        return dict(self.apps)[name]

    def table(self, name: str) -> PartitionTable:
        """A table. See ``file.Files``."""
        return PartitionTable.from_bytes(dict(self.tables)[name])

    def read(self) -> FleetFile:
        """The fleet. Raises ``ValueError`` as ``read_fleet`` does."""
        fleet = read_fleet(self.text, self)
        there = fleet.population
        devices = there.devices if self.devices is None else self.devices
        seed = there.seed if self.seed is None else self.seed
        return replace(fleet, population=replace(there, devices=devices, seed=seed))


@dataclass(frozen=True, slots=True)
class Jobs:
    """All jobs of a fleet, each in so many parts. Shards are the parts of the first job, then those of the next."""

    source: Source
    parts: tuple[int, ...]  # of each job

    def place(self, shard: int) -> tuple[int, int]:
        """The number of a shard's job, and which part of it the shard is, both from 0."""
        ends = list(accumulate(self.parts))
        job = bisect_right(ends, shard)
        return job, shard - (ends[job] - self.parts[job])


def play_part(jobs: Jobs, shard: int) -> FleetResult:
    """What becomes of one part under its job."""
    fleet = _read(jobs.source)
    job, part = jobs.place(shard)
    population = replace(fleet.population, shard=(part + 1, jobs.parts[job]))
    return run_virtual(run_fleet(population, fleet.jobs[job], told=_nobody))


def work_of(source: Source, *, workers: int) -> tuple[Work[Jobs, FleetResult], range]:
    """The work of a fleet, and its shards: at least two of each job for each worker.

    Jobs are for different devices, so whoever is free takes a part of any: workers are opened once, whatever is played.

    Raises ``ValueError``: a job's plan looks at all devices at once.
    """
    fleet = _read(source)
    parts = []
    for order in fleet.jobs:
        if problem := not_in_parts(order):
            raise ValueError(problem)
        parts.append(parts_of(fleet.population.of_kinds(order.kinds).devices, workers))
    nothing = FleetResult(seed=fleet.population.seed, members=())
    return Work(play_part, Jobs(source, tuple(parts)), add, nothing), range(sum(parts))


def not_in_parts(order: JobOrder) -> str:
    """One sentence when a job cannot be played in parts; else nothing."""
    plan = order.plan
    if plan == Plan(answer_within=plan.answer_within, node_timeout=plan.node_timeout, start=plan.start):
        return ""
    return (
        f"the plan of {order.name} (phases, gate, limits, pace) looks at all devices at once: they cannot be shared out"
    )


@lru_cache(maxsize=2)
def _read(source: Source) -> FleetFile:
    return source.read()


def _nobody(_far: SoFar) -> None:
    pass
