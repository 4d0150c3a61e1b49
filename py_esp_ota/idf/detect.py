"""What a raw flash image was made for, read off the images in it: the chip, and how large its flash is."""

from __future__ import annotations

from py_esp_ota._core import Flash, ImageHeader, Target, verify_partition_table

_MAGIC = 0xE9
_TABLE_LENGTH = 0xC00
_APP = 0
_LARGEST = 128 << 20


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


def load_flash(image: bytes, table_offset: int = 0x8000) -> Flash:
    """A flash that holds ``image``: as large as the bootloader's header says, else as the partition table needs.

    Files mostly end with their last written byte, long before the flash does. Raises ``ValueError`` above 128 MiB.
    """
    smallest = Flash.from_bytes(image)
    wanted = max(_size_in_header(smallest), _size_of_table(smallest, table_offset))
    size = next((1 << bits for bits in range(20, 28) if 1 << bits >= wanted), _LARGEST)
    return smallest if size <= smallest.size else Flash.from_bytes(image, size=size)


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
