"""The lines of a CLIC, each with its own level; which level gets through is the core's to say.

(``components/soc/<chip>/.../clic_reg.h``, ``components/riscv/include/esp_private/interrupt_clic.h``.)
"""

from __future__ import annotations

from collections.abc import Callable

from py_esp_ota.silicon.chips.peripherals import Clic
from py_esp_ota.silicon.peripherals.interrupts import Line
from py_esp_ota.silicon.peripherals.registers import Registers

#: The core's own lines come first; nothing pulls them here.
_LINES = range(48)
_PENDING, _ENABLED, _VECTORED = 1 << 0, 1 << 8, 1 << 16
_MODE, _USER = 22, 0
_LEVEL = 24


def _rank(line: Line) -> tuple[bool, int, int]:
    return not line.user, line.level or 0, line.number


class ClicLines:
    """The control registers, one of each line. Edges are levels: what is pulled stays pending as long as that."""

    mask = 63

    def __init__(self, at: Clic, registers: Registers, pulled: Callable[[], list[int]]) -> None:
        """``pulled``: the lines that are pulled, of those enabled."""
        self._registers = registers
        self._pulled = pulled
        self.status = at.status
        self.enabling = tuple(at.control + 4 * line for line in _LINES)
        for line, address in zip(_LINES, self.enabling, strict=True):
            registers.on_read[address] = self._control(line)

    def is_enabled(self, line: int) -> bool:
        """Its own bit says so."""
        return line in _LINES and bool(self._set(line) & _ENABLED)

    def first(self, lines: list[int]) -> Line | None:
        """Of the highest level, machine mode's before user mode's; of the same, the highest number."""
        return max(map(self._line, lines), key=_rank, default=None)

    def _line(self, number: int) -> Line:
        control = self._set(number)
        return Line(
            number,
            level=control >> _LEVEL,
            vectored=bool(control & _VECTORED),
            user=control >> _MODE & 3 == _USER,
        )

    def _set(self, line: int) -> int:
        return self._registers.values.get(self.enabling[line], 0)

    def _control(self, line: int) -> Callable[[], int]:
        return lambda: self._set(line) & ~_PENDING | (line in self._pulled())
