"""The interrupt matrix and the controller behind it: which line of the CPU a source pulls, and whether it gets through.

(ESP32-C3 TRM, chapter "Interrupt Matrix"; ``components/riscv/include/riscv/rv_utils.h``.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from py_esp_ota.silicon.chips.peripherals import Lines
from py_esp_ota.silicon.peripherals.registers import Registers


class Interrupts:
    """The matrix at ``base``. ``sources`` are asked by number whether they want an interrupt now."""

    def __init__(
        self, base: int, lines: Lines, registers: Registers, sources: Mapping[int, Callable[[], bool]]
    ) -> None:
        self._base = base
        self._lines = lines
        self._registers = registers
        self._sources = sources
        #: Line and question of each source that can reach the CPU; ``None`` when that has to be found out again.
        self._wired: list[tuple[int, Callable[[], bool]]] | None = None
        for source in sources:
            registers.on_write[base + 4 * source] = self._wiring(base + 4 * source)
        registers.on_write[lines.enable] = self._wiring(lines.enable)
        registers.on_write[lines.threshold] = self._writing(lines.threshold)
        for word in range(max(sources) // 32 + 1):
            registers.on_read[lines.status + 4 * word] = self._status(32 * word)

    def reset(self) -> None:
        """Nothing is wired."""
        self._wired = None

    def pending(self) -> list[int]:
        """The enabled lines that are pulled."""
        if self._wired is None:
            values = self._registers.values
            enabled = values.get(self._lines.enable, 0) & ~1
            lines = ((values.get(self._base + 4 * source, 0) & 31, asks) for source, asks in self._sources.items())
            self._wired = [(line, asks) for line, asks in lines if enabled >> line & 1]
        return [line for line, asks in self._wired if asks()]

    def ready(self) -> int | None:
        """The line that gets through: of the highest priority, and not below the threshold."""
        values = self._registers.values
        best, highest = None, max(values.get(self._lines.threshold, 0), 1) - 1
        for line in self.pending():
            priority = values.get(self._lines.priority + 4 * line, 0)
            if priority > highest:
                best, highest = line, priority
        return best

    def _wiring(self, address: int) -> Callable[[int], None]:
        def write(value: int) -> None:
            self._registers.values[address] = value
            self._wired = None
            self._registers.changed()

        return write

    def _writing(self, address: int) -> Callable[[int], None]:
        def write(value: int) -> None:
            lower = value < self._registers.values.get(address, 0)
            self._registers.values[address] = value
            if lower:
                self._registers.changed()

        return write

    def _status(self, first: int) -> Callable[[], int]:
        def read() -> int:
            asking = (source for source, asks in self._sources.items() if first <= source < first + 32 and asks())
            return sum(1 << source - first for source in asking)

        return read
