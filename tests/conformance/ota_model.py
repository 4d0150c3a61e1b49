"""A second ``esp_ota_ops``, written from its rules alone: plain Python over two byte strings, no code shared with ours.

It keeps otadata as bytes and notes every erase and program it would do; a call returns the code a C caller would see,
or ``"abort"``.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from zlib import crc32

SECTOR = 0x1000
BLANK = b"\xff" * 32
OK, FAIL = 0, -1
NEW, PENDING, VALID, INVALID, ABORTED, UNDEFINED = 0, 1, 2, 3, 4, 0xFFFFFFFF


@dataclass(frozen=True)
class Row:
    label: str
    type: int
    subtype: int
    offset: int
    size: int = 0x10000


@dataclass(frozen=True)
class Image:
    """What lies in a partition: nothing (no version), or an app that is whole or not."""

    version: int | None = None
    whole: bool = True


@dataclass
class Model:
    rows: list[Row]
    entries: list[bytes]
    images: dict[str, Image]
    running: Row
    rollback: bool
    anti_rollback: bool
    efuse: int
    open: list[Row] = field(default_factory=list)
    done: list[tuple[str, int, int]] = field(default_factory=list)

    # ------------------------------------------------------------------------------------------------------- pieces

    def first(self, kind: int, subtype: int) -> Row | None:
        return next((row for row in self.rows if (row.type, row.subtype) == (kind, subtype)), None)

    @property
    def otadata(self) -> Row | None:
        return self.first(1, 0)

    @property
    def count(self) -> int:
        count = 0
        while self.first(0, 0x10 + count):
            count += 1
        return count

    def word(self, index: int, at: int) -> int:
        return struct.unpack_from("<I", self.entries[index], at)[0]

    def seq(self, index: int) -> int:
        return self.word(index, 0)

    def crc_good(self, index: int) -> bool:
        return self.word(index, 28) == crc32(self.entries[index][:4], 0xFFFFFFFF)

    def unusable(self, index: int) -> bool:
        return self.seq(index) == 0xFFFFFFFF or self.word(index, 24) in (INVALID, ABORTED)

    def usable(self, index: int) -> bool:
        return not self.unusable(index) and self.crc_good(index)

    @property
    def active(self) -> int:
        if self.usable(0) and self.usable(1):
            return 1 if self.seq(1) > self.seq(0) else 0
        return 0 if self.usable(0) else 1 if self.usable(1) else -1

    def slot(self, index: int) -> int:
        return (self.seq(index) - 1) % (1 << 32) % self.count

    def slot_row(self, index: int) -> Row | None:
        return self.first(0, 0x10 + self.slot(index))

    def good(self, row: Row | None) -> bool:
        image = self.images.get(row.label, Image()) if row else Image()
        return image.version is not None and image.whole

    def erase(self, row: Row, offset: int, size: int) -> int | str:
        running = self.running
        if row.offset + offset < running.offset + running.size and row.offset + offset + size > running.offset:
            return "abort"
        self.done += [("erase", row.offset + offset + at, SECTOR) for at in range(0, size, SECTOR)]
        if row == self.otadata:
            for index in range(offset // SECTOR, min(2, (offset + size) // SECTOR)):
                self.entries[index] = BLANK
        elif size:
            self.images[row.label] = Image()  # its first sector is gone, and with it the descriptor
        return OK

    def wipe(self, index: int) -> None:
        self.erase(self.otadata, index * SECTOR, SECTOR)

    def rewrite(self, index: int, seq: int, state: int) -> None:
        number = struct.pack("<I", seq)
        crc = struct.pack("<I", crc32(number, 0xFFFFFFFF))
        kept = self.entries[index][4:24]
        self.wipe(index)
        self.done.append(("program", self.otadata.offset + index * SECTOR, 32))
        self.entries[index] = number + kept + struct.pack("<I", state) + crc

    # -------------------------------------------------------------------------------------------------------- calls

    def set_boot(self, row: Row, *, validate: bool) -> int | str:
        if validate and not self.good(row):
            return 0x1503
        if row.type != 0:
            return 0x102
        if row.subtype == 0:
            if not self.otadata:
                return 0x105
            self.wipe(0)
            self.wipe(1)
            return OK
        if self.anti_rollback:
            version = self.images.get(row.label, Image()).version
            if version is None:
                return 0x105
            if version < self.efuse:
                return self.erase(row, 0, row.size) or 0x1504
        if not self.otadata:
            return 0x105
        target, count = row.subtype & 15, self.count
        if target >= count:
            return 0x102
        state, active = (NEW if self.rollback else UNDEFINED), self.active
        if active < 0:
            self.rewrite(0, target + 1, state)
        elif self.slot(active) == target:
            self.rewrite(active, self.seq(active), state)
        else:
            seq = (target + 1) % count
            while seq < self.seq(active):
                seq += count * max(1, (self.seq(active) - seq) // count)
            self.rewrite(1 - active, seq, state)
        return OK

    def get_boot(self) -> str | None:
        if not self.otadata:
            return None
        if self.count and not (self.unusable(0) and self.unusable(1)) and self.active >= 0:
            return self.slot_row(self.active).label
        found = [self.first(0, 0), *(self.first(0, 0x10 + slot) for slot in range(16)), self.first(0, 0x20)]
        return next((row.label for row in found if row), None)

    def next_update(self, start: Row) -> str | None:
        slots = [row for row in (self.first(0, 0x10 + slot) for slot in range(16)) if row]
        for index, row in enumerate(slots[:-1]):
            if row == start:
                return slots[index + 1].label
        return slots[0].label if slots else None

    def state(self, row: Row) -> int | tuple[str, int]:
        if row.type != 0 or not 0x10 <= row.subtype < 0x20:
            return 0x106
        for index in (0, 1):
            named = self.otadata and self.count and self.crc_good(index) and self.slot(index) == row.subtype - 0x10
            if named:
                return "state", self.word(index, 24)
        return 0x105

    def last_invalid(self) -> str | None:
        if not self.otadata or not self.count:
            return None
        bad = [i for i in (0, 1) if self.seq(i) != 0xFFFFFFFF and self.crc_good(i)]
        bad = sorted((self.seq(i), i) for i in bad if self.word(i, 24) in (INVALID, ABORTED))
        row = self.slot_row(bad[0][1]) if bad else None
        return row.label if row and self.good(row) else None

    def possible(self) -> bool:
        if not self.otadata or not self.count or self.active < 0:
            return False
        other = 1 - self.active
        if not self.usable(other):
            return not self.anti_rollback and self.good(self.first(0, 0))
        row = self.slot_row(other)
        return self.good(row) and (not self.anti_rollback or self.images[row.label].version >= self.efuse)

    def mark(self, *, valid: bool) -> int:
        if not self.otadata:
            return 0x105
        active = self.active
        if active < 0 or not self.count:
            return FAIL
        if not valid:
            if not self.possible():
                return 0x1505
            self.rewrite(active, self.seq(active), INVALID)
            return OK
        if self.word(active, 24) == VALID:
            return OK
        self.rewrite(active, self.seq(active), VALID)
        if not self.anti_rollback:
            return OK
        version = self.images.get(self.running.label, Image()).version
        if version is None:
            return 0x105
        if version > 16:
            return 0x102
        if version < self.efuse:
            return FAIL
        self.efuse = version
        return OK

    def drop_last(self, *, app_too: bool) -> int | str:
        if not self.otadata or self.active < 0 or not self.count:
            return FAIL
        other = 1 - self.active
        if self.seq(other) == 0xFFFFFFFF or not self.crc_good(other):
            return FAIL
        row = self.slot_row(other)
        if row is None or row == self.running:
            return FAIL
        if app_too:
            code = self.erase(row, 0, row.size)
            if code:
                return code
        self.wipe(other)
        return OK

    def begin(self, row: Row, size: int) -> int | str:
        is_slot = row.type == 0 and 0x10 <= row.subtype < 0x20
        if row.type == 0:
            if not is_slot:
                return 0x102
            if row == self.running:
                return 0x1501
            if self.rollback and self.state(self.running) == ("state", PENDING):
                return 0x1506
        if row in self.open:
            return 0x1507
        self.open.append(row)
        if size != 0xFFFFFFFE:
            length = row.size if size in (0, 0xFFFFFFFF) else -(-size // SECTOR) * SECTOR % (1 << 32)
            if length > row.size:
                return 0x104
            code = self.erase(row, 0, length)
            if code:
                return code
        if self.rollback and is_slot:
            self.drop_last(app_too=False)
        return OK
