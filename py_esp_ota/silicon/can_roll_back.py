"""Can this bootloader roll back? It is not read off its bytes, which do not tell: it is run, on a copy of the flash.

An update that nobody has confirmed is put into otadata as NEW, and the chip is switched on, and reset. With
``CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE`` the entry is PENDING_VERIFY after the first start and ABORTED after the
second, which starts the app before it; without, the update stays NEW and starts for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from py_esp_ota._core import (
    BootTable,
    EFuse,
    Flash,
    ImageHeader,
    OtaSelectEntry,
    PartitionTable,
    verify_partition_table,
)
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.errors import EspErr, FlashError
from py_esp_ota.firmware import Firmware, ota_select_entry
from py_esp_ota.silicon.oracle import BootOracle
from py_esp_ota.silicon.report import SiliconReport

_SECTOR, _TABLE_MAX_LEN, _OTADATA_SIZE = 0x1000, 0xC00, 0x2000
_ENTRY, _HEADER, _NO_BOUND = 32, 24, 0xFFFF
_NEW, _PENDING_VERIFY, _VALID, _ABORTED = 0, 1, 2, 4
_CSV = "otadata,data,ota,,0x2000\nota_0,app,ota_0,,0x10000\nota_1,app,ota_1,,0x10000\n"


@dataclass(frozen=True, slots=True)
class CanRollBack:
    """``answer`` is ``None`` when it could not be asked. ``reason``: what was seen, or why nothing was."""

    answer: bool | None
    reason: str


@dataclass(frozen=True, slots=True)
class _Layout:
    """A partition table with two OTA slots: addresses in flash. ``data``: its bytes, when it is not there already."""

    name: str
    otadata: int
    slots: tuple[int, int]
    data: bytes = b""


def can_roll_back(chip: Chip, oracle: BootOracle, *, table_offset: int = 0x8000) -> CanRollBack:
    """Run the bootloader in the flash of ``chip`` to see whether it takes an unconfirmed update back.

    The flash's own partition table serves when it has two OTA slots; else, or when nothing starts with it, one that is
    made for this. The apps are made, too. ``chip`` stays as it is.

    Args:
        chip: in whose flash the bootloader lies.
        oracle: what runs it.
        table_offset: where the bootloader looks for its partition table, bytes.

    Never raises for bad bytes.
    """
    why = oracle.unavailable(chip.target.name)
    if why is not None:
        return CanRollBack(None, why)
    said = CanRollBack(None, f"a flash of 0x{chip.flash.size:x} bytes has no room for two slots")
    for layout in _layouts(chip.flash, table_offset):
        said = _asked(chip, oracle, layout, table_offset)
        if said.answer is not None:
            break
    return said


def _layouts(flash: Flash, table_offset: int) -> Iterator[_Layout]:
    """The flash's own table, if it will do, and a made one, if there is room."""
    try:
        verdict = verify_partition_table(flash.mmap(table_offset, _TABLE_MAX_LEN), flash.size)
    except FlashError:
        return
    table = BootTable(verdict.rows) if verdict.err == EspErr.ESP_OK else None
    own = None if table is None else _layout("the flash's own partition table", table)
    if own is not None:
        yield own
    made = PartitionTable.from_csv(_CSV, table_offset=table_offset)
    last = made[-1]
    layout = _layout("a partition table made for it", BootTable(list(made)), made.to_bytes())
    if layout is not None and last.offset + last.size <= flash.size:
        yield layout


def _layout(name: str, table: BootTable, data: bytes = b"") -> _Layout | None:
    otadata, one, two = table.ota_info, table.partition(0), table.partition(1)
    if otadata is None or one is None or two is None or table.app_count < len((one, two)):
        return None
    room = len(_app("esp32c3"))
    fits = otadata.size >= _OTADATA_SIZE and one.size >= room and two.size >= room
    even = all(row.offset and row.offset % _SECTOR == 0 for row in (otadata, one, two))
    return _Layout(name, otadata.offset, (one.offset, two.offset), data) if fits and even else None


def _app(chip: str) -> bytes:
    return Firmware("can_roll_back", "1", chip=chip).to_bytes()


def _asked(chip: Chip, oracle: BootOracle, layout: _Layout, table_offset: int) -> CanRollBack:
    """Two starts, the second after a reset by software."""
    probe = _probe(chip, layout, table_offset)
    for state in (_PENDING_VERIFY, _ABORTED):
        run = oracle.boot(probe)
        started = layout.slots[int(state == _PENDING_VERIFY)]
        found = OtaSelectEntry.from_bytes(probe.flash.read(layout.otadata + _SECTOR, _ENTRY)).ota_state
        if found == _NEW and run.slot == layout.slots[1]:
            return CanRollBack(False, f"an update that nobody confirms stays NEW and starts again, with {layout.name}")
        if run.slot != started or found != state:
            return CanRollBack(None, f"{_otherwise(run, found)}, with {layout.name}")
        probe.reset_reason = ResetReason.SW
    told = "an update that nobody confirms is PENDING_VERIFY at its first start and ABORTED at the next"
    return CanRollBack(True, f"{told}, with {layout.name}")


def _otherwise(run: SiliconReport, state: int) -> str:
    """What came of a start that was neither."""
    if run.trap is not None:
        return f"its bootloader leaves what is known here: {run.trap}" if run.trap.pc else run.trap.reason
    if run.slot is None:
        return f"its bootloader does not start the app that was made to ask it ({run.outcome})"
    return f"its bootloader starts the app at 0x{run.slot:x} and leaves state 0x{state:x}"


def _probe(chip: Chip, layout: _Layout, table_offset: int) -> Chip:
    """A chip that the bootloader accepts, with a confirmed app and an update behind it."""
    name = chip.target.name
    flash = Flash.from_bytes(chip.flash.to_bytes(), size=chip.flash.size)
    parts = {slot: _app(name) for slot in layout.slots}
    parts[layout.otadata] = ota_select_entry(1, _VALID)
    parts[layout.otadata + _SECTOR] = ota_select_entry(2, _NEW)
    if layout.data:
        parts[table_offset] = layout.data
    for at, data in parts.items():
        flash.erase(at, -(-len(data) // _SECTOR) * _SECTOR)
        flash.program(at, data)
    least = ImageHeader.from_bytes(flash.mmap(chip.target.bootloader_offset, _HEADER)).min_chip_rev_full
    newer = least if chip.target.default_chip_revision < least < _NO_BOUND else None
    return Chip(name, flash=flash, efuse=EFuse(name, chip_revision=newer))
