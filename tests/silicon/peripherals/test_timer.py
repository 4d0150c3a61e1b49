"""The general purpose timers: what their driver does with them, register by register; and MicroPython's on top."""

from __future__ import annotations

import pytest
from micropython import ask, prompt, two_slots

from py_esp_ota.silicon import Machine
from py_esp_ota.silicon.chips.peripherals import PERIPHERALS
from py_esp_ota.silicon.chips.socs import SOCS
from py_esp_ota.silicon.clock import CYCLES_PER_US, Clock
from py_esp_ota.silicon.peripherals.registers import Registers
from py_esp_ota.silicon.peripherals.timer import GeneralPurposeTimer

MS = 1000 * CYCLES_PER_US
ALARM, RELOAD, UP, ON = 1 << 10, 1 << 29, 1 << 30, 1 << 31


class Bench:
    """One timer at 1 MHz."""

    def __init__(self, chip="esp32c3", number=0):
        self.at = PERIPHERALS[chip].timers[number]
        self.registers, self.clock = Registers(SOCS[chip]), Clock()
        self.timer = GeneralPurposeTimer(self.at, self.registers, self.clock)
        self.divider = self.at.hz[0] // 1_000_000 << 13

    def write(self, offset, value):
        self.registers.write(self.at.base + offset, value)

    def read(self, offset):
        return self.registers.read(self.at.base + offset)

    def count(self):
        self.write(0x0C, 1 << 31)
        assert not self.read(0x0C) >> 31, "the driver waits for this bit to go"
        return self.read(0x08) << 32 | self.read(0x04)

    def alarm(self, value):
        self.write(0x14, value >> 32)
        self.write(0x10, value & 0xFFFFFFFF)


@pytest.fixture(params=[("esp32c3", 0), ("esp32c3", 1), ("esp32c6", 0), ("esp32c6", 1)], ids=str)
def bench(request):
    return Bench(*request.param)


def test_it_counts_while_it_is_on_and_keeps_the_count(bench):
    bench.clock.cycles = 5 * MS
    bench.write(0, bench.divider | UP | ON)
    bench.clock.cycles += 3 * MS
    assert bench.count() == pytest.approx(3000, abs=1)
    bench.write(0, bench.divider | UP)
    bench.clock.cycles += 3 * MS
    stopped = bench.count()
    assert stopped == pytest.approx(3000, abs=1)
    bench.write(0, bench.divider | ON)
    bench.clock.cycles += MS
    assert bench.count() == pytest.approx(stopped - 1000, abs=1)


def test_it_is_loaded_with_more_than_32_bits(bench):
    bench.write(0x18, 7)
    bench.write(0x1C, 5)
    bench.write(0x20, 1)
    assert bench.count() == (5 << 32) + 7


def test_an_alarm_rings_once_and_is_off_then(bench):
    bench.write(0x70, 1)
    bench.alarm(2000)
    bench.write(0, bench.divider | UP | ON | ALARM)
    assert bench.timer.next_alarm() == 2 * MS
    bench.clock.cycles = 2 * MS - 1
    assert not bench.timer.asks()
    bench.clock.cycles = 2 * MS
    assert bench.timer.asks()
    assert (bench.read(0) & ALARM, bench.read(0x74), bench.timer.next_alarm()) == (0, 1, None)
    bench.clock.cycles = 3 * MS
    assert bench.count() == pytest.approx(3000, abs=1)


def test_with_auto_reload_it_begins_again_and_never_drifts(bench):
    bench.write(0x70, 1)
    bench.alarm(1000)
    bench.write(0, bench.divider | UP | ON | ALARM | RELOAD)
    rung = []
    for now in range(0, 5 * MS, MS // 8):
        bench.clock.cycles = now + 17
        if bench.timer.asks():
            rung.append(now // MS)
            bench.registers.values[bench.at.base + 0x74] = 0  # as the watchdog's device clears it
            bench.write(0, bench.read(0) | ALARM)
    assert rung == [1, 2, 3, 4]
    assert bench.timer.next_alarm() == 5 * MS


def test_an_alarm_that_lies_behind_rings_at_once_and_one_that_counts_down_too(bench):
    bench.write(0x18, 500)
    bench.write(0x20, 1)
    bench.alarm(100)
    bench.write(0, bench.divider | ON | ALARM)
    assert bench.timer.next_alarm() == pytest.approx(400 * CYCLES_PER_US, abs=200)
    bench.alarm(600)
    assert bench.timer.next_alarm() <= bench.clock.cycles


def test_the_clock_is_the_one_that_is_chosen():
    c3, c6 = Bench("esp32c3"), Bench("esp32c6")
    c3.write(0, c3.divider | UP | ON | 1 << 9)
    c6.registers.write(c6.at.clock, 1 << 20)
    c6.write(0, c6.divider | UP | ON)
    for bench, count in ((c3, 500), (c6, 2000)):
        bench.clock.cycles = MS
        assert bench.count() == pytest.approx(count, abs=1)


def test_micropython_s_timers_ring():
    session = prompt(Machine("esp32c3"), two_slots("1/VALID"))
    ask(session, "from machine import Timer; import time; n = []; t = Timer(0)")
    ask(session, "t.init(period=50, callback=lambda t: n.append(time.ticks_ms()))")
    ask(session, "time.sleep_ms(320); t.deinit()")
    assert 6 <= int(ask(session, "print(len(n))")) <= 9
    gaps = ask(session, "print([b - a for a, b in zip(n, n[1:])])")
    assert {int(gap) for gap in gaps.strip("[]").split(", ")} <= {49, 50, 51}
