"""One found image on a chip that is switched on: how far it comes, or the first thing that is not here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from py_esp_ota._core import EFuse, Flash, ImageHeader, Partition, PartitionTable, Target
from py_esp_ota.chip import Chip
from py_esp_ota.firmware import Firmware, merge
from py_esp_ota.idf.detect import load_flash
from py_esp_ota.silicon import Machine
from py_esp_ota.silicon.chips.peripherals import PERIPHERALS
from py_esp_ota.silicon.report import SiliconReport
from tools.survey.found import Found

_TABLE_AT, _APP_AT = 0x8000, 0x10000
_HEADER = 24
_SMALLEST, _ROOM = 0x200000, 0x10000
#: How long an app is watched: seconds of the chip, of the host, and of the chip between two looks at the host's clock.
SECONDS, _PATIENCE, _LOOK = 3.0, 60.0, 0.05
_LINES = 8
_NO_REVISION = 0xFFFF

#: The real ROM of a chip in a revision, where it can be had.
Roms = Callable[[str, int], bytes | None]


@dataclass(frozen=True)
class Came:
    """``outcome``: ``boots``, ``runs``, or where it stopped. ``lines`` are the last that it printed."""

    outcome: str
    lines: tuple[str, ...] = ()


class Bench:
    """Machines for all chips, each made once."""

    def __init__(self, roms: Roms, *, seconds: float = SECONDS) -> None:
        self._roms = roms
        self._seconds = seconds
        self._machines: dict[tuple[str, bytes | None], Machine] = {}

    def tried(self, one: Found, *, bootloader: bytes | None = None) -> Came:
        """Boot it, and run what it boots. An app alone needs a ``bootloader`` of its chip."""
        try:
            if one.kind == "bootloader":
                return self._booted(one)
            if one.kind == "app" and bootloader is None:
                return Came("not tried: no bootloader for it")
            return self._run(one, bootloader or b"")
        except ValueError as error:
            return Came(str(error).partition(";")[0])

    def _machine(self, chip: Chip) -> Machine:
        name, rom = chip.target.name, self._roms(chip.target.name, chip.efuse.chip_revision)
        if (name, rom) not in self._machines:
            self._machines[name, rom] = Machine(name, rom=rom)
        return self._machines[name, rom]

    def _booted(self, one: Found) -> Came:
        """A bootloader, with a small app of ours behind it."""
        app = Firmware("survey", "1.0.0", chip=one.chip, min_chip_rev_full=0).to_bytes()
        chip = _chip(one.chip, one.data, app, accepts=one.data)
        ended = self._machine(chip).run(chip)
        return Came(_end(ended), ended.log[-_LINES:])

    def _run(self, one: Found, bootloader: bytes) -> Came:
        """A merged image, or an app behind a bootloader of its chip; the app is watched where its devices are here."""
        if one.kind == "merged":
            flash = load_flash(one.data, one.table, start=one.start)
            header = flash.read(Target(one.chip).bootloader_offset, _HEADER)
            chip = Chip(one.chip, flash=flash, efuse=_fuses(one.chip, header))
        else:
            chip = _chip(one.chip, bootloader, one.data, accepts=one.data)
        if one.chip not in PERIPHERALS:
            ended = self._machine(chip).run(chip)
            return Came(_end(ended), ended.log[-_LINES:])
        return self._watched(chip)

    def _watched(self, chip: Chip) -> Came:
        session = self._machine(chip).session(chip)
        text, until = "", time.monotonic() + _PATIENCE
        while session.seconds < self._seconds and session.trap is None and time.monotonic() < until:
            session.run(min(_LOOK, self._seconds - session.seconds))
            text += session.take()
        lines = tuple(text.splitlines()[-_LINES:])
        if not session.boots or session.boots[0].outcome != "APP":
            return Came(_end(session.boots[0]) if session.boots else str(session.trap), lines)
        if session.trap is not None:
            return Came(f"boots; app: {session.trap.reason} after {session.seconds:.1f} s", lines)
        resets = f", {len(session.resets)} resets, the last {session.resets[-1].name}" if session.resets else ""
        return Came(f"boots; runs {session.seconds:.1f} s{resets}", lines)


def _end(ended: SiliconReport) -> str:
    if ended.outcome == "APP":
        return "boots"
    if ended.trap is not None:
        return str(ended.trap.reason if ended.trap.ours else ended.trap)
    said = [line for line in ended.log if line.startswith("E (")]
    return f"{ended.outcome}{': ' + said[0] if said else ''}"


def _fuses(chip: str, header: bytes) -> EFuse:
    """A chip of a revision that default builds accept, and this image too."""
    head = ImageHeader.from_bytes(header[:_HEADER])
    usual = Chip(chip).efuse.chip_revision
    least, most = head.min_chip_rev_full, head.max_chip_rev_full
    if usual < least < _NO_REVISION:
        return EFuse(chip, chip_revision=least)
    return EFuse(chip, chip_revision=most if 0 < most < usual else usual)


def _chip(chip: str, bootloader: bytes, app: bytes, *, accepts: bytes) -> Chip:
    """A chip that ``accepts`` is built for, with this bootloader, and the app as its factory app.

    Its flash is as large as the bootloader's header says, or as both need.
    """
    room = -(-len(app) // _ROOM) * _ROOM
    rows = [Partition("nvs", 1, 2, 0x9000, 0x6000), Partition("phy_init", 1, 1, 0xF000, 0x1000)]
    rows.append(Partition("factory", 0, 0, _APP_AT, room))
    parts = {Target(chip).bootloader_offset: bootloader, _TABLE_AT: PartitionTable(rows).to_bytes(), _APP_AT: app}
    size = max(_SMALLEST, 1 << 20 + min(ImageHeader.from_bytes(bootloader[:_HEADER]).spi_size, 7))
    while size < _APP_AT + room:
        size *= 2
    return Chip(chip, flash=Flash.from_bytes(merge(parts), size=size), efuse=_fuses(chip, accepts))
