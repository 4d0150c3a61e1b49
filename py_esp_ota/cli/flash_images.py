"""The images inside a merged flash image or a build directory."""

from __future__ import annotations

from pathlib import Path

from py_esp_ota.cli.files import Unusable
from py_esp_ota.cli.inputs import FlashInput, open_flash
from py_esp_ota.idf.detect import detect_start

_APP = 0x00
_MAGIC = b"\xe9"


def images_in(file: Path, data: bytes | None) -> list[tuple[str, int, bytes]] | None:
    """Name, flash address and bytes of each image; ``None`` when ``data`` is no flash image.

    Bytes reach to the end of the partition. Raises ``Unusable`` for a folder that is no build directory.
    """
    if data is not None and detect_start(data) is None and detect_start(data, 0x10000) is None:
        return None
    given = open_flash(file)
    try:
        return _images(given)
    except Unusable:
        if data is None:
            raise
        return None


def _images(given: FlashInput) -> list[tuple[str, int, bytes]]:
    table, flash = given.table(), given.flash
    target = given.target()
    start, end = target.bootloader_offset, given.config.partition_table_offset
    places = [("bootloader", start, end - start)]
    places += [(row.label, row.offset, row.size) for row in table if row.type == _APP]
    found = []
    for name, offset, size in places:
        if offset + size <= flash.size and flash.read(offset, 1) == _MAGIC:
            found.append((name, offset, flash.read(offset, size).rstrip(b"\xff") + b"\xff" * 32))
    return found
