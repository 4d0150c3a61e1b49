"""The interrupt matrix: which line of the CPU a source pulls, for the controller behind it that lets a line through.

(The chips' TRMs, chapter "Interrupt Matrix".)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from py_esp_ota.silicon.peripherals.registers import Registers


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the CPU that is pulled. One of a CLIC has a level, and says how and whom it interrupts."""

    number: int
    level: int | None = None
    vectored: bool = False
    user: bool = False


class Controller(Protocol):
    """What is behind the matrix."""

    @property
    def mask(self) -> int:
        """The bits of a matrix register that name a line."""

    @property
    def status(self) -> int:
        """The first of the words that say which sources ask."""

    @property
    def enabling(self) -> tuple[int, ...]:
        """Registers that say which lines are enabled."""

    def is_enabled(self, line: int) -> bool:
        """Whether the line can get through at all."""

    def first(self, lines: list[int]) -> Line | None:
        """Which of these pulled lines comes first, if any gets through here."""


class Interrupts:
    """The matrix at ``base``. ``sources`` are asked by number whether they want an interrupt now."""

    def __init__(
        self, base: int, controller: Controller, registers: Registers, sources: Mapping[int, Callable[[], bool]]
    ) -> None:
        self._base = base
        self._controller = controller
        self._registers = registers
        self._sources = sources
        #: Line and question of each source that can reach the CPU; ``None`` when that has to be found out again.
        self._wired: list[tuple[int, Callable[[], bool]]] | None = None
        for address in (*(base + 4 * source for source in sources), *controller.enabling):
            registers.on_write[address] = self._wiring(address)
        for word in range(max(sources) // 32 + 1):
            registers.on_read[controller.status + 4 * word] = self._status(32 * word)

    def reset(self) -> None:
        """Nothing is wired."""
        self._wired = None

    def pending(self) -> list[int]:
        """The enabled lines that are pulled."""
        if self._wired is None:
            values, controller = self._registers.values, self._controller
            lines = (
                (values.get(self._base + 4 * source, 0) & controller.mask, asks)
                for source, asks in self._sources.items()
            )
            self._wired = [(line, asks) for line, asks in lines if controller.is_enabled(line)]
        return [line for line, asks in self._wired if asks()]

    def ready(self) -> Line | None:
        """The line that gets through, as far as the controller decides that."""
        return self._controller.first(self.pending())

    def _wiring(self, address: int) -> Callable[[int], None]:
        def write(value: int) -> None:
            self._registers.values[address] = value
            self._wired = None
            self._registers.changed()

        return write

    def _status(self, first: int) -> Callable[[], int]:
        def read() -> int:
            asking = (source for source, asks in self._sources.items() if first <= source < first + 32 and asks())
            return sum(1 << source - first for source in asking)

        return read
