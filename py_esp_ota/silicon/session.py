"""A chip that is switched on: its bootloader, the app it starts, and both again after each reset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil

from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.silicon.app import App
from py_esp_ota.silicon.boot import BootRun, before_the_bootloader
from py_esp_ota.silicon.clock import CYCLES_PER_US
from py_esp_ota.silicon.first_lines import FirstLines
from py_esp_ota.silicon.hardware import Hardware
from py_esp_ota.silicon.program import Program
from py_esp_ota.silicon.report import SiliconReport, Trap

#: How often the text is looked at, in cycles.
_LOOK = 1_000 * CYCLES_PER_US
#: The same where no text is waited for.
_LONG_LOOK = 50 * _LOOK
#: What ROM and bootloader take, whatever they do: a chip that resets for ever comes to the end of its time too.
_BOOT = 50_000 * CYCLES_PER_US
#: What an app may leave printed and untaken, in characters.
_KEPT = 1 << 20
#: A text that is waited for may have begun so many characters before.
_TAIL = 256


class Session:
    """One chip under power. ``run`` lets time pass; what it printed meanwhile is ``take``-n."""

    def __init__(
        self,
        hardware: Hardware,
        boot: BootRun,
        chip: Chip,
        bootloader: Callable[[Chip], tuple[bytes, Program | str]],
        *,
        budget: int,
    ) -> None:
        """``bootloader``: the bytes at its place, and what ROM makes of them, asked for at each reset."""
        self._hardware = hardware
        self._boot = boot
        self._chip = chip
        self._bootloader = bootloader
        self._budget = budget
        self._app: App | FirstLines | None = None
        self._printed: list[str] = []
        self._heard = ""
        #: The boots so far, the latest last.
        self.boots: list[SiliconReport] = []
        #: Why the chip reset, each time.
        self.resets: list[ResetReason] = []
        self._cycles = 0
        #: What ended it for good: the first thing that is not here, or an app that never does anything again.
        self.trap: Trap | None = None

    @property
    def seconds(self) -> float:
        """Seconds of the chip that have passed."""
        return self._cycles / (CYCLES_PER_US * 1_000_000)

    def run(self, seconds: float, *, until: str | Sequence[str] = ()) -> str | None:
        """Let so much time pass on the chip, or until a text is printed: then that text, which ends it early.

        As with ``expect``: a text is found once, and the next search begins behind it.

        Raises ``PowerLoss``.
        """
        wanted = [until] if isinstance(until, str) else list(until)
        stop_at = self._cycles + ceil(seconds * 1_000_000) * CYCLES_PER_US
        found = self._find(wanted)
        while found is None and self._cycles < stop_at and self.trap is None:
            if self._app is None:
                self._switch_on()
            else:
                self._go_on(self._app, min(_LOOK if wanted else _LONG_LOOK, stop_at - self._cycles))
            found = self._find(wanted)
        return found

    def _find(self, wanted: list[str]) -> str | None:
        """The text that was printed first; what was printed up to its end counts no more."""
        heard = self._heard
        found = min((text for text in wanted if text in heard), key=heard.index, default=None)
        if found is not None:
            self._heard = heard[heard.index(found) + len(found) :]
        else:
            self._heard = heard[-max(_TAIL, *map(len, wanted), 0) :]
        return found

    def take(self) -> str:
        """What was printed since the last time."""
        text, self._printed = "".join(self._printed), []
        return text

    def type(self, text: str) -> None:
        """Type ``text`` on the console that the app prints on."""
        if self._app is not None and self._hardware.devices is not None:
            self._hardware.devices.type(self._hardware.console, text)

    def _switch_on(self) -> None:
        hardware = self._hardware
        if self.resets:
            self._chip.reset_reason = self.resets[-1]
        image, program = self._bootloader(self._chip)
        hardware.attach(self._chip)
        spoken = before_the_bootloader(self._chip, b"" if isinstance(program, str) else image)
        self._shown("".join(f"{line}\n" for line in spoken))
        if isinstance(program, str):
            self.trap = Trap(program, 0, 0, ())
            return
        report = self._boot.run(program, image, self._budget)
        report = replace(report, rom=report.rom or spoken)
        self._cycles += _BOOT
        self.boots.append(report)
        self._collect()
        if report.outcome == "APP" and report.entry is not None:
            self._boot.leave()
            hardware.go_on(report.entry)
            self._app = App(hardware) if hardware.soc.rom_start is None else FirstLines(hardware)
        elif report.trap is not None:
            self.trap = report.trap
        else:
            self.resets.append(ResetReason.SW if report.outcome == "RESET" else ResetReason.RTCWDT_RTC)

    def _go_on(self, app: App | FirstLines, cycles: int) -> None:
        hardware = self._hardware
        before = hardware.clock.cycles
        app.run(cycles)
        self._cycles += hardware.clock.cycles - before
        self._collect()
        if hardware.trapped is not None:
            self.trap = hardware.trapped
        elif hardware.ended is not None:
            self.resets.append(hardware.reset_reason)
            self._app = None

    def _collect(self) -> None:
        text = str(self._hardware.text)
        self._hardware.text.clear()
        if text:
            self._shown(text)

    def _shown(self, text: str) -> None:
        """This is on the console."""
        self._heard += text
        self._printed.append(text)
        if sum(map(len, self._printed)) > _KEPT:
            self._printed = ["".join(self._printed)[-_KEPT:]]
