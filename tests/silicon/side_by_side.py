"""Espressif's compiled bootloader and our model, each on its own copy of one chip: what each does with it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

from builds import C2, C3, C3_OLDER, C5, C6, C6_OLDER, C61, H2, XTENSA, XTENSA_MORE, Build, bootloader
from console_lines import essential, plain

from py_esp_ota import inspect_image
from py_esp_ota._core import EFuse, Flash, Sectors
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.firmware import layout_of
from py_esp_ota.idf.bootloader.start import BootReport, boot
from py_esp_ota.silicon import FlashWrite, Machine, SiliconReport

__all__ = ["BUILDS", "Build", "Pair", "Side", "bootloader", "both", "copied", "plain", "settle", "sized"]


#: The C3's, which most tests of random flashes are about.
BUILDS = (*C3, *C3_OLDER)
#: Those that random flashes go to.
ALL_BUILDS = (*BUILDS, *C2, *C5, *C6, *C6_OLDER, *C61, *H2, *XTENSA, *XTENSA_MORE)


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

    @property
    def not_followed(self) -> str | None:
        """Why our model does not follow the chip here: then nothing is compared."""
        if any(line.startswith(_BEHIND) for line in self.model.log):
            return "behind the end of the flash, where a chip reads on from the beginning"
        if self._maps_too_much():
            return "a third mapped segment overwrites the stack of a loader without assertions"
        return None

    def differences(self, *, logs: bool) -> list[str]:
        """What the two do not agree on, one line each; nothing where the model does not follow the chip.

        A loader that writes until the addresses come round is lost where it overwrote itself: only what it left is
        compared.
        """
        if self.not_followed is not None:
            return []
        lost = any(_comes_round(line) for line in self.model.log)
        found = [f"machine code was left: {run.trap}" for run in self.runs if run.trap is not None and not lost]
        if self.silicon.app != self.model.app:
            found.append(f"app: silicon {_at(self.silicon.app)}, model {_at(self.model.app)}")
        one, other = self.silicon.chip.flash, self.model.chip.flash
        if not one.same(other, every_sector(one.size)):
            at = _first_difference(one.to_bytes(), other.to_bytes())
            found.append(f"flash at 0x{at:x}: silicon {one.read(at, 4).hex()}, model {other.read(at, 4).hex()}")
        silicon, model = ((*essential(side.log), "the end") for side in (self.silicon, self.model))
        if logs and silicon != model and not lost:
            at = next(at for at, pair in enumerate(zip(silicon, model, strict=False)) if pair[0] != pair[1])
            found.append(f"line {at}: silicon {silicon[at]!r}, model {model[at]!r}")
        return found

    def _maps_too_much(self) -> bool:
        """The app that our model starts has more mapped segments than its chip's loader has room for."""
        chip, at = self.model.chip, self.model.app
        layout = layout_of(chip.target.name)
        if at is None or layout.drom != layout.irom:
            return False
        data = chip.flash.read(at, min(_LARGEST_APP, chip.flash.size - at))
        segments = inspect_image(data, chip=chip.target.name).segments
        return sum(segment.kind == "map" for segment in segments) > _WINDOWS


_LARGEST_APP = 0x30000
_WINDOWS = 2
_BEHIND = "E esp_image: bootloader_mmap("
_RANGE = re.compile(r"E esp_image: Segment \d+ 0x([0-9a-f]+)-0x([0-9a-f]+) invalid: bad load address range")


def _comes_round(line: str) -> bool:
    told = _RANGE.fullmatch(line)
    return told is not None and int(told[2], 16) < int(told[1], 16)


def _at(offset: int | None) -> str:
    return "none" if offset is None else f"0x{offset:x}"


def _first_difference(one: bytes, other: bytes) -> int:
    """Where they are not the same; sector by sector first, for a flash is large."""
    sector = next(at for at in range(0, len(one), 0x1000) if one[at : at + 0x1000] != other[at : at + 0x1000])
    return next(at for at in range(sector, len(one)) if one[at] != other[at])


@cache
def every_sector(size: int) -> Sectors:
    """All sectors of a flash of ``size`` bytes."""
    flash = Flash(size)
    flash.watch()
    flash.read(0, size)
    return flash.needed()


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
    twin = Chip(chip.target.name, flash=chip.flash.fork(), efuse=EFuse.from_json(chip.efuse.to_json()))
    twin.reset_reason = chip.reset_reason
    return twin


def both(machine: Machine, build: Build, what: Chip | Flash) -> Pair:
    """Boot a chip, whose flash holds the bootloader already, on both sides; it stays as it is."""
    chip = Chip(build.chip, flash=what) if isinstance(what, Flash) else what
    real, ours = copied(chip), copied(chip)
    return Pair.of(real, settle(machine, real), ours, boot(ours, build.config))
