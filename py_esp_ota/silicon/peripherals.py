"""What an app needs of a chip besides what its bootloader needs, as data: timers, interrupts, consoles, watchdogs.

Addresses: ``components/soc/<chip>/include/soc/*_reg.h``; interrupt sources: ``components/soc/<chip>/.../interrupts.h``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from py_esp_ota.silicon.esp32c3_rom import ESP32C3_APP_ROM


@dataclass(frozen=True, slots=True)
class Peripherals:
    """Bases of devices, and the numbers of their interrupt sources."""

    systimer: int
    systimer_source: int
    interrupts: int
    #: The first of the four registers by which code interrupts itself, and its source.
    from_cpu: int
    from_cpu_source: int
    uart: int
    uart_source: int
    usb_serial_jtag: int
    usb_serial_jtag_source: int
    timer_groups: tuple[int, ...]
    watchdog_sources: tuple[int, ...]
    rtc: int
    sha: int
    #: Bits that say "done" or "ready", always.
    ready: Mapping[int, int]
    #: ROM's constants: base and size of where they are, and those that apps read, word by word.
    rom_data: tuple[int, int]
    rom_words: Mapping[int, int]
    #: Functions of ROM that apps call and bootloaders do not.
    rom_functions: Mapping[int, str]


PERIPHERALS: Mapping[str, Peripherals] = {
    "esp32c3": Peripherals(
        systimer=0x60023000,
        systimer_source=37,
        interrupts=0x600C2000,
        from_cpu=0x600C0028,
        from_cpu_source=50,
        uart=0x60000000,
        uart_source=21,
        usb_serial_jtag=0x60043000,
        usb_serial_jtag_source=26,
        timer_groups=(0x6001F000, 0x60020000),
        watchdog_sources=(33, 35),
        rtc=0x60008000,
        sha=0x6003B000,
        ready={0x60040044: 0xC0000000},  # APB_SARADC_INT_RAW: both converters are done
        rom_data=(0x3FF00000, 0x20000),
        rom_words={
            0x3FF1FFFC: 0x3FF1BE3C,  # ets_rom_layout_p
            0x3FF1BE40: 0x3FCDF060,  # its dram0_rtos_reserved_start: memory from here on is ROM's own
        },
        rom_functions=ESP32C3_APP_ROM,
    ),
}
