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
class Clic:
    """The first control register of the controller in the CPU, one for each line, and the first of the status words."""

    control: int
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
class Timer:
    """A general purpose timer: base, interrupt source, and the register whose field at ``bit`` chooses its clock.

    ``hz`` are the clocks by their number there, a power of two of them.
    """

    base: int
    source: int
    clock: int
    bit: int
    hz: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Dma:
    """The general DMA controller: base, the memory that its links lie in, and what says that a transfer is done.

    ``in_link`` and ``out_link`` are where the first channel's links begin, the next one's ``stride`` bytes on; their
    registers hold the bits of ``mask``.
    """

    base: int
    memory: int
    in_raw: int
    in_done: int
    out_raw: int
    out_done: int
    in_link: int = 0x80
    out_link: int = 0xE0
    stride: int = 0xC0
    mask: int = 0xFFFFF


@dataclass(frozen=True, slots=True)
class Peripherals:
    """Bases of devices, and the numbers of their interrupt sources."""

    systimer: int
    systimer_source: int
    interrupts: int
    lines: Lines | Clic
    #: The first of the four registers by which code interrupts itself, and its source.
    from_cpu: int
    from_cpu_source: int
    uart: int
    uart_source: int
    #: UART1, which nothing is connected to.
    uart1: int
    uart1_source: int
    usb_serial_jtag: int
    usb_serial_jtag_source: int
    timer_groups: tuple[int, ...]
    watchdog_sources: tuple[int, ...]
    timers: tuple[Timer, ...]
    awake: Awake
    #: Buses with nothing on them.
    spi2: int
    spi2_source: int
    i2c: int
    i2c_source: int
    rmt: int
    rmt_source: int
    dma: Dma
    sha: int
    aes: int
    aes_source: int
    #: Bits that say "done" or "ready", always.
    ready: Mapping[int, int]
    #: Bits of the radio that its calibration waits for, and its registers that count microseconds.
    radio_ready: Mapping[int, int]
    radio_clocks: frozenset[int]
    #: The fast RC oscillator, Hz.
    fast_hz: int = 17_500_000


_APB_OR_XTAL = (80_000_000, 40_000_000)
#: The last number is reserved.
_XTAL_PLL_OR_RC = (40_000_000, 80_000_000, 17_500_000, 17_500_000)
_XTAL_RC_OR_PLL = (48_000_000, 17_500_000, 80_000_000, 80_000_000)

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
        uart1=0x60010000,
        uart1_source=22,
        usb_serial_jtag=0x60043000,
        usb_serial_jtag_source=26,
        timer_groups=(0x6001F000, 0x60020000),
        watchdog_sources=(33, 35),
        timers=tuple(
            Timer(base, source, base, 9, _APB_OR_XTAL) for base, source in ((0x6001F000, 32), (0x60020000, 34))
        ),
        awake=Awake(
            reset=(0x60008000, 1 << 31),
            reset_cpu=(0x60008000, 1 << 5),
            update=(0x6000800C, 1 << 31),
            time=(0x60008010, 0x60008014),
            watchdog=0x60008090,
        ),
        spi2=0x60024000,
        spi2_source=19,
        i2c=0x60013000,
        i2c_source=29,
        rmt=0x60016000,
        rmt_source=28,
        dma=Dma(0x6003F000, 0x3FC00000, in_raw=0x00, in_done=0x03, out_raw=0x00, out_done=0x118),
        sha=0x6003B000,
        aes=0x6003A000,
        aes_source=48,
        ready={0x60040044: 0xC0000000},  # APB_SARADC_INT_RAW: both converters are done
        radio_ready={0x6000E050: 7 << 24, 0x6000E04C: 1 << 24, 0x60006174: 1 << 16, 0x60033D14: 1 << 0},
        radio_clocks=frozenset(),
    ),
    "esp32c5": Peripherals(
        systimer=0x6000A000,
        systimer_source=61,
        interrupts=0x60010000,
        lines=Clic(0x20801000, 0x60010150),
        from_cpu=0x600C5090,
        from_cpu_source=23,
        uart=0x60000000,
        uart_source=47,
        uart1=0x60001000,
        uart1_source=48,
        usb_serial_jtag=0x6000F000,
        usb_serial_jtag_source=54,
        timer_groups=(0x60008000, 0x60009000),
        watchdog_sources=(58, 60),
        timers=(
            Timer(0x60008000, 57, 0x60096058, 20, _XTAL_RC_OR_PLL),
            Timer(0x60009000, 59, 0x60096064, 20, _XTAL_RC_OR_PLL),
        ),
        awake=Awake(
            reset=(0x600B1034, 1 << 31),
            reset_cpu=(0x600B1038, 1 << 28),
            update=(0x600B0C10, 3 << 27),
            time=(0x600B0C14, 0x600B0C18),
            watchdog=0x600B1C00,
        ),
        spi2=0x60081000,
        spi2_source=78,
        i2c=0x60004000,
        i2c_source=56,
        rmt=0x60006000,
        rmt_source=55,
        dma=Dma(
            0x60080000,
            0,
            in_raw=0x00,
            in_done=0x03,
            out_raw=0x30,
            out_done=0x0B,
            in_link=0x3AC,
            out_link=0x3B8,
            stride=4,
            mask=0xFFFFFFFF,
        ),
        sha=0x60089000,
        aes=0x60088000,
        aes_source=79,
        # Both converters are done, and what the cache was asked for; the key manager is there.
        ready={
            0x6000E044: 0xC0000000,
            0x60096164: 1 << 2,
            0x600C8084: 1 << 2,
            0x600C8094: 1 << 4,
            0x600C80D4: 1 << 1,
            0x600C8130: 1 << 1,
        },
        radio_ready={},
        radio_clocks=frozenset(),
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
        uart1=0x60001000,
        uart1_source=44,
        usb_serial_jtag=0x6000F000,
        usb_serial_jtag_source=48,
        timer_groups=(0x60008000, 0x60009000),
        watchdog_sources=(53, 56),
        timers=(
            Timer(0x60008000, 51, 0x60096040, 20, _XTAL_PLL_OR_RC),
            Timer(0x60009000, 54, 0x6009604C, 20, _XTAL_PLL_OR_RC),
        ),
        awake=Awake(
            reset=(0x600B1034, 1 << 31),
            reset_cpu=(0x600B1038, 1 << 28),
            update=(0x600B0C10, 3 << 27),
            time=(0x600B0C14, 0x600B0C18),
            watchdog=0x600B1C00,
        ),
        spi2=0x60081000,
        spi2_source=72,
        i2c=0x60004000,
        i2c_source=50,
        rmt=0x60006000,
        rmt_source=49,
        dma=Dma(0x60080000, 0x40800000, in_raw=0x00, in_done=0x03, out_raw=0x30, out_done=0x0B),
        sha=0x60089000,
        aes=0x60088000,
        aes_source=73,
        ready={0x6000E044: 0xC0000000, 0x600C8098: 1 << 4, 0x600C8134: 1 << 1},
        radio_ready={
            0x600A00CC: 1 << 8,
            0x600A0418: 1 << 22,
            0x600A04A0: 1 << 16,
            0x600A0814: 7 << 14,
            0x600A4DDC: 1 << 0,
        },
        radio_clocks=frozenset({0x600AD000}),
    ),
}
