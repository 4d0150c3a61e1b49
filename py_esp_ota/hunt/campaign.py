"""Many worlds: seeds in blocks, each block a shard of work that can be shared out, and the reports merged."""

from __future__ import annotations

import gc
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from py_esp_ota.hunt.corpus import Corpus
from py_esp_ota.hunt.draw import draw
from py_esp_ota.hunt.play import play
from py_esp_ota.hunt.result import Report
from py_esp_ota.hunt.world import read_world
from py_esp_ota.mutants import MUTANTS
from py_esp_ota.work import Work

BLOCK: Final = 25
"""Seeds of one shard: about a second."""


@dataclass(frozen=True, slots=True)
class Seeds:
    """Which seeds: ``count`` from ``first`` on. Shard ``n`` is its ``n``-th block.

    ``mutant`` is a bug that is switched on while they are played; with ``keep`` the harvest has a corpus, too.
    """

    first: int
    count: int
    mutant: str | None = None
    keep: bool = False

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


@dataclass(frozen=True, slots=True)
class Harvest:
    """What came of some blocks. ``+`` is commutative and associative."""

    report: Report = field(default_factory=Report)
    corpus: Corpus = field(default_factory=Corpus)

    def __add__(self, other: Harvest) -> Harvest:
        return Harvest(self.report + other.report, self.corpus + other.corpus)


def hunt_shard(seeds: Seeds, shard: int) -> Harvest:
    """One block, as work does it."""
    _settle()
    with MUTANTS[seeds.mutant].on() if seeds.mutant else nullcontext():
        runs = [play(draw(seed)) for seed in seeds.of(shard)]
    return Harvest(Report.of(runs), Corpus.of(runs) if seeds.keep else Corpus())


def campaign(seeds: Seeds) -> Work[Seeds, Harvest]:
    """A campaign as work that can be shared out."""
    return Work(hunt_shard, seeds, Harvest.__add__, Harvest())


def again(lines: Iterable[str]) -> Harvest:
    """Worlds that were kept, played once more."""
    runs = [play(read_world(line)) for line in lines]
    return Harvest(Report.of(runs), Corpus.of(runs))
