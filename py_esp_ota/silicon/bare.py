"""A chip that runs apps straight from their partitions, without a bootloader's code: our model has chosen already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from py_esp_ota._core import Partition
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.silicon.app import App
from py_esp_ota.silicon.causes import cause_of
from py_esp_ota.silicon.chips.peripherals import PERIPHERALS
from py_esp_ota.silicon.clock import CYCLES_PER_US
from py_esp_ota.silicon.engines.choice import EngineName
from py_esp_ota.silicon.engines.engine import MemoryFault
from py_esp_ota.silicon.hardware import Hardware
from py_esp_ota.silicon.load import put_app
from py_esp_ota.silicon.machine import soc_of
from py_esp_ota.silicon.report import FlashWrite, Trap

if TYPE_CHECKING:
    from py_esp_ota.elf import Symbols

#: Some seconds of the host's time. Code that does nothing but call registers ends there, whatever its own clock says.
_EFFORT = 1_500_000
_WATCHDOGS = {
    ResetReason.TG0WDT_SYS: "the watchdog of timer group 0",
    ResetReason.TG1WDT_SYS: "the watchdog of timer group 1",
    ResetReason.RTCWDT_SYS: "the RTC watchdog",
    ResetReason.RTCWDT_RTC: "the RTC watchdog",
}


@dataclass(frozen=True, slots=True)
class AppReport:
    """How a run of an app ended.

    ``reset`` is ``None`` for one that still ran when it was last looked at, and for one that ``trap`` ended because it
    wants what this room does not have. ``seconds`` are the chip's own.
    """

    reset: ResetReason | None
    why: str
    seconds: float
    log: tuple[str, ...]
    flash_writes: tuple[FlashWrite, ...]
    trap: Trap | None


class _Watched(App):
    """An app whose latest exception is remembered: it may handle it, but somebody will ask."""

    latest: tuple[int, int] | None = None

    def exception(self, cause: int, address: int) -> None:
        self.latest = cause, address
        super().exception(cause, address)

    def fault(self, error: MemoryFault, address: int) -> None:
        super().fault(error, address)
        if self._cause is not None:
            self.latest = self._cause, address


class BareChip:
    """One chip, for one run after another: making one costs more than most runs. Not to be shared between threads."""

    def __init__(self, target: str = "esp32c3", *, engine: EngineName = "auto") -> None:
        """Raises ``ValueError`` for a chip that machine code does not run on."""
        self._hardware = hardware = Hardware(soc_of(target), count=False, engine=engine)
        if hardware.devices is None:
            raise ValueError(f"apps run on {', '.join(PERIPHERALS)}; on an {target} bootloaders run")

    def run(
        self,
        chip: Chip,
        partition: Partition,
        *,
        seconds: float,
        print_line: Callable[[str], None] = lambda _line: None,
        symbols: Symbols | None = None,
    ) -> AppReport:
        """Run the app in ``partition`` from the jump into it, for so many seconds by the chip's clock at most.

        Args:
            chip: whose flash is read and written, whose eFuses and reset reason are seen.
            partition: where the app is that was chosen.
            seconds: when to look away from an app that goes on.
            print_line: gets the lines of its console, also when the power goes.
            symbols: of the program that the image was made of: they name functions.

        Raises ``PowerLoss`` when the power goes, ``ValueError`` for a chip of another kind or with secure boot or flash
        encryption. Never raises for bad bytes: what cannot be loaded is a trap.
        """
        hardware = self._hardware
        if chip.target.name != hardware.soc.name:
            raise ValueError(f"this machine is an {hardware.soc.name}, the chip an {chip.target.name}")
        hardware.attach(chip)
        hardware.clear()
        try:
            hardware.go_on(put_app(hardware, partition))
        except ValueError as error:
            return AppReport(None, str(error), 0.0, (), (), Trap(str(error), 0, 0, ()))
        app = _Watched(hardware)
        try:
            followed = app.run(round(seconds * 1_000_000) * CYCLES_PER_US, effort=_EFFORT)
        finally:
            log = tuple(str(hardware.text).splitlines())
            for line in log:
                print_line(line)
        reset, why = self._end(app, symbols)
        if not followed:
            why += "; it calls ROM and registers so much that it was followed no longer"
        took = hardware.clock.cycles / (CYCLES_PER_US * 1_000_000)
        return AppReport(reset, why, took, log, tuple(hardware.writes), hardware.trapped)

    def _end(self, app: _Watched, symbols: Symbols | None) -> tuple[ResetReason | None, str]:
        """What reset the chip, and the whole story in words."""
        hardware = self._hardware
        at = _place(hardware.cpu.pc, symbols)
        if hardware.ended is None:
            return None, f"it runs, at {at}"
        if hardware.trapped is not None:
            why = f"{hardware.trapped.reason} at {_place(hardware.trapped.pc, symbols)}"
            # A CPU that cannot go on stands still until the watchdog comes; what is missing here need not stop a board.
            return (None, why) if hardware.trapped.ours else (ResetReason.RTCWDT_RTC, why)
        reason = hardware.reset_reason
        if reason in _WATCHDOGS:
            return reason, f"{_WATCHDOGS[reason]} was not fed, at {at}"
        if app.latest is None:
            return reason, "it reset the chip"
        cause, address = app.latest
        what = cause_of(hardware.soc.core, cause)
        return reason, f"{what} at {_place(address, symbols)}, then it reset the chip"


def _place(address: int, symbols: Symbols | None) -> str:
    name = symbols.at(address) if symbols else ""
    return f"0x{address:08x} ({name})" if name else f"0x{address:08x}"
