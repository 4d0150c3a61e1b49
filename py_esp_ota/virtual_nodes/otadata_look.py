"""Both otadata sectors, and why each of them counts or does not. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from py_esp_ota._core import OtaSelectEntry, active_otadata, ota_select_crc, ota_slot
from py_esp_ota.cloud.virtual_nodes import OtadataEntry
from py_esp_ota.idf.rollback import BLANK_SEQ, NEVER_SELECTED, Entries, state_name


def otadata_entries(entries: Entries, slots: Sequence[str]) -> list[OtadataEntry]:
    """The two entries, as ``bootloader_common_get_active_otadata`` weighs them; ``slots``: labels of the OTA slots."""
    active = active_otadata(*entries)
    return [_looked_at(entries, index, active, slots) for index in range(len(entries))]


def _looked_at(entries: Entries, index: int, active: int, slots: Sequence[str]) -> OtadataEntry:
    entry = entries[index]
    blank = entry.ota_seq == BLANK_SEQ
    return OtadataEntry(
        sequence=None if blank else entry.ota_seq,
        slot="" if blank or not slots else slots[ota_slot(entry.ota_seq, len(slots))],
        state="" if blank else state_name(entry.ota_state),
        crc=entry.crc,
        crc_good=entry.crc_ok,
        active=index == active,
        why=_why(entry, entries[1 - index], counts=index == active),
    )


def _why(entry: OtaSelectEntry, other: OtaSelectEntry, *, counts: bool) -> str:
    if entry.ota_seq == BLANK_SEQ:
        return "It is erased and names no slot."
    if entry.ota_state in NEVER_SELECTED:
        return f"It is {state_name(entry.ota_state)}: no bootloader goes by such an entry."
    if not entry.crc_ok:
        return f"Its CRC is 0x{entry.crc:08x} and should be 0x{ota_select_crc(entry.ota_seq):08x}: it does not count."
    if not other.valid:
        return "It is the only one that counts."
    if entry.ota_seq == other.ota_seq:
        return f"Both have sequence {entry.ota_seq}, and of two alike the first is taken."
    if counts:
        return f"Its sequence {entry.ota_seq} is the greater one; the other has {other.ota_seq}."
    return f"Its sequence {entry.ota_seq} is the smaller one; the other has {other.ota_seq}."
