"""One life of a device, told so that it can be shown: operations, console and boots on one line of time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, NamedTuple

from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.errors import EspError, OtaError
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.bootloader.start import BootReport
from py_esp_ota.idf.log import Log
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.sweep.life import Life
from py_esp_ota.sweep.record import Run, record

#: How a device goes on once power is back: it waits and nobody confirms, its self-test is content or not, it is rolled
#: back though it was content, or it goes on with the story.
LifeName = Literal["boot", "yes", "no", "back", "story"]


class Line(NamedTuple):
    """A line of the console, and after how many operations it was printed."""

    at: int
    text: str


class Boot(NamedTuple):
    """A boot, from which operation to which, why, and what runs then: ``""`` when nothing does."""

    at: int
    end: int
    reset: str
    runs: str
    version: str
    state: str
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Telling:
    """A life from power-on to its end. ``trouble`` is what it could not get over, ``""`` when nothing was."""

    run: Run
    lines: tuple[Line, ...]
    boots: tuple[Boot, ...]
    trouble: str


class Told(Life):
    """A device whose console is kept, and what runs on it when."""

    def __init__(self, chip: Chip, config: Sdkconfig, trial: bytes) -> None:
        super().__init__(chip, config, trial)
        self._start = chip.flash.operations
        self.said: list[Line] = []
        self.marks: list[Boot] = []

    @property
    def _at(self) -> int:
        return self.flash.operations - self._start

    def log(self) -> Log:
        """The console of an app that starts."""
        return Log(lambda: 0, self._hear)

    def _hear(self, line: str) -> None:
        self.said.append(Line(self._at, line))

    def _boot(self, reset: ResetReason) -> BootReport:
        heard: list[Line] = []
        self.chip.uart = lambda line: heard.append(Line(self._at, line))
        at = here = self._at
        try:
            report = super()._boot(reset)
        finally:
            self.chip.uart = None
        for text in report.console:
            # A line of ROM is not heard: it stands with the one before it.
            if heard and heard[0].text == text:
                here = heard.pop(0).at
            self.said.append(Line(here, text))
        runs = report.partition.label if report.partition else ""
        version = report.app_desc.version if report.app_desc else ""
        self.marks.append(Boot(at, self._at, reset.name, runs, version, report.state, report.why))
        return report


def tell(
    chip: Chip, config: Sdkconfig, trial: bytes, act: Callable[[Life], None], *, confirmed_at: Sequence[int] = ()
) -> Telling:
    """Tell ``act`` to a device without power, and keep all of it; ``confirmed_at`` is of its life before."""
    life, trouble = Told(chip, config, trial), ""
    life.confirmed_at += confirmed_at

    def told(life: Life) -> None:
        nonlocal trouble
        try:
            act(life)
        except EspError as error:
            trouble = str(error)

    run = record(life, told)
    return Telling(run, tuple(life.said), tuple(life.marks), trouble)


def _wait(life: Life) -> None:
    life.power_on()


def _confirm(life: Life) -> None:
    life.power_on()
    life.confirm()


def _reject(life: Life) -> None:
    life.power_on()
    life.reject()


def _roll_back(life: Life) -> None:
    life.power_on()
    with suppress(OtaError):  # said on the console
        life.app(OtaOps.mark_app_invalid_rollback_and_reboot)


#: What is told of each way to go on but the story itself.
LIVES: Mapping[LifeName, Callable[[Life], None]] = {"boot": _wait, "yes": _confirm, "no": _reject, "back": _roll_back}


def ways_on(boot: Boot) -> tuple[LifeName, ...]:
    """The ways that a device has after this boot, besides to wait and to go on with the story."""
    if boot.state == "PENDING_VERIFY":
        return ("yes", "no")
    return ("back",) if boot.runs and boot.state else ()
