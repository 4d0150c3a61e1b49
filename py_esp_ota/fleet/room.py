"""How much memory a fleet takes: reckoned before it begins. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

from py_esp_ota.fleet.members import JobOrder
from py_esp_ota.fleet.population import Population, parts_of
from py_esp_ota.lives.sky import AWAKE

EACH = 12 << 10
"""Bytes that one device takes, here and in the cloud's tables."""

_GIB = 1 << 30
_SPARE = 256 << 20  # bytes for everything that there is once
_BESIDE = 512 << 10  # bytes of a device that is whole, beside its image


def too_many(population: Population, jobs: Sequence[JobOrder], free: int | None, *, workers: int = 1) -> str:
    """One sentence when the devices do not fit into ``free`` bytes, with the number that does; else nothing.

    Jobs are played one after the other, so it is the largest that has to fit; ``workers`` play parts of it at once.
    """
    if free is None:
        return ""
    most = max(population.of_kinds(job.kinds).devices for job in jobs)
    if workers > 1:
        most = workers * -(-most // parts_of(most, workers))
    once = workers * _SPARE + workers * AWAKE * (_BESIDE + max(len(job.image) for job in jobs))
    fit = int(population.devices * max(free - once, 0) / (most * EACH))
    if fit >= population.devices:
        return ""
    need = once + most * EACH
    return (
        f"{most:,} devices at once need {need / _GIB:.1f} GiB of memory, {EACH >> 10} KiB each, and "
        f"{free / _GIB:.1f} GiB are free: " + (f"{fit:,} fit, --devices {fit}" if fit else "not one fits")
    )
