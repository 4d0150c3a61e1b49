"""The jobs of a fleet's file: which image for which kinds, and how it is rolled out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from itertools import count

from py_esp_ota._core import ImageHeader, Target, inspect_image
from py_esp_ota.cloud.jobs import DEFAULT_PRIORITY, DEFAULT_TIMEOUT_S
from py_esp_ota.cloud.new_job import JOB_NAME_LIMIT, TIMEOUT_LIMIT_S, checked_metadata
from py_esp_ota.cloud.plan import GROUP, Abort, Gate, Plan
from py_esp_ota.cloud.refusals import CloudError
from py_esp_ota.fleet.images import FORGED, forged
from py_esp_ota.fleet.members import JobOrder, Kind
from py_esp_ota.fleet.population import Population
from py_esp_ota.fleet.written import Table, no_word

_JOB = ("image", *FORGED, "name", "kinds", "force_push", "metadata", "priority", "timeout", "plan")


def jobs_of(top: Table, population: Population, read: Callable[[str], bytes]) -> tuple[JobOrder, ...]:
    """The jobs; every kind of the population is in one of them. Raises ``ValueError``."""
    tables = [Table(top.values["job"], "job: ")] if isinstance(top.values.get("job"), Mapping) else [*top.tables("job")]
    if not tables:
        raise ValueError("job: there is none; begin it with [job]")
    orders = tuple(_order(table, population, read) for table in tables)
    for kind in population.kinds:
        of = [number for number, order in zip(count(1), orders, strict=False) if kind.name in order.kinds]
        if not of:
            raise ValueError(f"kind {kind.name}: no job is for it; an image for {kind.chip} is, or name it in kinds")
        if len(of) > 1:
            raise ValueError(f"kind {kind.name}: jobs {of[0]} and {of[1]} are for it, and a device takes one")
    return orders


def _order(table: Table, population: Population, read: Callable[[str], bytes]) -> JobOrder:
    table.only(*_JOB)
    named = _named(table, population)
    image = _image(table, named or population.kinds, read)
    target = Target.from_chip_id(ImageHeader.from_bytes(image).chip_id)
    chip = target.name if target else ""
    kinds = tuple(kind.name for kind in named or population.kinds if named or kind.chip == chip)
    if not kinds:
        raise ValueError(f"{table.where}its image is for {chip or 'no chip that is known'}, and no kind is")
    try:
        metadata = checked_metadata(table.table("metadata").values, population.begin * 1000)
    except CloudError as error:
        raise ValueError(f"{table.where}{error}") from None
    except TypeError:
        raise table.wrong("metadata", "contains what JSON has not, a time perhaps") from None
    desc = inspect_image(image).app_desc
    usual = f"{desc.project_name} {desc.version}" if desc else "update"
    return JobOrder(
        image=image,
        name=table.text("name", usual)[:JOB_NAME_LIMIT],
        kinds=kinds,
        force_push=table.flag("force_push", usual=True),
        metadata=metadata,
        priority=table.whole("priority", DEFAULT_PRIORITY, low=1, high=9),
        timeout=table.whole("timeout", DEFAULT_TIMEOUT_S, low=1, high=TIMEOUT_LIMIT_S),
        plan=_plan(table.table("plan")),
    )


def _named(table: Table, population: Population) -> tuple[Kind, ...]:
    there = {kind.name: kind for kind in population.kinds}
    names = tuple(dict.fromkeys(table.texts("kinds")))
    for name in names:
        if name not in there:
            raise no_word(f"{table.where}kinds: ", name, list(there), "kind")
    return tuple(there[name] for name in names)


def _image(table: Table, kinds: tuple[Kind, ...], read: Callable[[str], bytes]) -> bytes:
    name = table.text("image")
    if name:
        for key in table.has(*FORGED):
            raise table.wrong(key, "an image says it itself; it is for one that is made up")
        return read(name)
    if not table.has("version"):
        raise ValueError(f"{table.where}what is brought? a file as image, or the version of an image that is made up")
    like = next((kind for kind in kinds if kind.chip == table.values.get("chip")), kinds[0])
    desc = inspect_image(like.image).app_desc
    project = desc.project_name if desc else ""
    release = like.config.idf_version
    return forged(table, chip=like.chip, project=project, version="", size=len(like.image), idf=release)


def _plan(table: Table) -> Plan:
    table.only(*(field.name for field in fields(Plan)))
    table.table("gate").only(*(field.name for field in fields(Gate)))
    table.table("abort").only(*(field.name for field in fields(Abort)))
    try:
        plan = Plan.from_json(table.values)
    except ValueError as error:
        raise ValueError(f"{table.where.removesuffix('plan.')}{error}") from None
    if any(phase.startswith(GROUP) for phase in plan.phases):
        raise table.wrong("phases", "a fleet has no groups; say how many, as 10, 5% or rest")
    return plan
