"""All functions of ROM that we have, by ROM's own names."""

from __future__ import annotations

from collections.abc import Mapping

from py_esp_ota.silicon.rom.checksums import CHECKSUMS
from py_esp_ota.silicon.rom.floats import FLOATS
from py_esp_ota.silicon.rom.functions import FUNCTIONS, Function
from py_esp_ota.silicon.rom.libc import LIBC
from py_esp_ota.silicon.rom.newlib import NEWLIB
from py_esp_ota.silicon.rom.real import AT_HOME, PURE
from py_esp_ota.silicon.rom.serial import SERIAL
from py_esp_ota.silicon.rom.spiflash import SPIFLASH
from py_esp_ota.silicon.rom.system import SYSTEM
from py_esp_ota.silicon.rom.text import TEXT

KNOWN: Mapping[str, Function] = {
    **FUNCTIONS, **SERIAL, **SPIFLASH, **CHECKSUMS, **LIBC, **TEXT, **FLOATS, **NEWLIB, **SYSTEM,
}  # fmt: skip
#: Those whose own code can run where the real ROM is.
OF_REAL_ROM = PURE | AT_HOME | CHECKSUMS.keys() | LIBC.keys() | TEXT.keys() | FLOATS.keys() | NEWLIB.keys()
