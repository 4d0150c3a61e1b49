"""The system timer: two counters of 16 MHz and three alarms (ESP32-C3 TRM, chapter "System Timer").

FreeRTOS takes its tick from one alarm, ``esp_timer`` its next callback from another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from py_esp_ota.silicon.clock import Clock
from py_esp_ota.silicon.peripherals.registers import Registers

_CYCLES_PER_COUNT = 10
_CONF, _UNIT_OP, _TARGET, _TARGET_CONF, _UNIT_VALUE, _COMP_LOAD = 0x00, 0x04, 0x1C, 0x34, 0x40, 0x50
_UNIT_LOAD, _UNIT_LOADED = 0x0C, 0x5C
_INT_ENA, _INT_RAW, _INT_CLR, _INT_ST = 0x64, 0x68, 0x6C, 0x70
_UPDATE, _VALID = 1 << 30, 1 << 29
_PERIOD = (1 << 26) - 1
_PERIOD_MODE = 1 << 30
_ALARM_ON = (1 << 24, 1 << 23, 1 << 22)
_ALARMS = range(3)
_HIGH = (1 << 20) - 1


class Systimer:
    """The timer at ``base``. All that it remembers beyond its registers is when each alarm is due next."""

    def __init__(self, base: int, registers: Registers, clock: Clock) -> None:
        self._base = base
        self._registers = registers
        self._clock = clock
        self._due: list[int | None] = [None, None, None]
        self._offset = [0, 0]
        on_write = registers.on_write
        for unit in range(2):
            on_write[base + _UNIT_OP + 4 * unit] = self._latching(unit)
            on_write[base + _UNIT_LOADED + 4 * unit] = self._loading(unit)
        for alarm in _ALARMS:
            on_write[base + _COMP_LOAD + 4 * alarm] = self._arming(alarm)
            on_write[base + _TARGET_CONF + 4 * alarm] = self._choosing(alarm)
        on_write[base + _CONF] = self._configure
        on_write[base + _INT_CLR] = self._clear
        registers.on_read[base + _INT_ST] = lambda: self._word(_INT_RAW) & self._word(_INT_ENA)

    def reset(self) -> None:
        """Nothing is due."""
        self._due = [None, None, None]
        self._offset = [0, 0]

    def save(self) -> tuple[object, ...]:
        """What ``restore`` takes."""
        return *self._due, *self._offset

    def restore(self, saved: tuple[Any, ...]) -> None:
        """As it was at ``save``."""
        self._due, self._offset = list(saved[:3]), list(saved[3:])

    def asks(self, alarm: int) -> bool:
        """Whether an alarm wants an interrupt now."""
        self._fire()
        return bool(self._word(_INT_RAW) & self._word(_INT_ENA) & 1 << alarm)

    def next_alarm(self) -> int | None:
        """The cycle of the next alarm, ``None`` when none is set."""
        due = [at for alarm, at in enumerate(self._due) if at is not None and self._is_on(alarm)]
        return None if not due else min(due) * _CYCLES_PER_COUNT

    def _word(self, offset: int) -> int:
        return self._registers.values.get(self._base + offset, 0)

    def _set(self, offset: int, value: int) -> None:
        self._registers.values[self._base + offset] = value & 0xFFFFFFFF

    def _is_on(self, alarm: int) -> bool:
        return bool(self._word(_CONF) & _ALARM_ON[alarm])

    def _count(self) -> int:
        return self._clock.cycles // _CYCLES_PER_COUNT

    def _fire(self) -> None:
        now = self._count()
        for alarm, at in enumerate(self._due):
            if at is None or at > now or not self._is_on(alarm):
                continue
            self._set(_INT_RAW, self._word(_INT_RAW) | 1 << alarm)
            conf = self._word(_TARGET_CONF + 4 * alarm)
            period = conf & _PERIOD
            self._due[alarm] = at + period * ((now - at) // period + 1) if conf & _PERIOD_MODE and period else None

    def _latching(self, unit: int) -> Callable[[int], None]:
        def write(value: int) -> None:
            if value & _UPDATE:
                count = self._clock.look() // _CYCLES_PER_COUNT + self._offset[unit]
                self._set(_UNIT_VALUE + 8 * unit, count >> 32 & _HIGH)
                self._set(_UNIT_VALUE + 8 * unit + 4, count)
            self._set(_UNIT_OP + 4 * unit, value & ~_UPDATE | _VALID)

        return write

    def _loading(self, unit: int) -> Callable[[int], None]:
        def write(_value: int) -> None:
            wanted = self._word(_UNIT_LOAD + 8 * unit) << 32 | self._word(_UNIT_LOAD + 8 * unit + 4)
            self._offset[unit] = wanted - self._count()

        return write

    def _choosing(self, alarm: int) -> Callable[[int], None]:
        def write(value: int) -> None:
            becomes_periodic = value & ~self._word(_TARGET_CONF + 4 * alarm) & _PERIOD_MODE
            self._set(_TARGET_CONF + 4 * alarm, value)
            if becomes_periodic:
                self._due[alarm] = self._count() + (value & _PERIOD)
                self._registers.changed()

        return write

    def _arming(self, alarm: int) -> Callable[[int], None]:
        def write(_value: int) -> None:
            conf = self._word(_TARGET_CONF + 4 * alarm)
            if conf & _PERIOD_MODE:
                self._due[alarm] = self._count() + (conf & _PERIOD)
            else:
                target = self._word(_TARGET + 8 * alarm) << 32 | self._word(_TARGET + 8 * alarm + 4)
                self._due[alarm] = target - self._offset[conf >> 31]
            self._registers.changed()

        return write

    def _configure(self, value: int) -> None:
        self._set(_CONF, value)
        self._registers.changed()

    def _clear(self, value: int) -> None:
        self._set(_INT_RAW, self._word(_INT_RAW) & ~value)
        self._registers.changed()
