"""How much memory a fleet takes: reckoned before it begins. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

from py_esp_ota.fleet.fleet import room_of
from py_esp_ota.fleet.members import JobOrder
from py_esp_ota.fleet.population import Population

_GIB = 1 << 30
_SPARE = 256 << 20
"""Bytes for everything that there is once."""


def too_many(population: Population, jobs: Sequence[JobOrder], free: int | None) -> str:
    """One sentence when the devices do not fit into ``free`` bytes, with the number that does; else nothing.

    Jobs are played one after the other, so it is the largest that has to fit.
    """
    if free is None:
        return ""
    need, each, most = max(
        (many * room_of(job), room_of(job), many) for job in jobs for many in [population.of_kinds(job.kinds).devices]
    )
    fit = int(population.devices * max(free - _SPARE, 0) / max(need, 1))
    if fit >= population.devices:
        return ""
    return (
        f"{most:,} devices at once need {need / _GIB:.1f} GiB of memory, {each >> 10} KiB each, and "
        f"{free / _GIB:.1f} GiB are free: " + (f"{fit:,} fit, --devices {fit}" if fit else "not one fits")
    )
