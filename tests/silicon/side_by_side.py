"""Espressif's compiled bootloader and our model, each on its own copy of one flash: what each does with it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from builds import C3, Build, bootloader

from py_esp_ota._core import Flash
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.idf.bootloader import boot
from py_esp_ota.silicon import FlashWrite, Machine, SiliconReport

__all__ = ["BUILDS", "Build", "Pair", "Side", "bootloader", "both", "plain", "settle"]

#: The C3's, which most tests of random flashes are about.
BUILDS = C3


@dataclass(frozen=True)
class Side:
    """What one of the two made of it. ``app`` is the flash offset of the app that runs."""

    app: int | None
    log: tuple[str, ...]
    flash: bytes


@dataclass(frozen=True)
class Pair:
    """Both."""

    silicon: Side
    model: Side
    runs: tuple[SiliconReport, ...]

    @property
    def writes(self) -> list[FlashWrite]:
        return [write for run in self.runs for write in run.flash_writes]


def plain(lines: Iterable[str]) -> tuple[str, ...]:
    """Lines without their time stamps, which nothing on either side measures."""
    return tuple(re.sub(r"^(\w) \(\d+\) ", r"\1 ", line) for line in lines)


def settle(machine: Machine, chip: Chip) -> list[SiliconReport]:
    """Run after run until an app runs, one run aborts, or a run leaves the flash as an earlier one did."""
    runs: list[SiliconReport] = []
    seen: set[bytes] = set()
    while True:
        runs.append(machine.run(chip))
        if runs[-1].outcome != "RESET" or not runs[-1].flash_writes:
            return runs
        left = chip.flash.to_bytes()
        if left in seen:
            return runs
        seen.add(left)
        chip.reset_reason = ResetReason.SW


def both(machine: Machine, build: Build, flash: Flash) -> Pair:
    """Boot ``flash``, which holds the bootloader already, on both sides; it stays as it is."""
    real, ours = Chip(build.chip, flash=flash.fork()), Chip(build.chip, flash=flash.fork())
    runs = settle(machine, real)
    report = boot(ours, build.config)
    lines = plain(line for run in runs for line in run.log)
    return Pair(
        Side(runs[-1].slot, lines, real.flash.to_bytes()),
        Side(report.partition.offset if report.partition else None, plain(report.log), ours.flash.to_bytes()),
        tuple(runs),
    )
