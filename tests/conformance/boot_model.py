"""A second bootloader, written from the rules and not from the code: what boots, and what is written on the way."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from zlib import crc32

BLANK = 0xFFFFFFFF
NEW, PENDING, VALID, INVALID, ABORTED = range(5)
NO_BOOT = -99
SECTOR = 0x1000
EFUSE_BITS = 16


@dataclass
class Row:
    """A row of the table, and what its partition holds."""

    label: str
    type: int
    subtype: int
    offset: int
    size: int
    #: "good", "corrupt" (its descriptor can be read) or "erased".
    image: str = "erased"
    secure_version: int = 0


@dataclass
class Entry:
    seq: int
    label: bytes
    state: int
    crc: int

    @classmethod
    def of(cls, data: bytes) -> Entry:
        return cls(*struct.unpack("<I20sII", data))

    def to_bytes(self) -> bytes:
        return struct.pack("<I20sII", self.seq, self.label, self.state, self.crc)

    @property
    def sound(self) -> bool:
        return self.crc == crc32(struct.pack("<I", self.seq), 0xFFFFFFFF)

    @property
    def out(self) -> bool:
        return self.seq == BLANK or self.state in (INVALID, ABORTED)

    @property
    def counts(self) -> bool:
        return self.sound and not self.out


def newest(entries: list[Entry], flags: list[bool]) -> int:
    if all(flags):
        return 1 if entries[1].seq > entries[0].seq else 0
    return flags.index(True) if any(flags) else -1


@dataclass
class Model:
    """One device. ``boot`` is one run: the row that starts, or ``None`` for a reset."""

    rows: list[Row]
    otadata: dict[int, bytes]
    rollback: bool
    anti_rollback: bool
    burnt: int = 0
    writes: list[int] = field(default_factory=list)

    def last(self, kind: int, subtype: int) -> Row | None:
        found = [row for row in self.rows if (row.type, row.subtype) == (kind, subtype)]
        return found[-1] if found else None

    @property
    def count(self) -> int:
        return sum(row.type == 0 and 0x10 <= row.subtype <= 0x1F for row in self.rows)

    def slot(self, index: int) -> Row | None:
        if index == -1:
            return self.last(0, 0)
        return self.last(0, 0x10 + index) if 0 <= index < min(16, self.count) else None

    def new_enough(self, row: Row | None) -> bool:
        if not self.anti_rollback:
            return True
        return row is not None and row.image != "erased" and row.secure_version >= self.burnt

    def burn(self, row: Row | None) -> None:
        if self.anti_rollback and row is not None and row.image != "erased":
            self.burnt = max(self.burnt, row.secure_version if row.secure_version <= EFUSE_BITS else 0)

    def write(self, address: int, entry: Entry) -> None:
        self.otadata[address] = entry.to_bytes()
        self.writes.append(address)

    def select(self) -> tuple[int, bool]:
        info = self.last(1, 0)
        if info is None:
            return -1, False
        if info.size < 2 * SECTOR:
            return NO_BOOT, False
        places = [info.offset, info.offset + SECTOR]
        entries = [Entry.of(self.otadata[place]) for place in places]
        if self.rollback:
            for place, entry in zip(places, entries, strict=True):
                if entry.state == PENDING:
                    entry.state = ABORTED
                    self.write(place, entry)
        initial = all(entry.seq == BLANK or not entry.sound for entry in entries)
        if self.anti_rollback:
            if initial:
                return -1, True
            slots = [self.slot((entry.seq - 1) % 2**32 % self.count) if self.count else None for entry in entries]
            flags = [entry.counts and self.new_enough(slot) for entry, slot in zip(entries, slots, strict=True)]
        else:
            if all(entry.out for entry in entries) or self.count == 0:
                return (-1, False) if self.last(0, 0) else (0, initial)
            flags = [entry.counts for entry in entries]
        active = newest(entries, flags)
        if active == -1:
            return -1, False
        index = (entries[active].seq - 1) % 2**32 % self.count
        if self.rollback and entries[active].state == NEW:
            entries[active].state = PENDING
            self.write(places[active], entries[active])
        if entries[active].state == VALID:
            self.burn(self.slot(index))
        return index, False

    def boot(self) -> Row | None:
        start, heal = self.select()
        if start == NO_BOOT:
            return None
        for index in [*range(start, -2, -1), *range(start + 1, self.count)]:
            row = self.slot(index)
            if row is None or not self.new_enough(row) or row.image != "good":
                continue
            if index >= 0 and heal:
                info = self.last(1, 0)
                assert info is not None
                seq = index + 1
                healed = Entry(seq, b"\xff" * 20, VALID, crc32(struct.pack("<I", seq), 0xFFFFFFFF))
                self.write(info.offset, healed)
                self.burn(row)
            return row
        test = self.last(0, 0x20)
        return test if test is not None and self.new_enough(test) and test.image == "good" else None

    def power_on(self) -> Row | None:
        """Runs until one starts an app, or one changes nothing."""
        while True:
            before = dict(self.otadata), self.burnt
            row = self.boot()
            if row is not None or before == (self.otadata, self.burnt):
                return row
