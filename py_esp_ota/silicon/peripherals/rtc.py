"""What stays awake: the RTC's clock, its watchdog, and the reset of the chip by register.

(ESP32-C3 TRM, chapter "Low-Power Management"; ``components/soc/esp32c3/include/soc/rtc_cntl_reg.h``.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from py_esp_ota.chip import ResetReason
from py_esp_ota.silicon.chips.peripherals import Awake
from py_esp_ota.silicon.clock import CYCLES_PER_US, Clock
from py_esp_ota.silicon.peripherals.registers import Registers

_WDTCONFIG0, _WDTCONFIG1, _WDTFEED = 0x00, 0x04, 0x14
_WDT_EN = 1 << 31
_STAGES = range(4)
_STAGE_BITS = (28, 25, 22, 19)
_RESET_CPU, _RESET_RTC = 2, 4
_HIGH = 0xFFFF
#: The slow clock is an RC oscillator of about 136 kHz; the crystal it is measured with has 40 MHz.
_SLOW_HZ = 136_000
_XTAL_HZ = 40_000_000
_WATCH_HZ = 32_768
_HZ = CYCLES_PER_US * 1_000_000
#: The eFuse WDT_DELAY_SEL of a new chip, zero, doubles the first stage.
_FIRST_STAGE_SHIFT = 1

_CALI, _CALI1, _CALI_DONE = 0x68, 0x6C, 1 << 15


class RtcWatchdog:
    """The watchdog of the RTC, its registers at ``base``; newer chips call it LP_WDT. ``reset`` is told why."""

    def __init__(self, base: int, registers: Registers, clock: Clock, reset: Callable[[ResetReason], None]) -> None:
        self._base = base
        self._registers = registers
        self._clock = clock
        self._reset_chip = reset
        self._fed = 0
        registers.on_write[base + _WDTFEED] = self._feed
        registers.on_write[base + _WDTCONFIG0] = self._configure

    def reset(self) -> None:
        """It starts from now."""
        self._fed = 0

    def save(self) -> tuple[object, ...]:
        """What ``restore`` takes."""
        return (self._fed,)

    def restore(self, saved: tuple[Any, ...]) -> None:
        """As it was at ``save``."""
        (self._fed,) = saved

    def due(self) -> int | None:
        """The cycle at which it resets the chip unless it is fed, ``None`` when it never does."""
        config = self._word(_WDTCONFIG0)
        if not config & _WDT_EN:
            return None
        ticks = 0
        for stage in _STAGES:
            hold = self._word(_WDTCONFIG1 + 4 * stage)
            ticks += hold << _FIRST_STAGE_SHIFT if stage == 0 else hold
            if config >> _STAGE_BITS[stage] & 7 >= _RESET_CPU:
                return self._fed + ticks * _HZ // _SLOW_HZ
        return None

    def bite(self) -> None:
        """Reset the chip if it is due."""
        due = self.due()
        if due is not None and self._clock.cycles >= due:
            config = self._word(_WDTCONFIG0)
            actions = [config >> bit & 7 for bit in _STAGE_BITS]
            action = next(action for action in actions if action >= _RESET_CPU)
            self._clock.cycles = due  # a delay may have run past it
            self._reset_chip(ResetReason.RTCWDT_RTC if action == _RESET_RTC else ResetReason.RTCWDT_SYS)

    def _word(self, offset: int) -> int:
        return self._registers.values.get(self._base + offset, 0)

    def _feed(self, _value: int) -> None:
        self._fed = self._clock.cycles
        self._registers.changed()

    def _configure(self, value: int) -> None:
        if value & _WDT_EN and not self._word(_WDTCONFIG0) & _WDT_EN:
            self._fed = self._clock.cycles
        self._registers.values[self._base + _WDTCONFIG0] = value
        self._registers.changed()


class Rtc:
    """The RTC controller; newer chips have one device for each of its parts. ``reset`` is told why the chip resets."""

    def __init__(self, at: Awake, registers: Registers, clock: Clock, reset: Callable[[ResetReason], None]) -> None:
        self._at = at
        self._registers = registers
        self._clock = clock
        self._reset_chip = reset
        self._watchdog = RtcWatchdog(at.watchdog, registers, clock, reset)
        for address in {at.reset[0], at.reset_cpu[0]}:
            registers.on_write[address] = self._resetting(address)
        registers.on_write[at.update[0]] = self._update

    def reset(self) -> None:
        """The watchdog starts from now."""
        self._watchdog.reset()

    def save(self) -> tuple[object, ...]:
        """What ``restore`` takes."""
        return self._watchdog.save()

    def restore(self, saved: tuple[Any, ...]) -> None:
        """As it was at ``save``."""
        self._watchdog.restore(saved)

    def watchdog_due(self) -> int | None:
        """The cycle at which the watchdog resets the chip unless it is fed, ``None`` when it never does."""
        return self._watchdog.due()

    def bite(self) -> None:
        """Reset the chip if the watchdog is due."""
        self._watchdog.bite()

    def _resetting(self, address: int) -> Callable[[int], None]:
        def write(value: int) -> None:
            if address == self._at.reset[0] and value & self._at.reset[1]:
                self._reset_chip(ResetReason.SW)
            elif address == self._at.reset_cpu[0] and value & self._at.reset_cpu[1]:
                self._reset_chip(ResetReason.SW_CPU)
            else:
                self._registers.values[address] = value

        return write

    def _update(self, value: int) -> None:
        if value & self._at.update[1]:
            ticks = self._clock.look() * _SLOW_HZ // _HZ
            low, high = self._at.time
            self._registers.values[low] = ticks & 0xFFFFFFFF
            self._registers.values[high] = ticks >> 32 & _HIGH


def calibrates(group: int, registers: Registers, fast_hz: int) -> None:
    """The timer group at ``group`` measures a slow clock with the crystal, at once: the one that is selected.

    ``fast_hz`` is the fast RC oscillator, whose 256th part is one of them.
    """
    clocks = (_SLOW_HZ, fast_hz // 256, _WATCH_HZ, _SLOW_HZ)

    def cycles() -> int:
        config = registers.values.get(group + _CALI, 0)
        return (config >> 16 & 0x7FFF) * _XTAL_HZ // clocks[config >> 13 & 3] << 7

    registers.on_read[group + _CALI] = lambda: registers.values.get(group + _CALI, 0) | _CALI_DONE
    registers.on_read[group + _CALI1] = cycles
