"""The main watchdog of a timer group (ESP32-C3 TRM, chapter "Watchdog Timers")."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from py_esp_ota.chip import ResetReason
from py_esp_ota.silicon.clock import CYCLES_PER_US, Clock
from py_esp_ota.silicon.peripherals.registers import Registers

_CONFIG0, _CONFIG1, _CONFIG2, _FEED = 0x48, 0x4C, 0x50, 0x60
_INT_ENA, _INT_RAW, _INT_ST, _INT_CLR = 0x70, 0x74, 0x78, 0x7C
_EN = 1 << 31
_STAGES = range(4)
_STAGE_BITS = (29, 27, 25, 23)
_INTERRUPT, _RESET_CPU, _RESET_SYSTEM = 1, 2, 3
_WDT_INT = 1 << 1
#: The clock of the watchdog is the APB's 80 MHz: two cycles of the CPU.
_CYCLES_PER_TICK = CYCLES_PER_US // 80


class Watchdog:
    """The watchdog in the timer group at ``base``; ``why`` is the reason of the resets it makes."""

    def __init__(
        self, base: int, registers: Registers, clock: Clock, reset: Callable[[ResetReason], None], why: ResetReason
    ) -> None:
        self._base = base
        self._registers = registers
        self._clock = clock
        self._reset_chip = reset
        self._why = why
        self._fed = 0
        self._stage = 0
        registers.on_write[base + _FEED] = self._feed
        registers.on_write[base + _CONFIG0] = self._configure
        registers.on_write[base + _INT_CLR] = self._clear
        registers.on_read[base + _INT_ST] = lambda: self._word(_INT_RAW) & self._word(_INT_ENA)

    def reset(self) -> None:
        """It starts from now."""
        self._fed = self._stage = 0

    def save(self) -> tuple[object, ...]:
        """What ``restore`` takes."""
        return self._fed, self._stage

    def restore(self, saved: tuple[Any, ...]) -> None:
        """As it was at ``save``."""
        self._fed, self._stage = saved

    def asks(self) -> bool:
        """Whether it wants an interrupt."""
        return bool(self._word(_INT_RAW) & self._word(_INT_ENA) & _WDT_INT)

    def due(self) -> int | None:
        """The cycle at which the stage ends, ``None`` when it is off."""
        if not self._word(_CONFIG0) & _EN:
            return None
        prescale = self._word(_CONFIG1) >> 16 or 1
        return self._fed + self._word(_CONFIG2 + 4 * self._stage) * prescale * _CYCLES_PER_TICK

    def bite(self) -> None:
        """Do what the stages that have ended say."""
        due = self.due()
        if due is None or self._clock.cycles < due:
            return
        action = self._word(_CONFIG0) >> _STAGE_BITS[self._stage] & 3
        self._fed, self._stage = due, (self._stage + 1) % len(_STAGES)
        if action == _INTERRUPT:
            self._registers.values[self._base + _INT_RAW] = self._word(_INT_RAW) | _WDT_INT
        elif action in {_RESET_CPU, _RESET_SYSTEM}:
            self._reset_chip(self._why)

    def _word(self, offset: int) -> int:
        return self._registers.values.get(self._base + offset, 0)

    def _feed(self, _value: int) -> None:
        self._fed, self._stage = self._clock.cycles, 0
        self._registers.changed()

    def _configure(self, value: int) -> None:
        if value & _EN and not self._word(_CONFIG0) & _EN:
            self._fed, self._stage = self._clock.cycles, 0
        self._registers.values[self._base + _CONFIG0] = value
        self._registers.changed()

    def _clear(self, value: int) -> None:
        self._registers.values[self._base + _INT_RAW] = self._word(_INT_RAW) & ~value
        self._registers.changed()
