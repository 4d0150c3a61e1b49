"""Many worlds: seeds in blocks, each block a shard of work that can be shared out, and the reports merged."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Final

from py_esp_ota.hunt.draw import draw
from py_esp_ota.hunt.play import play
from py_esp_ota.hunt.result import Report
from py_esp_ota.work import Work

BLOCK: Final = 25
"""Seeds of one shard: about a second."""


@dataclass(frozen=True, slots=True)
class Seeds:
    """Which seeds: ``count`` from ``first`` on. Shard ``n`` is its ``n``-th block."""

    first: int
    count: int

    @property
    def shards(self) -> range:
        """The numbers of the blocks."""
        return range(-(-self.count // BLOCK))

    def of(self, shard: int) -> range:
        """The seeds of a block."""
        end = self.first + self.count
        return range(min(self.first + shard * BLOCK, end), min(self.first + (shard + 1) * BLOCK, end))


def hunt(seeds: Iterable[int]) -> Report:
    """Play the worlds of some seeds."""
    _settle()
    return Report.of(play(draw(seed)) for seed in seeds)


@cache
def _settle() -> None:
    """What is imported stays: the collector need not walk through it for each world."""
    gc.collect()
    gc.freeze()


def hunt_shard(seeds: Seeds, shard: int) -> Report:
    """One block, as work does it."""
    return hunt(seeds.of(shard))


def campaign(seeds: Seeds) -> Work[Seeds, Report]:
    """A campaign as work that can be shared out."""
    return Work(hunt_shard, seeds, Report.__add__, Report())
