"""The interrupt controller of 31 lines with priorities and one threshold.

(ESP32-C3 TRM, chapter "Interrupt Matrix"; ``components/riscv/include/esp_private/interrupt_intc.h``.)
"""

from __future__ import annotations

from py_esp_ota.silicon.chips.peripherals import Lines
from py_esp_ota.silicon.peripherals.interrupts import Line
from py_esp_ota.silicon.peripherals.registers import Registers


class Plic:
    """It lets the line of the highest priority through that is not below the threshold."""

    mask = 31

    def __init__(self, lines: Lines, registers: Registers) -> None:
        self._lines = lines
        self._registers = registers
        self.status = lines.status
        self.enabling = (lines.enable,)
        registers.on_write[lines.threshold] = self._set_threshold

    def is_enabled(self, line: int) -> bool:
        """There is no line 0."""
        return line != 0 and bool(self._registers.values.get(self._lines.enable, 0) >> line & 1)

    def first(self, lines: list[int]) -> Line | None:
        """The line of the highest priority, and not below the threshold."""
        values = self._registers.values
        best, highest = None, max(values.get(self._lines.threshold, 0), 1) - 1
        for line in lines:
            priority = values.get(self._lines.priority + 4 * line, 0)
            if priority > highest:
                best, highest = line, priority
        return None if best is None else Line(best)

    def _set_threshold(self, value: int) -> None:
        address = self._lines.threshold
        lower = value < self._registers.values.get(address, 0)
        self._registers.values[address] = value
        if lower:
            self._registers.changed()
