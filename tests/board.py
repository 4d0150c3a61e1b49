"""A board on the bench: a chip with forged apps in its slots and otadata written by hand.

otadata is spelled as in a log book: ``"2/PENDING_VERIFY"`` is an entry, ``"-"`` a blank one, and a ``!`` at the end
says that its CRC is wrong. The bytes are made and read here, not by the code under test.
"""

from __future__ import annotations

import struct
from functools import cache
from zlib import crc32

from py_esp_ota import firmware
from py_esp_ota._core import Flash, Partition, PartitionTable
from py_esp_ota.chip import Chip
from py_esp_ota.firmware import Firmware
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.bootloader.start import BootReport, boot
from py_esp_ota.idf.log import Log
from py_esp_ota.idf.rollback import OtaImgState
from py_esp_ota.sdkconfig import Sdkconfig

ROLLBACK = Sdkconfig(bootloader_app_rollback_enable=True)
PLAIN = Sdkconfig(bootloader_app_rollback_enable=False)

FLASH_SIZE = 0x400000
SECTOR = 0x1000
_BLANK = b"\xff" * 32


@cache
def app(label: str, chip: str = "esp32c3") -> bytes:
    """The app that lives in partition ``label``: its version is the label."""
    return Firmware("bench", label, chip=chip).to_bytes()


def table(*rows: tuple[str, int, int, int, int] | Partition) -> PartitionTable:
    """A table of rows as they come, sensible or not: label, type, subtype, offset, size."""
    return PartitionTable([row if isinstance(row, Partition) else Partition(*row) for row in rows])


def slots(count: int, *, factory: bool = False, test: bool = False) -> PartitionTable:
    """otadata and ``count`` OTA slots of 64 KiB, perhaps with a factory and a test app before them."""
    rows = [("nvs", 1, 2, 0x9000, 0x4000), ("otadata", 1, 0, 0xD000, 0x2000)]
    names = [("factory", 0x00)] * factory + [("test", 0x20)] * test + [(f"ota_{i}", 0x10 + i) for i in range(count)]
    rows += [(name, 0, subtype, 0x10000 * (1 + i), 0x10000) for i, (name, subtype) in enumerate(names)]
    return table(*rows)


def entry(text: str) -> bytes:
    """One otadata entry from the log book's spelling."""
    if text == "-":
        return _BLANK
    seq, state = text.rstrip("!").split("/")
    word = int(state, 0) if state[0].isdigit() else OtaImgState[state]
    made = firmware.ota_select_entry(int(seq, 0), word)
    return made[:28] + bytes(~b & 0xFF for b in made[28:]) if text.endswith("!") else made


def spell(data: bytes) -> str:
    """An entry's bytes in the log book's spelling."""
    if data == _BLANK:
        return "-"
    seq, _, word, crc = struct.unpack("<I20sII", data)
    state = OtaImgState(word).name if word in list(OtaImgState) else hex(word)
    good = crc == crc32(data[:4], 0xFFFFFFFF)
    return f"{seq}/{state}" if good else f"{seq}/{state}!"


@cache
def _base(rows: bytes, labels: tuple[tuple[str, int], ...], chip: str) -> Flash:
    parts = {0x8000: rows} | {offset: app(label, chip) for label, offset in labels}
    return Flash.from_bytes(firmware.merge(parts), size=FLASH_SIZE)


class Board:
    """A chip on a bench, its apps flashed."""

    def __init__(
        self,
        partitions: PartitionTable | str = "two_ota",
        e0: str = "-",
        e1: str = "-",
        *,
        config: Sdkconfig = ROLLBACK,
        without: tuple[str, ...] = (),
        chip: str = "esp32c3",
    ) -> None:
        """All app partitions hold good images except those ``without``."""
        self.table = PartitionTable.builtin(partitions) if isinstance(partitions, str) else partitions
        self.config = config
        labels = tuple((p.label, p.offset) for p in self.table if p.type == 0 and p.label not in without)
        self.chip = Chip(chip, flash=_base(self.table.to_bytes(), labels, chip).fork())
        for index, text in enumerate((e0, e1)):
            if text != "-":
                self.put(index, entry(text))

    def __getitem__(self, label: str) -> Partition:
        found = self.table.find(label=label)
        assert found is not None, label
        return found

    # ------------------------------------------------------------------------------------------------------ otadata

    @property
    def otadata(self) -> tuple[str, str]:
        """Both entries, spelled."""
        return spell(self.raw(0)), spell(self.raw(1))

    def raw(self, index: int) -> bytes:
        return self.chip.flash.read(self["otadata"].offset + index * SECTOR, 32)

    def put(self, index: int, data: bytes) -> None:
        """Make one entry's sector hold ``data`` and nothing else."""
        address = self["otadata"].offset + index * SECTOR
        self.chip.flash.erase(address, SECTOR)
        self.chip.flash.program(address, data)

    # ----------------------------------------------------------------------------------------------------- the life

    def boot(self) -> BootReport:
        return boot(self.chip, self.config)

    def booted(self) -> str:
        """Boot and say which app runs; the app itself must say the same."""
        report = self.boot()
        assert report.ok
        assert report.partition is not None
        assert report.app_desc is not None
        assert report.app_desc.version == report.partition.label
        return report.partition.label

    def ops(self, running: str) -> OtaOps:
        """The OTA functions of the app in slot ``running``."""
        return OtaOps(self.chip, self[running], self.config, Log(lambda: 0))

    def flash_app(self, label: str, image: bytes | None = None) -> None:
        """Put an image (that partition's own by default) into a partition, past all checks."""
        partition = self[label]
        partition.erase_range(self.chip.flash, 0, partition.size)
        partition.write(self.chip.flash, 0, app(label) if image is None else image)

    def update(self, ops: OtaOps, label: str) -> None:
        """One whole update: begin, write, end, set_boot_partition."""
        handle = ops.begin(self[label], 0)
        ops.write(handle, app(label, self.chip.target.name))
        ops.end(handle)
        ops.set_boot_partition(self[label])
