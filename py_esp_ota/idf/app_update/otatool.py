"""otatool.py's choice of a slot from the outside (components/app_update/otatool.py): decisions only.

It differs from the app's own choice: it does not look at states, and it keeps the state of the entry it rewrites.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from py_esp_ota._core import OtaSelectEntry, Partition, active_otadata, ota_slot
from py_esp_ota.idf.rollback import BLANK_SEQ, Entries, Rewrite, applied

_OTA_MIN = 0x10
_OTA_SLOTS = 16


@dataclass(frozen=True, slots=True)
class Switch:
    """What a switch writes, and whether a bootloader will follow it."""

    rewrite: Rewrite
    effective: bool


def ota_partitions(rows: Iterable[Partition]) -> list[Partition]:
    """The slots in order up to the first gap: the first row of each subtype, whatever its type."""
    by_subtype: dict[int, Partition] = {}
    for row in rows:
        by_subtype.setdefault(row.subtype, row)
    found = []
    for subtype in range(_OTA_MIN, _OTA_MIN + _OTA_SLOTS):
        if subtype not in by_subtype:
            break
        found.append(by_subtype[subtype])
    return found


def switch_ota_partition(entries: Entries, slot: int, count: int) -> Switch:
    """``OtatoolTarget.switch_ota_partition``: the next sequence number of the slot's class, into the other entry.

    Raises ``ValueError`` unless ``slot < count``.
    """
    if not 0 <= slot < count:
        raise ValueError(f"slot {slot} does not exist; the table has {count} OTA slots")
    usable = [index for index, entry in enumerate(entries) if entry.ota_seq != BLANK_SEQ and entry.crc_ok]
    if usable:
        base = max(usable, key=lambda index: (entries[index].ota_seq, -index))
        seq = entries[base].ota_seq
        wanted = (slot + 1) % count
        next_seq = seq + (wanted - seq) % count
        index = 1 if base == 0 else 0
    else:
        next_seq, index = slot + 1, 0
    kept = entries[index]
    rewrite = Rewrite(index, OtaSelectEntry(next_seq & 0xFFFFFFFF, kept.ota_state, seq_label=kept.seq_label))
    after = applied(entries, rewrite)
    active = active_otadata(*after)
    effective = active >= 0 and ota_slot(after[active].ota_seq, count) == slot
    return Switch(rewrite, effective)
