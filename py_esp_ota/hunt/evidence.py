"""What is known of a board that no rescue helped: what it said and did, and the facts of its flash."""

from __future__ import annotations

from dataclasses import dataclass, replace

from py_esp_ota._core import (
    AppDesc,
    Flash,
    FlashCrypt,
    OtaSelectEntry,
    Partition,
    PartitionTable,
    read_otadata,
    verify_partition_table,
)
from py_esp_ota.chip import Chip
from py_esp_ota.errors import EspErr, EspError
from py_esp_ota.hunt.rescue import After, Wreck

_APP, _DATA, _OTADATA = 0, 1, 0
_DESC, _DESC_SIZE = 0x20, 256
TABLE_SIZE = 0xC00


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a board that no rescue helped: its life after power alone, and with the target on offer."""

    wreck: Wreck
    plain: After
    offered: After | None

    @property
    def flash(self) -> Flash:
        """Its flash as the fault left it, with power."""
        flash = self.wreck.flash.fork()
        flash.fault = ""
        flash.power_on()
        flash.encryption = FlashCrypt.of_efuse(self.wreck.efuse)
        return flash

    @property
    def boots(self) -> bool:
        """Whether power alone brings up anything."""
        return self.plain.boots[-1].partition is not None

    def decided(self, text: str) -> str:
        """The bootloader's latest decision with these words, ``""`` without one."""
        return next((line for line in reversed(self.plain.boots[-1].why) if text in line), "")

    def said(self, text: str) -> str:
        """What the node said of the target with these words."""
        heard = () if self.offered is None else self.offered.heard
        return next((info for _, info in reversed(heard) if text in info), "")

    def printed(self, text: str) -> str:
        """What the board printed when it was offered the target, with these words."""
        lines = () if self.offered is None else self.offered.console
        return next((line for line in reversed(lines) if text in line), "")


def table_ok(data: bytes) -> bool:
    """Whether ESP-IDF's verifier takes a table, wherever its rows lie."""
    return verify_partition_table(data, 0xFFFFFFFF).err == EspErr.ESP_OK


def _rows(evidence: Evidence) -> PartitionTable | None:
    config = evidence.wreck.config
    try:
        data = evidence.flash.mmap(config.partition_table_offset, TABLE_SIZE)
        return PartitionTable.from_bytes(data, md5=config.partition_table_md5)
    except EspError:
        return None


def apps(evidence: Evidence) -> list[Partition]:
    """The app partitions; none where the table cannot be read."""
    return [row for row in _rows(evidence) or () if row.type == _APP]


def otadata(evidence: Evidence) -> Partition | None:
    """Its otadata partition, ``None`` without one."""
    table = _rows(evidence)
    return None if table is None else table.find(type=_DATA, subtype=_OTADATA)


def entries(evidence: Evidence) -> tuple[OtaSelectEntry, ...]:
    """Both entries of otadata as its last life has left them; none without otadata."""
    row = otadata(evidence)
    if row is None:
        return ()
    flash = (evidence.offered or evidence.plain).flash.fork()
    flash.power_on()
    return read_otadata(flash, row.offset)


def sound(evidence: Evidence, row: Partition) -> bool:
    """Whether the image in a slot is sound, whoever boots or does not boot it."""
    return not fault_of(evidence, row)


def fault_of(evidence: Evidence, row: Partition) -> str:
    """What the core finds wrong with the image in a slot, ``""`` for nothing."""
    return _fault_in(evidence.flash, row, evidence.wreck)


def fault_of_goal(evidence: Evidence) -> str:
    """The same of the target, wherever there is room for it."""
    wreck = evidence.wreck
    slots = [row for row in apps(evidence) if row.ota_slot is not None]
    if not slots:
        return ""
    slot = max(slots, key=lambda row: row.size)
    flash = Flash(wreck.flash.size)
    flash.program(slot.offset, wreck.goal)
    return _fault_in(flash, slot, wreck)


def _fault_in(flash: Flash, row: Partition, wreck: Wreck) -> str:
    """Of the image alone: how old it is is another question."""
    encryption, chip = flash.encryption, Chip(wreck.chip, flash=flash, efuse=wreck.efuse.copy())
    flash.encryption = encryption  # which a new chip latches from its fuses
    config = replace(wreck.config, bootloader_app_anti_rollback=False)
    verdict = chip.verify_image(row, build="bootloader", mode="load", config=config)
    return "" if verdict.err == EspErr.ESP_OK else f"{verdict.err.name}, {verdict.fault}"


def secure_version(evidence: Evidence, row: Partition) -> int:
    """The secure version of the app in a slot, 0 without a descriptor."""
    desc = _desc(evidence.flash.mmap(row.offset + _DESC, _DESC_SIZE))
    return 0 if desc is None else desc.secure_version


def goal_desc(evidence: Evidence) -> AppDesc | None:
    """The target's descriptor."""
    return _desc(evidence.wreck.goal[_DESC : _DESC + _DESC_SIZE])


def _desc(data: bytes) -> AppDesc | None:
    try:
        return AppDesc.from_bytes(data)
    except EspError:
        return None
