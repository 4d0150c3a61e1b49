"""The steps of a migration, each with its words and the calls of ESP-IDF that do it."""

from __future__ import annotations

from py_esp_ota._core import Partition
from py_esp_ota.field.migrate.facts import Facts
from py_esp_ota.field.migrate.layout import Bridge, Move, is_encrypted
from py_esp_ota.field.migrate.steps import SECTOR, Step
from py_esp_ota.idf.rollback import Rewrite

FLASH = "esp_flash_erase_region, esp_flash_write"
PARTITION = "esp_partition_erase_range, esp_partition_write"
ENTRY = "esp_partition_erase_range, esp_partition_write (esp_ota_select_entry_t, esp_rom_crc32_le)"


def copy_app(facts: Facts, source: Partition, to: Partition, calls: str) -> Step:
    """An app, with its first byte last."""
    text = f"copy the app from {source.label} (0x{source.offset:x}) to 0x{to.offset:x}, {to.label}, its first byte last"
    return Step(
        "copy",
        text,
        calls,
        at=to.offset,
        length=facts.image,
        source=source.offset,
        encrypted=facts.encrypted,
    )


def otadata(facts: Facts, offset: int, rewrite: Rewrite) -> Step:
    """One entry, in a sector of its own."""
    index, entry = rewrite.index, rewrite.entry.to_bytes()
    return Step(
        "write",
        f"otadata entry {index} at 0x{offset + index * SECTOR:x}: ota_seq {rewrite.entry.ota_seq}, ESP_OTA_IMG_VALID",
        ENTRY,
        at=offset + index * SECTOR,
        length=len(entry),
        data=entry,
        encrypted=facts.encrypted,
    )


def entry(facts: Facts, way: Bridge) -> Step:
    """The otadata entry by which both tables choose the right app."""
    if facts.otadata is None or way.write is None:
        raise AssertionError
    return otadata(facts, facts.otadata.offset, way.write)


def fresh_otadata(facts: Facts, way: Bridge) -> list[Step]:
    """The new table's own otadata; and the old one's, if its table would choose another app."""
    if way.moved is None:
        raise AssertionError
    steps: list[Step] = []
    at = way.moved.offset
    if way.stay is not None and facts.otadata is not None and way.old.offset == facts.running.offset:
        steps.append(otadata(facts, facts.otadata.offset, way.stay))
    used = -1 if way.write is None else way.write.index
    steps += [blank("otadata", at + index * SECTOR, SECTOR) for index in range(2) if index != used]
    if way.write is not None:
        steps.append(otadata(facts, at, way.write))
    return steps


def copy_data(facts: Facts, move: Move, source: int, to: int) -> Step:
    """What is in a data partition."""
    encrypted = facts.encrypted and is_encrypted(move.row)
    text = f"copy {move.row.label} from 0x{source:x} to 0x{to:x}"
    return Step("copy", text, FLASH, at=to, length=move.length, source=source, encrypted=encrypted)


def behind(move: Move) -> list[Step]:
    """What is behind the content of a partition, erased."""
    start, end = move.behind
    return [blank(move.row.label, start, end - start)] if start < end else []


def blank(label: str, at: int, length: int) -> Step:
    """Erased bytes."""
    return Step(
        "blank", f"erase 0x{length:x} bytes at 0x{at:x} for {label}", "esp_flash_erase_region", at=at, length=length
    )


def registered(row: Partition) -> Step:
    """A partition that no table has."""
    return Step(
        "register",
        f"register {row.label} (0x{row.size:x} bytes at 0x{row.offset:x}) at each start",
        "esp_partition_register_external",
        at=row.offset,
        length=row.size,
        name=row.label,
        type=row.type,
        subtype=row.subtype,
    )


def table_at(facts: Facts, table: bytes, at: int, why: str) -> Step:
    """The new table, there."""
    text = f"write the new table at 0x{at:x}, {why}"
    return Step("write", text, FLASH, at=at, length=len(table), data=table, encrypted=facts.encrypted)


def primary(facts: Facts, loader: bytes, what: str) -> Step:
    """A bootloader where ROM looks for it."""
    at = facts.dump.target.bootloader_offset
    text = f"write {what} at 0x{at:x}, its first byte last"
    return Step("write", text, FLASH, at=at, length=len(loader), data=loader, encrypted=facts.encrypted)


def reboot(text: str) -> Step:
    """A restart, and why."""
    return Step("reboot", f"reboot: {text}", "esp_restart")
