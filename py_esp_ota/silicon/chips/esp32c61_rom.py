"""Where the ROM of an ESP32-C61 has what bootloaders and apps call (``components/esp_rom/esp32c61/ld/*.ld``).

It is the ESP32-C5's list but for what one of the two chips lacks, after which the rest has moved.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping

from py_esp_ota.silicon.chips.esp32c5_rom import ESP32C5_ROM

_NOT_HERE = frozenset({"esp_rom_set_rtc_wake_addr"})
#: From which function of the other chip on everything is so many bytes further.
_MOVED = (
    (0x40000000, 0),
    (0x40000638, -0x24),
    (0x40000650, -0x1C),
    (0x4000086C, -0x7C),
    (0x400008BC, -0x98),
    (0x40001544, 0x4),
)
_FROM = tuple(begin for begin, _ in _MOVED)

ESP32C61_ROM: Mapping[int, str] = {
    address + _MOVED[bisect_right(_FROM, address) - 1][1]: name
    for address, name in ESP32C5_ROM.items()
    if name not in _NOT_HERE
}
