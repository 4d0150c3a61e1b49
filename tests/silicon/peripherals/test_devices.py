"""The devices of a chip, each alone: what code writes into their registers, and what it reads there later."""

from __future__ import annotations

import pytest

from py_esp_ota._core import Flash
from py_esp_ota.chip import ResetReason
from py_esp_ota.silicon.chips.peripherals import PERIPHERALS
from py_esp_ota.silicon.chips.socs import SOCS
from py_esp_ota.silicon.clock import CYCLES_PER_US, Clock
from py_esp_ota.silicon.peripherals.consoles import UART, USB, Uart, UsbSerialJtag
from py_esp_ota.silicon.peripherals.interrupts import Interrupts, Line
from py_esp_ota.silicon.peripherals.plic import Plic
from py_esp_ota.silicon.peripherals.registers import Registers
from py_esp_ota.silicon.peripherals.rtc import Rtc
from py_esp_ota.silicon.peripherals.spi_mem import SpiMem
from py_esp_ota.silicon.peripherals.systimer import Systimer
from py_esp_ota.silicon.peripherals.watchdog import Watchdog

AT = PERIPHERALS["esp32c3"]
US, MS, S = CYCLES_PER_US, 1000 * CYCLES_PER_US, 1_000_000 * CYCLES_PER_US


@pytest.fixture
def registers():
    return Registers(SOCS["esp32c3"])


@pytest.fixture
def clock():
    return Clock()


# -------------------------------------------------------------------------------------------------------- system timer


@pytest.fixture
def systimer(registers, clock):
    timer = Systimer(AT.systimer, registers, clock)
    registers.write(AT.systimer, 0x7 << 22)
    registers.write(AT.systimer + 0x64, 0x7)
    return timer


def count(registers, unit=0):
    """The counter, as code reads it: latch, then both halves."""
    registers.write(AT.systimer + 0x04 + 4 * unit, 1 << 30)
    assert registers.read(AT.systimer + 0x04 + 4 * unit) & 1 << 29
    high, low = (registers.read(AT.systimer + 0x40 + 8 * unit + 4 * half) for half in range(2))
    return high << 32 | low


def test_the_counter_runs_at_16_mhz(registers, clock, systimer):
    clock.cycles = 2 * S
    assert count(registers) == pytest.approx(32_000_000, abs=16)
    frozen = [registers.read(AT.systimer + offset) for offset in (0x40, 0x44)]
    clock.cycles += S
    assert [registers.read(AT.systimer + offset) for offset in (0x40, 0x44)] == frozen


def test_a_counter_can_be_set_to_more_than_32_bits(registers, clock, systimer):
    registers.write(AT.systimer + 0x14, 5)
    registers.write(AT.systimer + 0x18, 7)
    registers.write(AT.systimer + 0x60, 1)
    clock.cycles += S
    assert count(registers, 1) == pytest.approx((5 << 32) + 7 + 16_000_000, abs=16)
    assert count(registers, 0) == pytest.approx(16_000_000, abs=16)


def test_an_alarm_rings_once_at_its_time(registers, clock, systimer):
    registers.write(AT.systimer + 0x28, 16_000)
    registers.write(AT.systimer + 0x54, 1)
    assert systimer.next_alarm() == MS
    clock.cycles = MS - 10
    assert not systimer.asks(1)
    clock.cycles = MS
    assert [systimer.asks(alarm) for alarm in range(3)] == [False, True, False]
    registers.write(AT.systimer + 0x6C, 1 << 1)
    clock.cycles = 9 * MS
    assert (systimer.asks(1), systimer.next_alarm()) == (False, None)


def test_a_periodic_alarm_rings_again_and_never_drifts(registers, clock, systimer):
    registers.write(AT.systimer + 0x34, 1 << 30 | 16_000)
    rung = []
    for now in range(0, 5 * MS, MS // 4):
        clock.cycles = now
        if systimer.asks(0):
            rung.append(now)
            registers.write(AT.systimer + 0x6C, 1)
    assert rung == [MS, 2 * MS, 3 * MS, 4 * MS]
    clock.cycles = 20 * MS + 5
    assert systimer.asks(0)
    assert systimer.next_alarm() == 21 * MS


def test_an_alarm_that_is_off_or_not_enabled_asks_for_nothing(registers, clock, systimer):
    registers.write(AT.systimer + 0x34, 1 << 30 | 16_000)
    registers.write(AT.systimer, 0)
    clock.cycles = 3 * MS
    assert (systimer.asks(0), systimer.next_alarm()) == (False, None)
    registers.write(AT.systimer, 1 << 24)
    registers.write(AT.systimer + 0x64, 0)
    assert not systimer.asks(0)
    assert registers.read(AT.systimer + 0x68) == 1
    assert registers.read(AT.systimer + 0x70) == 0


# ---------------------------------------------------------------------------------------------------------- interrupts


@pytest.fixture
def matrix(registers):
    asking = set()
    sources = {number: (lambda number=number: number in asking) for number in (21, 37, 50)}
    lines = Interrupts(AT.interrupts, Plic(AT.lines, registers), registers, sources)
    return lines, asking


def wire(registers, source, line, priority):
    registers.write(AT.interrupts + 4 * source, line)
    registers.write(AT.lines.priority + 4 * line, priority)
    registers.write(AT.lines.enable, registers.read(AT.lines.enable) | 1 << line)


def test_the_higher_priority_gets_through_and_the_threshold_stops_the_others(registers, matrix):
    lines, asking = matrix
    wire(registers, 21, 9, 1)
    wire(registers, 37, 5, 3)
    asking |= {21, 37}
    assert (sorted(lines.pending()), lines.ready()) == ([5, 9], Line(5))
    registers.write(AT.lines.threshold, 4)
    assert lines.ready() is None
    registers.write(AT.lines.threshold, 3)
    assert lines.ready() == Line(5)
    asking.remove(37)
    assert lines.ready() is None
    registers.write(AT.lines.threshold, 1)
    assert lines.ready() == Line(9)


def test_what_is_not_enabled_not_mapped_or_of_no_priority_never_gets_through(registers, matrix):
    lines, asking = matrix
    asking |= {21, 37, 50}
    assert (lines.pending(), lines.ready()) == ([], None)
    registers.write(AT.interrupts + 4 * 21, 9)
    assert lines.pending() == []
    registers.write(AT.lines.enable, 1 << 9)
    assert (lines.pending(), lines.ready()) == ([9], None)
    assert registers.read(AT.lines.status) == 1 << 21
    assert registers.read(AT.lines.status + 4) == 1 << 37 - 32 | 1 << 50 - 32


def test_whoever_waits_is_told_only_of_what_may_let_one_through(registers, matrix):
    told = []
    registers.changed = lambda: told.append(1)
    registers.write(AT.lines.threshold, 4)
    assert told == []
    registers.write(AT.lines.threshold, 1)
    assert told == [1]


# ------------------------------------------------------------------------------------------------------------ consoles


def test_what_is_printed_comes_letter_by_letter_and_says_where(registers, clock):
    printed = []
    Uart(AT.uart, registers, lambda *letter: printed.append(letter))
    UsbSerialJtag(AT.usb_serial_jtag, registers, lambda *letter: printed.append(letter), clock)
    registers.write(AT.uart, ord("a"))
    registers.write(AT.usb_serial_jtag, 0x100 | ord("b"))
    assert printed == [(UART, "a"), (USB, "b")]


def test_what_is_typed_on_the_uart_waits_in_its_fifo_and_asks(registers):
    uart = Uart(AT.uart, registers, print)
    registers.write(AT.uart + 0x0C, 1)
    assert not uart.asks()
    uart.type(b"ok")
    assert uart.asks()
    assert registers.read(AT.uart + 0x1C) & 0x3FF == 2
    assert bytes(registers.read(AT.uart) for _ in range(3)) == b"ok\0"
    assert not uart.asks()
    uart.type(bytes(1000))
    assert registers.read(AT.uart + 0x1C) & 0x3FF == 128


def test_what_is_typed_over_usb_is_announced_and_frames_come_each_millisecond(registers, clock):
    usb = UsbSerialJtag(AT.usb_serial_jtag, registers, print, clock)
    registers.write(AT.usb_serial_jtag + 0x10, 1 << 2)
    usb.type(b"x")
    assert usb.asks()
    assert registers.read(AT.usb_serial_jtag + 4) == 0b110
    registers.write(AT.usb_serial_jtag + 0x14, 1 << 2)
    assert registers.read(AT.usb_serial_jtag) == ord("x")
    assert (usb.asks(), registers.read(AT.usb_serial_jtag + 4)) == (False, 0b010)
    usb.type(bytes(100))  # the second packet is announced when the first one was read
    registers.write(AT.usb_serial_jtag + 0x14, 1 << 2)
    asked = [(registers.read(AT.usb_serial_jtag), usb.asks())[1] for _ in range(64)]
    assert asked == [False] * 63 + [True]
    assert usb.next_frame() is None
    registers.write(AT.usb_serial_jtag + 0x10, 1 << 1)
    assert usb.next_frame() == MS
    clock.cycles = MS
    assert usb.asks()
    registers.write(AT.usb_serial_jtag + 0x14, 1 << 1)
    assert (usb.asks(), usb.next_frame()) == (False, 2 * MS)


# ---------------------------------------------------------------------------------------- watchdogs, clock and resets


@pytest.fixture
def resets():
    return []


def test_a_watchdog_that_is_not_fed_interrupts_and_then_resets(registers, clock, resets):
    dog = Watchdog(AT.timer_groups[1], registers, clock, resets.append, ResetReason.TG1WDT_SYS)
    base = AT.timer_groups[1]
    registers.write(base + 0x70, 1 << 1)
    registers.write(base + 0x4C, 80 << 16)  # a tick is a microsecond
    registers.write(base + 0x50, 1000)
    registers.write(base + 0x54, 500)
    registers.write(base + 0x48, 1 << 31 | 1 << 29 | 3 << 27)
    assert dog.due() == MS
    clock.cycles = MS - 1
    dog.bite()
    assert (dog.asks(), resets) == (False, [])
    clock.cycles = MS
    dog.bite()
    assert (dog.asks(), resets, dog.due()) == (True, [], MS + 500 * US)
    registers.write(base + 0x60, 1)
    registers.write(base + 0x7C, 1 << 1)
    assert (dog.asks(), dog.due()) == (False, 2 * MS)
    for clock.cycles in (2 * MS, 3 * MS):
        dog.bite()
    assert resets == [ResetReason.TG1WDT_SYS]
    registers.write(base + 0x48, 0)
    assert dog.due() is None


def test_the_rtc_watchdog_counts_slow_clock_ticks_and_its_first_stage_twice(registers, clock, resets):
    rtc = Rtc(AT.awake, registers, clock, resets.append)
    base = AT.awake.watchdog
    registers.write(base + 0x04, 136_000 * 9 // 2)  # as a bootloader sets nine seconds
    registers.write(base, 1 << 31 | 4 << 28)
    assert rtc.watchdog_due() == 9 * S
    clock.cycles = 5 * S
    registers.write(base + 0x14, 1 << 31)
    clock.cycles = 13 * S
    rtc.bite()
    assert resets == []
    clock.cycles = 14 * S
    rtc.bite()
    assert resets == [ResetReason.RTCWDT_RTC]


def test_the_rtc_tells_the_time_and_resets_the_chip_or_its_cpu(registers, clock, resets):
    Rtc(AT.awake, registers, clock, resets.append)
    clock.cycles = 10 * S
    registers.write(0x6000800C, 1 << 31)
    assert registers.read(0x60008010) == pytest.approx(1_360_000, abs=2)
    registers.write(0x60008000, 1 << 31)
    registers.write(0x60008000, 1 << 5)
    registers.write(0x60008000, 0x1234_0000)
    assert resets == [ResetReason.SW, ResetReason.SW_CPU]
    assert registers.read(0x60008000) == 0x1234_0000


# -------------------------------------------------------------------------------------------------------------- flash


class Owner:
    def __init__(self):
        self.chip = Flash(0x400000)
        self.writes = []

    def flash(self):
        return self.chip

    def wrote(self, write):
        self.writes.append((write.kind, write.address, write.length))


@pytest.fixture
def spi(registers):
    owner = Owner()
    SpiMem(SPI1, registers, owner)
    return owner


SPI1 = 0x60002000


def command(registers, opcode, address=0, write=b"", read=0):
    registers.write(SPI1 + 0x04, address)
    registers.write(SPI1 + 0x20, 7 << 28 | opcode)
    for at in range(0, len(write), 4):
        registers.write(SPI1 + 0x58 + at, int.from_bytes(write[at : at + 4], "little"))
    registers.write(SPI1 + 0x24, max(8 * len(write) - 1, 0))
    registers.write(SPI1 + 0x28, max(8 * read - 1, 0))
    registers.write(SPI1, 1 << 18)
    assert registers.read(SPI1) == 0
    words = b"".join(registers.read(SPI1 + 0x58 + at).to_bytes(4, "little") for at in range(0, max(read, 4), 4))
    return words[:read]


def test_flash_is_erased_programmed_and_read_by_commands(registers, spi):
    command(registers, 0x06)
    assert command(registers, 0x05, read=1) == b"\x02"
    command(registers, 0x02, 0x12344, write=b"hello, flash")
    assert command(registers, 0x05, read=1) == b"\0"
    assert command(registers, 0x03, 0x12340, read=20) == b"\xff" * 4 + b"hello, flash" + b"\xff" * 4
    command(registers, 0x06)
    command(registers, 0x20, 0x12FFF)
    assert spi.writes == [("program", 0x12344, 12), ("erase", 0x12000, 0x1000)]
    assert spi.chip.read(0x12344, 12) == b"\xff" * 12


def test_without_write_enable_nothing_changes(registers, spi):
    command(registers, 0x02, 0x1000, write=b"data")
    command(registers, 0x20, 0x1000)
    command(registers, 0x06)
    command(registers, 0x04)
    command(registers, 0xC7)
    assert spi.writes == []


def test_a_status_register_is_written_after_a_write_enable(registers, spi):
    """The bit for four data lines is the second of the second; two bytes at once write the first two registers."""
    reads = (0x05, 0x35, 0x15)

    def statuses():
        return [command(registers, opcode, read=1)[0] for opcode in reads]

    command(registers, 0x31, write=b"\x02")
    assert statuses() == [0, 0, 0]
    command(registers, 0x06)
    command(registers, 0x31, write=b"\x02")
    assert statuses() == [0, 2, 0]
    command(registers, 0x50)
    command(registers, 0x01, write=b"\x1f\x40")
    assert statuses() == [0x1C, 0x40, 0]
    command(registers, 0x06)
    command(registers, 0x11, write=b"\x60")
    command(registers, 0x06)
    assert statuses() == [0x1E, 0x40, 0x60]
    command(registers, 0x20, 0x1000)
    assert statuses() == [0x1C, 0x40, 0x60]


def test_hardware_reads_and_writes_the_status_by_itself_too(registers, spi):
    """As ROM does it: the value goes through RD_STATUS, which ROM clears in between."""
    registers.write(SPI1, 1 << 30)
    registers.write(SPI1 + 0x08, 1 << 22)
    registers.write(SPI1 + 0x2C, 0x0200)
    registers.write(SPI1, 1 << 26)
    registers.write(SPI1 + 0x2C, 0)
    assert command(registers, 0x35, read=1) == b"\x02"
    registers.write(SPI1, 1 << 30)
    registers.write(SPI1 + 0x2C, 0)
    registers.write(SPI1, 1 << 27)
    assert registers.read(SPI1 + 0x2C) == 0x02
    registers.write(SPI1 + 0x08, 0)
    registers.write(SPI1 + 0x2C, 0x1D)
    registers.write(SPI1, 1 << 26)
    assert [command(registers, opcode, read=1) for opcode in (0x05, 0x35)] == [b"\x1c", b"\x02"]


def test_the_chip_tells_its_size_and_its_status(registers, spi):
    assert command(registers, 0x9F, read=3) == b"\xef\x40\x16"
    assert command(registers, 0x35, read=1) == b"\0"
    assert command(registers, 0x5A, read=8) == b"\xff" * 8
    command(registers, 0x66)  # a command that is taken and forgotten


def test_commands_that_hardware_makes_by_itself(registers, spi):
    registers.write(SPI1, 1 << 30)
    registers.write(SPI1 + 0x04, 4 << 24 | 0x2000)
    registers.write(SPI1 + 0x58, 0x64636261)
    registers.write(SPI1, 1 << 25)
    registers.write(SPI1, 1 << 30)
    registers.write(SPI1 + 0x04, 0x13000)
    registers.write(SPI1, 1 << 23)
    assert spi.writes == [("program", 0x2000, 4), ("erase", 0x10000, 0x10000)]
    assert spi.chip.read(0x2000, 4) == b"abcd"
