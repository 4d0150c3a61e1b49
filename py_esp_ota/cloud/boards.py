"""What is known of the board below a node that no message tells: its table, bootloader, otadata and eFuses. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

APP = 0x00
FIRST_OTA_SLOT, LAST_OTA_SLOT = 0x10, 0x1F


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One row of a partition table, as ``esp_partition_info_t`` has it."""

    label: str
    type: int
    subtype: int
    offset: int  # bytes
    size: int  # bytes
    encrypted: bool = False
    readonly: bool = False

    @property
    def is_ota_slot(self) -> bool:
        """Whether ``esp_ota_begin`` writes to it."""
        return self.type == APP and FIRST_OTA_SLOT <= self.subtype <= LAST_OTA_SLOT


@dataclass(frozen=True, slots=True, kw_only=True)
class OtadataFact:
    """One of the two otadata sectors; ``sequence`` is ``None`` when it is erased."""

    sequence: int | None
    state: str  # "NEW", "PENDING_VERIFY", "VALID", ... "" when erased


@dataclass(frozen=True, slots=True, kw_only=True)
class AppFact:
    """The app in a slot."""

    slot: str  # label of the partition
    project: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardFacts:
    """What is known of one board; what is not is empty, or ``None``."""

    chip: str = ""  # ESP-IDF's name
    chip_revision: int | None = None  # major * 100 + minor
    flash_size: int = 0  # bytes
    partitions: str = ""  # the built-in table by its name, of a virtual node
    table: tuple[TableRow, ...] = ()
    bootloader_idf: str = ""  # "v5.1.2", as the bootloader's descriptor says; before v5.1 there is none
    rollback: bool | None = None  # CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE
    secure_version: int | None = None  # burnt bits of the anti-rollback field
    secure_boot: bool | None = None  # burnt in the eFuses
    flash_encryption: bool | None = None  # on, by the eFuses
    otadata: tuple[OtadataFact, ...] = ()  # two, or none when the table has no otadata
    apps: tuple[AppFact, ...] = ()  # of slots that have one
    runs: str = ""  # label of the slot that runs, or would at the next boot
    virtual: bool = False  # simulated beside the cloud: these are its facts of now

    @property
    def ota_slots(self) -> tuple[TableRow, ...]:
        """The partitions that updates are written to."""
        return tuple(row for row in self.table if row.is_ota_slot)

    @property
    def free_slot(self) -> TableRow | None:
        """Where ``esp_ota_get_next_update_partition`` would write: the OTA slot after the one that runs.

        Of a factory app it is the first one. ``None`` when there is none besides what runs.
        """
        slots = sorted(self.ota_slots, key=lambda row: row.subtype)
        labels = [row.label for row in slots]
        following = (labels.index(self.runs) + 1) % len(slots) if self.runs in labels else 0
        return slots[following] if slots and labels[following] != self.runs else None

    def to_json(self) -> dict[str, Any]:
        """The document."""
        return asdict(self) | {key: [asdict(each) for each in getattr(self, key)] for key in _PARTS}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> BoardFacts:
        """The value in a document; keys of a later release are left out."""
        known = {field.name for field in fields(cls)}
        words = {key: value for key, value in document.items() if key in known}
        return cls(**words | {key: tuple(kind(**each) for each in words.get(key, ())) for key, kind in _PARTS.items()})


_PARTS: Mapping[str, type[TableRow | OtadataFact | AppFact]] = {
    "table": TableRow,
    "otadata": OtadataFact,
    "apps": AppFact,
}

NOTHING_KNOWN = BoardFacts()
"""Of a board that nobody has noted."""
