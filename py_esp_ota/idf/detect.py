"""What the bytes of a flash were made for, read off the images in them: the chip, where they start, how much flash."""

from __future__ import annotations

from py_esp_ota._core import Flash, ImageHeader, PartitionTable, Target, verify_partition_table
from py_esp_ota.errors import PartitionTableError

_MAGIC = 0xE9
_TABLE_LENGTH = 0xC00
_APP = 0
_LARGEST = 128 << 20
#: Where a file may start: at the place of the first thing that is ever flashed.
_STARTS = (0x0, 0x1000, 0x2000)
#: Offsets that projects give their partition table; 0x8000 is Kconfig's default.
_TABLES = (0x8000, 0x9000, 0xA000, 0xC000, 0xD000, 0xE000, 0xF000, 0x10000, 0x18000, 0x20000)


def detect_target(flash: Flash, table_offset: int = 0x8000) -> Target | None:
    """The chip named by the bootloader's image header, else by the first app image in the partition table.

    A bootloader counts only at the offset where the ROM of the chip it names would look for it.
    """
    for name in Target.names():
        target = Target(name)
        header = _header(flash, target.bootloader_offset)
        if header is not None and header.chip_id == target.chip_id:
            return target
    if table_offset + _TABLE_LENGTH > flash.size:
        return None
    for row in verify_partition_table(flash.read(table_offset, _TABLE_LENGTH), _LARGEST).rows:
        header = _header(flash, row.offset) if row.type == _APP else None
        target_of_app = Target.from_chip_id(header.chip_id) if header else None
        if target_of_app is not None:
            return target_of_app
    return None


def detect_start(image: bytes, table_offset: int = 0x8000) -> int | None:
    """The flash address of the first byte of a merged image; ``None`` when the bytes are none.

    Tools leave out what lies before the bootloader: files for ESP32 and ESP32-S2 often start at 0x1000, those for
    ESP32-C5 and ESP32-P4 at 0x2000. Where the partition table then lies tells them apart.
    """
    head = ImageHeader.from_bytes(image[:24]) if len(image) >= 24 else None
    named = Target.from_chip_id(head.chip_id) if head is not None and head.magic == _MAGIC else None
    likely = [named.bootloader_offset] if named else []
    for start in [*likely, *_STARTS]:
        if _is_table(image[max(table_offset - start, 0) :][:_TABLE_LENGTH]):
            return start
    return None


def detect_table(flash: Flash) -> int | None:
    """Where the partition table lies, among the places that projects give it."""
    for offset in _TABLES:
        if offset + _TABLE_LENGTH <= flash.size and _is_table(flash.read(offset, _TABLE_LENGTH)):
            return offset
    return None


def load_flash(image: bytes, table_offset: int = 0x8000, *, start: int = 0) -> Flash:
    """A flash that holds ``image`` at ``start``: as large as the bootloader's header says, else as the table needs.

    Files mostly end with their last written byte, long before the flash does. Raises ``ValueError`` above 128 MiB.
    """
    placed = b"\xff" * start + image
    smallest = Flash.from_bytes(placed)
    wanted = max(_size_in_header(smallest), _size_of_table(smallest, table_offset))
    size = next((1 << bits for bits in range(20, 28) if 1 << bits >= wanted), _LARGEST)
    return smallest if size <= smallest.size else Flash.from_bytes(placed, size=size)


def _is_table(data: bytes) -> bool:
    try:
        return data[:2] == b"\xaa\x50" and len(PartitionTable.from_bytes(data)) > 0
    except PartitionTableError:
        return False


def _size_in_header(flash: Flash) -> int:
    for name in Target.names():
        target = Target(name)
        header = _header(flash, target.bootloader_offset)
        if header is not None and header.chip_id == target.chip_id:
            return 1 << (20 + min(header.spi_size, 7))
    return 0


def _size_of_table(flash: Flash, table_offset: int) -> int:
    if table_offset + _TABLE_LENGTH > flash.size:
        return 0
    rows = verify_partition_table(flash.read(table_offset, _TABLE_LENGTH), _LARGEST).rows
    return max((row.offset + row.size for row in rows), default=0)


def _header(flash: Flash, offset: int) -> ImageHeader | None:
    if offset + 24 > flash.size:
        return None
    header = ImageHeader.from_bytes(flash.read(offset, 24))
    return header if header.magic == _MAGIC else None
