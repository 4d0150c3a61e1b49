"""The pins: what code puts on them, who holds them from outside, and the level they have when nobody does.

(ESP32-C3 TRM, chapter "IO MUX and GPIO Matrix"; ``components/esp_hal_gpio/<chip>/include/hal/gpio_ll.h``.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from py_esp_ota.chip import Held
from py_esp_ota.silicon.chips.soc import Gpio
from py_esp_ota.silicon.clock import CYCLES_PER_US, Clock
from py_esp_ota.silicon.peripherals.registers import Registers

_PINS = range(32)
_SET, _CLEAR = 4, 8
_PULL_DOWN, _PULL_UP = 1 << 7, 1 << 8
_HZ = CYCLES_PER_US * 1_000_000


class Pins:
    """All pins at ``at``. ``held`` are the levels put on them from outside, by number, as they are then.

    A pin that nobody drives is high, as on boards with a button to ground, unless code pulls it down.
    """

    def __init__(self, at: Gpio, registers: Registers, clock: Clock, held: Callable[[], Mapping[int, Held]]) -> None:
        self._at = at
        self._registers = registers
        self._clock = clock
        self._held = held
        for register in (at.out, at.enable):
            registers.on_write[register + _SET] = self._changing(register, on=True)
            registers.on_write[register + _CLEAR] = self._changing(register, on=False)
        registers.on_read[at.input] = self._levels

    def _changing(self, register: int, *, on: bool) -> Callable[[int], None]:
        def write(bits: int) -> None:
            before = self._registers.stored(register)
            self._registers.values[register] = before | bits if on else before & ~bits

        return write

    def _levels(self) -> int:
        stored = self._registers.stored
        driven, out = stored(self._at.enable), stored(self._at.out)
        held = {pin: by.level for pin, by in self._held().items() if self._clock.cycles < by.seconds * _HZ}
        levels = 0
        for pin in _PINS:
            pulls = stored(self._at.mux + 4 * pin) & (_PULL_UP | _PULL_DOWN)
            idle = int(pulls != _PULL_DOWN)
            levels |= (out >> pin & 1 if driven >> pin & 1 else held.get(pin, idle)) << pin
        return levels
