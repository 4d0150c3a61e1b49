"""The interrupt matrix and the controller behind it: which line of the CPU a source pulls, and whether it gets through.

(ESP32-C3 TRM, chapter "Interrupt Matrix"; ``components/riscv/include/riscv/rv_utils.h``.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from py_esp_ota.silicon.registers import Registers

_LINES = range(1, 32)
_ENABLE, _TYPE, _CLEAR, _PRIORITY, _THRESHOLD = 0x104, 0x108, 0x10C, 0x114, 0x194
_STATUS = 0xF8


class Interrupts:
    """The matrix at ``base``. ``sources`` are asked by number whether they want an interrupt now."""

    def __init__(self, base: int, registers: Registers, sources: Mapping[int, Callable[[], bool]]) -> None:
        self._base = base
        self._registers = registers
        self._sources = sources
        for register in (_ENABLE, _THRESHOLD):
            registers.on_write[base + register] = self._writing(base + register)
        for word in range(2):
            registers.on_read[base + _STATUS + 4 * word] = self._status(32 * word)

    def pending(self) -> int:
        """The lines that are pulled, enabled or not, one bit each."""
        values, lines = self._registers.values, 0
        for source, asks in self._sources.items():
            line = values.get(self._base + 4 * source, 0) & 31
            if line and asks():
                lines |= 1 << line
        return lines

    def ready(self) -> int | None:
        """The line that gets through: enabled, of the highest priority, and not below the threshold."""
        values = self._registers.values
        lines = self.pending() & values.get(self._base + _ENABLE, 0)
        best, threshold = None, values.get(self._base + _THRESHOLD, 0)
        highest = 0
        for line in _LINES:
            if not lines >> line & 1:
                continue
            priority = values.get(self._base + _PRIORITY + 4 * line, 0)
            if priority >= max(threshold, 1) and priority > highest:
                best, highest = line, priority
        return best

    def _writing(self, address: int) -> Callable[[int], None]:
        def write(value: int) -> None:
            self._registers.values[address] = value
            self._registers.changed()

        return write

    def _status(self, first: int) -> Callable[[], int]:
        def read() -> int:
            asking = (source for source, asks in self._sources.items() if first <= source < first + 32 and asks())
            return sum(1 << source - first for source in asking)

        return read
