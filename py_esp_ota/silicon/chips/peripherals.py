"""What an app needs of a chip besides what its bootloader needs, as data: timers, interrupts, consoles, watchdogs.

Addresses: ``components/soc/<chip>/include/soc/*_reg.h``; interrupt sources: ``components/soc/<chip>/.../interrupts.h``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Lines:
    """The interrupt controller behind the matrix, register by register; ``types`` says level or edge."""

    enable: int
    types: int
    priority: int
    threshold: int
    #: The first of the words that say which sources ask.
    status: int


@dataclass(frozen=True, slots=True)
class Awake:
    """What stays awake: address and bit of what resets chip and CPU, the slow clock, the base of its watchdog."""

    reset: tuple[int, int]
    reset_cpu: tuple[int, int]
    update: tuple[int, int]
    time: tuple[int, int]
    watchdog: int


@dataclass(frozen=True, slots=True)
class Peripherals:
    """Bases of devices, and the numbers of their interrupt sources."""

    systimer: int
    systimer_source: int
    interrupts: int
    lines: Lines
    #: The first of the four registers by which code interrupts itself, and its source.
    from_cpu: int
    from_cpu_source: int
    uart: int
    uart_source: int
    usb_serial_jtag: int
    usb_serial_jtag_source: int
    timer_groups: tuple[int, ...]
    watchdog_sources: tuple[int, ...]
    awake: Awake
    sha: int
    aes: int
    #: Bits that say "done" or "ready", always.
    ready: Mapping[int, int]
    #: The fast RC oscillator, Hz.
    fast_hz: int = 17_500_000


PERIPHERALS: Mapping[str, Peripherals] = {
    "esp32c3": Peripherals(
        systimer=0x60023000,
        systimer_source=37,
        interrupts=0x600C2000,
        lines=Lines(0x600C2104, 0x600C2108, 0x600C2114, 0x600C2194, 0x600C20F8),
        from_cpu=0x600C0028,
        from_cpu_source=50,
        uart=0x60000000,
        uart_source=21,
        usb_serial_jtag=0x60043000,
        usb_serial_jtag_source=26,
        timer_groups=(0x6001F000, 0x60020000),
        watchdog_sources=(33, 35),
        awake=Awake(
            reset=(0x60008000, 1 << 31),
            reset_cpu=(0x60008000, 1 << 5),
            update=(0x6000800C, 1 << 31),
            time=(0x60008010, 0x60008014),
            watchdog=0x60008090,
        ),
        sha=0x6003B000,
        aes=0x6003A000,
        ready={0x60040044: 0xC0000000},  # APB_SARADC_INT_RAW: both converters are done
    ),
    "esp32c6": Peripherals(
        systimer=0x6000A000,
        systimer_source=57,
        interrupts=0x60010000,
        lines=Lines(0x20001000, 0x20001004, 0x20001010, 0x20001090, 0x60010134),
        from_cpu=0x600C5090,
        from_cpu_source=22,
        uart=0x60000000,
        uart_source=43,
        usb_serial_jtag=0x6000F000,
        usb_serial_jtag_source=48,
        timer_groups=(0x60008000, 0x60009000),
        watchdog_sources=(53, 56),
        awake=Awake(
            reset=(0x600B1034, 1 << 31),
            reset_cpu=(0x600B1038, 1 << 28),
            update=(0x600B0C10, 3 << 27),
            time=(0x600B0C14, 0x600B0C18),
            watchdog=0x600B1C00,
        ),
        sha=0x60089000,
        aes=0x60088000,
        ready={0x6000E044: 0xC0000000, 0x600C8098: 1 << 4, 0x600C8134: 1 << 1},
    ),
}
