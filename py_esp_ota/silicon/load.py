"""An app in its partition, put where its bootloader would have put it: as if that had just jumped into it.

What a bootloader leaves behind matters to an app as much as its own bytes: constants and code seen through the MMU,
data in RAM, and a watchdog that runs.
"""

from __future__ import annotations

from py_esp_ota._core import Partition, inspect_image
from py_esp_ota.silicon.chips.peripherals import PERIPHERALS
from py_esp_ota.silicon.hardware import Hardware
from py_esp_ota.silicon.program import Program, place

_MAGIC = 0xE9
#: What ``bootloader_config_wdt`` writes to the RTC's watchdog: 9 s of the slow clock's 136 kHz, halved as the hardware
#: doubles it.
_WDT_KEY = 0x50D83AA1
_WDT_LEFT = ((0x18, _WDT_KEY), (0x04, 612_000), (0x14, 1 << 31), (0x00, 0xC007EA00), (0x18, 0))


def put_app(hardware: Hardware, partition: Partition) -> int:
    """``unpack_load_app``: the entry address of the app in ``partition``, once all of it is where it belongs.

    The hardware, which has devices, has just been powered on. Whether the image is sound was the bootloader's business.

    Raises:
        ValueError: the partition holds no image that a bootloader could start.
    """
    flash, soc = hardware.chip.flash, hardware.soc
    data = flash.mmap(partition.offset, min(partition.size, flash.size - partition.offset))
    info = inspect_image(data)
    header = info.header
    if header is None or header.magic != _MAGIC:
        raise ValueError(f"partition {partition.label} holds no app: its first byte is not 0xe9")
    parts = []
    for segment in info.segments:
        if segment.kind == "map":
            _map(hardware, segment.load_addr, partition.offset + segment.offset, segment.length)
        elif segment.kind == "load":
            part = place(soc, segment.load_addr, data[segment.offset : segment.offset + segment.length])
            if part is None:
                raise ValueError(f"segment {segment.index} goes to 0x{segment.load_addr:08x}, which is no RAM")
            parts.append(part)
    hardware.put(Program(header.entry_addr, tuple(parts)))
    hardware.sync_cache()
    for register, value in _WDT_LEFT:
        hardware.registers.write(PERIPHERALS[soc.name].awake.watchdog + register, value)
    return header.entry_addr


def _map(hardware: Hardware, virtual: int, physical: int, length: int) -> None:
    """``set_cache_and_start_app``: every page of the MMU that a segment touches."""
    window, size = hardware.soc.flash_windows[0][1].size, hardware.cpu.window.page_size
    first, place = virtual % window // size, physical // size
    last = (virtual + max(length, 1) - 1) % window // size
    for entry in range(first, last + 1):
        hardware.map_page(entry, place + entry - first)
