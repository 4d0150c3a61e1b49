"""The general purpose timer of a timer group: a counter of 54 bits with a divider and one alarm.

(ESP32-C3 TRM, chapter "Timer Group"; ``components/esp_hal_timg/<chip>/include/hal/timer_ll.h``.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from py_esp_ota.silicon.chips.peripherals import Timer
from py_esp_ota.silicon.clock import CYCLES_PER_US, Clock
from py_esp_ota.silicon.peripherals.registers import Registers

_CONFIG, _LOW, _HIGH, _UPDATE, _ALARM_LOW, _ALARM_HIGH = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x14
_LOAD_LOW, _LOAD_HIGH, _LOAD = 0x18, 0x1C, 0x20
_INT_ENA, _INT_RAW = 0x70, 0x74
_ALARM_EN, _AUTORELOAD, _INCREASE, _EN = 1 << 10, 1 << 29, 1 << 30, 1 << 31
_DIVIDER_AT, _LARGEST_DIVIDER = 13, 0x10000
_UPPER = (1 << 22) - 1
_BITS = (1 << 54) - 1
_T0_INT = 1
_HZ = CYCLES_PER_US * 1_000_000


class GeneralPurposeTimer:
    """The timer ``at``. All that it remembers beyond its registers is a count, and the cycle it had it at."""

    def __init__(self, at: Timer, registers: Registers, clock: Clock) -> None:
        self._at = at
        self._registers = registers
        self._clock = clock
        self._count = self._since = 0
        registers.on_write[at.base + _CONFIG] = self._configure
        registers.on_write[at.base + _UPDATE] = self._latch
        registers.on_write[at.base + _LOAD] = self._load
        for register in (_ALARM_LOW, _ALARM_HIGH):
            registers.on_write[at.base + register] = self._setting(register)

    def reset(self) -> None:
        """It stands at zero."""
        self._count = self._since = 0

    def save(self) -> tuple[object, ...]:
        """What ``restore`` takes."""
        return self._count, self._since

    def restore(self, saved: tuple[Any, ...]) -> None:
        """As it was at ``save``."""
        self._count, self._since = saved

    def asks(self) -> bool:
        """Whether it wants an interrupt."""
        self._fire()
        return bool(self._word(_INT_RAW) & self._word(_INT_ENA) & _T0_INT)

    def next_alarm(self) -> int | None:
        """The cycle of its alarm, ``None`` when none is set."""
        config = self._word(_CONFIG)
        if config & (_EN | _ALARM_EN) != _EN | _ALARM_EN:
            return None
        alarm = self._wide(_ALARM_LOW, _ALARM_HIGH)
        left = alarm - self._count if config & _INCREASE else self._count - alarm
        counts, cycles = self._ticks()
        return self._since + -(-max(left, 0) * cycles // counts)

    def _ticks(self) -> tuple[int, int]:
        """Counts per so many cycles."""
        chosen = self._registers.stored(self._at.clock) >> self._at.bit & len(self._at.hz) - 1
        divider = self._word(_CONFIG) >> _DIVIDER_AT & _LARGEST_DIVIDER - 1 or _LARGEST_DIVIDER
        return self._at.hz[chosen], _HZ * divider

    def _settle(self, now: int) -> None:
        """The count up to ``now``; what is left of a count is not lost."""
        config = self._word(_CONFIG)
        if not config & _EN:
            self._since = now
            return
        counts, cycles = self._ticks()
        passed = (now - self._since) * counts // cycles
        self._count = self._count + (passed if config & _INCREASE else -passed) & _BITS
        self._since += passed * cycles // counts

    def _fire(self) -> None:
        due = self.next_alarm()
        if due is None or due > self._clock.cycles:
            return
        self._settle(due)
        if self._word(_CONFIG) & _AUTORELOAD:
            self._count, self._since = self._wide(_LOAD_LOW, _LOAD_HIGH), due
        self._set(_CONFIG, self._word(_CONFIG) & ~_ALARM_EN)
        self._set(_INT_RAW, self._word(_INT_RAW) | _T0_INT)

    def _configure(self, value: int) -> None:
        self._fire()
        self._settle(self._clock.cycles)
        self._set(_CONFIG, value)
        self._registers.changed()

    def _latch(self, _value: int) -> None:
        """It is done at once: the bit that asks for it reads zero."""
        self._fire()
        self._settle(self._clock.look())
        self._set(_LOW, self._count)
        self._set(_HIGH, self._count >> 32 & _UPPER)

    def _load(self, _value: int) -> None:
        self._count, self._since = self._wide(_LOAD_LOW, _LOAD_HIGH), self._clock.cycles
        self._registers.changed()

    def _setting(self, register: int) -> Callable[[int], None]:
        def write(value: int) -> None:
            self._fire()
            self._set(register, value)
            self._registers.changed()

        return write

    def _wide(self, low: int, high: int) -> int:
        return (self._word(high) & _UPPER) << 32 | self._word(low)

    def _word(self, offset: int) -> int:
        return self._registers.stored(self._at.base + offset)

    def _set(self, offset: int, value: int) -> None:
        self._registers.values[self._at.base + offset] = value & 0xFFFFFFFF
