"""The door for a second opinion: whatever runs a compiled bootloader on a chip, and says how that ended.

Our own machine is behind it here; ``adapters/emulators.py`` puts programs of others behind it.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Protocol

from py_esp_ota._core import Flash
from py_esp_ota.chip import Chip
from py_esp_ota.silicon.chips.socs import SOCS
from py_esp_ota.silicon.engines import choice
from py_esp_ota.silicon.engines.choice import EngineName
from py_esp_ota.silicon.report import SiliconReport

if TYPE_CHECKING:
    from py_esp_ota.silicon.machine import Machine


class BootOracle(Protocol):
    """Runs the bootloader that lies in the flash of a chip."""

    @property
    def name(self) -> str:
        """What a user calls it."""

    @property
    def chips(self) -> tuple[str, ...]:
        """The chips it has."""

    def unavailable(self, chip: str) -> str | None:
        """Why it cannot run a ``chip`` here, in one sentence; ``None`` when it can."""

    def boot(self, chip: Chip) -> SiliconReport:
        """One run, to the jump into an app, to a reset or to another end; what it wrote is in the flash of ``chip``.

        Raises ``ValueError`` with one sentence for a chip it does not run, or not with these eFuses. Never raises for
        bad bytes, and always ends.
        """


_FIRST_GUESS = 1 << 16


class OwnMachine:
    """The machine of this room, with the number of instructions a run took."""

    def __init__(self, rom: bytes | None = None, *, engine: EngineName = "auto", count: bool = True) -> None:
        """``rom``: the real ROM of the one chip that is to run, as ``Machine`` takes it, and ``engine``.

        ``count``: find out how many instructions a run took. An engine that does not count by itself runs some twenty
        times for it.
        """
        self._rom = rom
        self._engine: EngineName = engine
        self._count = count
        self._machines: dict[str, Machine] = {}

    @property
    def name(self) -> str:
        """The engine."""
        return choice.AUTO if self._engine == "auto" else self._engine

    @property
    def chips(self) -> tuple[str, ...]:
        """The chips that have a table."""
        return tuple(SOCS)

    def unavailable(self, chip: str) -> str | None:
        """A chip without a table, or an engine that is not installed."""
        if chip not in SOCS:
            return f"{chip} has no table here yet; machine code runs on {', '.join(SOCS)}"
        if self._engine == "unicorn" and SOCS[chip].core != "riscv":
            return f"{chip} has Xtensa cores, which Unicorn does not run; the engine core does"
        if self._engine == "unicorn" and find_spec("unicorn") is None:
            return "the engine unicorn needs unicorn, which comes with an extra: pip install 'py_esp_ota[silicon]'"
        return None

    def boot(self, chip: Chip) -> SiliconReport:
        """One run of ``Machine``. Raises ``ValueError`` for another chip's ROM, ``PowerLoss`` when the power goes."""
        reason = self.unavailable(chip.target.name)
        if reason is not None:
            raise ValueError(reason)
        machine, before = self._machine(chip.target.name), chip.flash.fork()
        ended = machine.run(chip)
        if not self._count or ended.outcome == "HANG":
            return replace(ended, instructions=0)
        return ended if ended.instructions else replace(ended, instructions=_counted(machine, chip, before))

    def _machine(self, name: str) -> Machine:
        from py_esp_ota.silicon.machine import Machine  # noqa: PLC0415 (most of the package runs without)

        if name not in self._machines:
            self._machines[name] = Machine(name, rom=self._rom, engine=self._engine)
        return self._machines[name]


def _counted(machine: Machine, chip: Chip, before: Flash) -> int:
    """How many instructions the run of ``chip`` from ``before`` took: the least budget with which it ends.

    A look at each block of code would tell it in one run, but slows down a loop of one instruction a thousandfold.
    """
    from py_esp_ota.silicon.machine import BUDGET  # noqa: PLC0415

    def ends(budget: int) -> bool:
        again = Chip(chip.target.name, flash=before.fork(), efuse=chip.efuse)
        again.reset_reason, again.pins = chip.reset_reason, chip.pins
        return machine.run(again, budget=budget).outcome != "HANG"

    least, most = 0, _FIRST_GUESS
    while most < BUDGET and not ends(most):
        least, most = most, 2 * most
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if ends(middle) else (middle, most)
    return most
