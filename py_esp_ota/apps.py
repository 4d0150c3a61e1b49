"""What a booted image does: the code in it, run as machine code, or a function of Python that stands for it.

``Device(..., apps=...)`` is asked at each boot for the app of the image that booted. An app gets a ``Booted`` and does
what it wants with the chip's flash. How it ended decides the next boot: it stays, or something resets the chip.

::

    code = MachineCode()
    Device("two_ota", firmware=image, apps=lambda app: code)             # each image runs as what it is
    Device("two_ota", firmware=image, apps=lambda app: blink if app.project_name == "lamp" else code)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from py_esp_ota._core import AppDesc, Partition
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.errors import Restart
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.log import Log
from py_esp_ota.sdkconfig import Sdkconfig

TYPE_CHECKING = False
if TYPE_CHECKING:
    from py_esp_ota.elf import Symbols
    from py_esp_ota.silicon.bare import BareChip
    from py_esp_ota.silicon.report import FlashWrite, Trap

#: Longer than the 9 s that a bootloader's watchdog waits for an app, so that one that hangs is found out.
FOLLOWED_S = 10.0


@dataclass(frozen=True, slots=True)
class Booted:
    """What an app finds when it starts. ``print`` is its console, line by line."""

    chip: Chip
    partition: Partition
    app_desc: AppDesc
    config: Sdkconfig
    print: Callable[[str], None]

    @property
    def ops(self) -> OtaOps:
        """``esp_ota_ops`` for this app."""
        return OtaOps(self.chip, self.partition, self.config, Log(lambda: 0, self.print))


@dataclass(frozen=True, slots=True)
class AppRun:
    """How one run of an app ended.

    Attributes:
        reset: what reset the chip; ``None``: it still runs.
        why: in words, what happened.
        seconds: how long that took, by the chip's clock.
        log: what it printed.
        flash_writes: what it did to the flash, when it was machine code.
        trap: where it left the known, when it did.
    """

    reset: ResetReason | None = None
    why: str = "it runs"
    seconds: float = 0.0
    log: tuple[str, ...] = ()
    flash_writes: tuple[FlashWrite, ...] = ()
    trap: Trap | None = None


#: An app. A function of Python may return nothing, which means that it stays, or raise ``Restart``.
App = Callable[[Booted], AppRun | None]
#: Which app an image is; ``None``: the RainMaker app of this package.
Apps = Callable[[AppDesc], App | None]


def run_app(app: App, booted: Booted) -> AppRun:
    """One run, from the jump into it to its end. Raises ``PowerLoss``, and what a function of Python raises."""
    try:
        return app(booted) or AppRun()
    except Restart as restart:
        return AppRun(ResetReason.SW, str(restart) or "esp_restart()")


@dataclass(eq=False)
class MachineCode:
    """The app that an image is: its own instructions, on a chip of ``silicon``. Use one for any number of images.

    Attributes:
        elfs: the programs that images were made of. A trap in an image then names the function; which program
            belongs to an image its descriptor tells.
        seconds: how long an app is followed by its own clock before it is said to stay.

    Raises ``ModuleNotFoundError`` for ``elfs`` without the extra ``[silicon]``.
    """

    elfs: Iterable[bytes] = ()
    seconds: float = FOLLOWED_S
    _chips: dict[str, BareChip] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Read the programs."""
        self._symbols: dict[bytes, Symbols] = {}
        for elf in self.elfs:
            from py_esp_ota.elf import Symbols, elf_sha256  # noqa: PLC0415 (an extra)

            self._symbols[elf_sha256(elf)] = Symbols.from_elf(elf)

    def __call__(self, booted: Booted) -> AppRun:
        """Run the app in the partition that was booted. Raises ``PowerLoss``.

        Raises ``ValueError`` for a chip that machine code does not run on.
        """
        from py_esp_ota.silicon.bare import BareChip  # noqa: PLC0415 (most apps are functions)

        name = booted.chip.target.name
        chip = self._chips.get(name)
        if chip is None:
            chip = self._chips[name] = BareChip(name)
        symbols = self._symbols.get(booted.app_desc.app_elf_sha256)
        ended = chip.run(booted.chip, booted.partition, seconds=self.seconds, print_line=booted.print, symbols=symbols)
        return AppRun(ended.reset, ended.why, ended.seconds, ended.log, ended.flash_writes, ended.trap)
