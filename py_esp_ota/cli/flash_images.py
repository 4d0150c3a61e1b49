"""The images inside a merged flash image or a build directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from py_esp_ota.cli.files import Unusable
from py_esp_ota.cli.inputs import FlashInput, open_flash
from py_esp_ota.idf.detect import detect_start

_APP = 0x00
_MAGIC = b"\xe9"


def images_in(file: Path, data: bytes | None) -> Iterator[tuple[str, int, bytes]] | None:
    """Name, flash address and bytes of each image; ``None`` when ``data`` is no flash image.

    Bytes reach to the end of the partition, one image at a time: a table may name the same ones again and again.
    Raises ``Unusable`` for a folder that is no build directory.
    """
    if data is not None and detect_start(data) is None and detect_start(data, 0x10000) is None:
        return None
    given = open_flash(file)
    try:
        places = _places(given)
    except Unusable:
        if data is None:
            raise
        return None
    flash = given.flash
    return ((name, at, flash.read(at, size).rstrip(b"\xff") + b"\xff" * 32) for name, at, size in places)


def _places(given: FlashInput) -> list[tuple[str, int, int]]:
    table, flash = given.table(), given.flash
    target = given.target()
    start, end = target.bootloader_offset, given.config.partition_table_offset
    places = [("bootloader", start, end - start)]
    places += [(row.label, row.offset, row.size) for row in table if row.type == _APP]
    return [
        (name, offset, size)
        for name, offset, size in places
        if size >= 0 and offset + max(size, 1) <= flash.size and flash.read(offset, 1) == _MAGIC
    ]
