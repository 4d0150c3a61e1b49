"""A bootloader in a file of its own, and a flash with it in the place of its own."""

from __future__ import annotations

from pathlib import Path

from py_esp_ota._core import Flash, ImageHeader, Target, inspect_image
from py_esp_ota.cli.files import Unusable, read_input
from py_esp_ota.cli.inputs import FlashInput
from py_esp_ota.firmware import with_flash_size

_HEADER, _MAGIC = 24, 0xE9
_SECTOR = 0x1000


def read_bootloader(file: Path) -> tuple[bytes, Target]:
    """The bootloader image that a file begins with, and the chip it is for. Raises ``Unusable``."""
    data = read_input(file)
    header = ImageHeader.from_bytes(data[:_HEADER].ljust(_HEADER, b"\xff"))
    if header.magic != _MAGIC:
        raise Unusable(f"{file} is no bootloader: its first byte is 0x{data[0]:02x}, expected 0xe9")
    info = inspect_image(data)
    if info.app_desc is not None:
        raise Unusable(f"{file} is an app, not a bootloader")
    target = Target.from_chip_id(header.chip_id)
    if target is None:
        raise Unusable(f"{file} is no image of a chip that is known here: its chip id is {header.chip_id}")
    return data[: info.length] if info.length else data, target


def placed(given: FlashInput, image: bytes, target: Target, file: Path, *, detect: bool) -> Flash:
    """A fork of the flash with ``image`` where the ROM of the chip looks for a bootloader. Raises ``Unusable``."""
    if detect:
        try:
            image = with_flash_size(image, given.flash.size)
        except ValueError as error:
            raise Unusable(f"{file}: {error}; --flash-size keep takes it as it is") from error
    start, end = target.bootloader_offset, given.config.partition_table_offset
    if start + len(image) > end:
        raise Unusable(f"{file}: its {len(image)} bytes at 0x{start:x} reach into the partition table at 0x{end:x}")
    flash = given.flash.fork()
    flash.erase(start, -(-len(image) // _SECTOR) * _SECTOR)
    flash.program(start, image)
    return flash
