"""Images that a fleet's file names by what they say of themselves: they are made up."""

from __future__ import annotations

from py_esp_ota.firmware import CHIPS, Firmware
from py_esp_ota.fleet.written import Table, no_word
from py_esp_ota.releases import Version, release_text

FORGED = ("chip", "project", "version", "size")
"""Keys of a table that describe one."""

_LIMIT = 16 << 20
_LEAST = 0x400


def forged(table: Table, *, chip: str, project: str, version: str, size: int, idf: Version) -> bytes:
    """The image that a table describes; what it leaves out is as given. Raises ``ValueError``."""
    chip = table.text("chip", chip)
    if chip not in CHIPS:
        raise no_word(f"{table.where}chip: ", chip, sorted(CHIPS), "chip")
    made = Firmware(
        table.text("project", project),
        table.text("version", version),
        chip=chip,
        size=table.whole("size", size, low=_LEAST, high=_LIMIT),
        idf_ver=release_text(idf),
    )
    try:
        return made.to_bytes()
    except ValueError as error:
        raise ValueError(f"{table.where}the image cannot be made: {error}") from None
