"""How much memory a fleet takes: reckoned before it begins. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

from py_esp_ota.fleet.members import JobOrder
from py_esp_ota.fleet.population import LARGEST_PART, Population
from py_esp_ota.lives.sky import AWAKE

EACH = 12 << 10
"""Bytes that one device takes, here and in the cloud's tables."""

TOLD = 4 << 10
"""Bytes of what became of one device, where parts come together, until it is printed as JSON."""

_GIB = 1 << 30
_SPARE = 256 << 20  # bytes for everything that there is once
_BESIDE = 512 << 10  # bytes of a device that is whole, beside its image


def too_many(population: Population, jobs: Sequence[JobOrder], free: int | None, *, workers: int = 1) -> str:
    """One sentence when the devices do not fit into ``free`` bytes, with the number that does; else nothing.

    Args:
        population: the devices.
        jobs: they are played one after the other, so it is the largest that has to fit.
        free: bytes; ``None`` when nobody knows.
        workers: play parts of it at once, and what became of each device comes together here; 0 when they have other
            memory. With one there are no parts.
    """
    if free is None:
        return ""
    most, each = max(population.of_kinds(job.kinds).devices for job in jobs), EACH
    once = workers * (_SPARE + AWAKE * (_BESIDE + max(len(job.image) for job in jobs)))
    if workers != 1:
        once += workers * min(most, LARGEST_PART) * EACH
        most, each = population.devices, TOLD
    fit = int(population.devices * max(free - once, 0) / (most * each))
    if fit >= population.devices:
        return ""
    need = once + most * each
    return (
        f"{most:,} devices at once need {need / _GIB:.1f} GiB of memory, {each >> 10} KiB each, and "
        f"{free / _GIB:.1f} GiB are free: " + (f"{fit:,} fit, --devices {fit}" if fit else "not one fits")
    )
