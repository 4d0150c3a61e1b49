"""A fleet in parts, for many processes or machines: each part is a pure job, and their results add up to the whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
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
class Job:
    """One job of a fleet, in so many parts."""

    source: Source
    number: int  # of the job, from 0
    parts: int


def play_part(job: Job, part: int) -> FleetResult:
    """What becomes of one part, counted from 0."""
    fleet = _read(job.source)
    population = replace(fleet.population, shard=(part + 1, job.parts))
    return run_virtual(run_fleet(population, fleet.jobs[job.number], told=_nobody))


def work_of(source: Source, number: int, *, workers: int) -> tuple[Work[Job, FleetResult], int]:
    """The work of one job of a fleet, and how many parts it has: at least two for each worker.

    Raises ``ValueError``: the job's plan looks at all devices at once.
    """
    fleet = _read(source)
    order = fleet.jobs[number]
    if problem := not_in_parts(order):
        raise ValueError(problem)
    devices = fleet.population.of_kinds(order.kinds).devices
    parts = parts_of(devices, workers)
    nothing = FleetResult(seed=fleet.population.seed, members=())
    return Work(play_part, Job(source, number, parts), add, nothing), parts


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
