"""One chip that runs machine code: the whole of this room behind one door."""

from __future__ import annotations

from dataclasses import replace

from py_esp_ota.chip import Chip
from py_esp_ota.silicon.boot import BootRun, before_the_bootloader, report
from py_esp_ota.silicon.chips.soc import Soc
from py_esp_ota.silicon.chips.socs import SOCS
from py_esp_ota.silicon.engines.choice import EngineName
from py_esp_ota.silicon.hardware import Hardware
from py_esp_ota.silicon.peripherals.registers import efuse_words
from py_esp_ota.silicon.program import Program, extent, load
from py_esp_ota.silicon.report import SiliconReport, Trap
from py_esp_ota.silicon.rom.real import rom_image
from py_esp_ota.silicon.session import Session

#: Enough for an app of 16 MiB, whose sums take four instructions for each byte.
BUDGET = 100_000_000

_BOOTLOADER_ROOM = 0x8000


class Machine:
    """One chip, to be used for one run after another: making one costs more than most runs.

    Nothing is left of a run when the next begins. Not safe to share between threads.
    """

    def __init__(
        self,
        target: str = "esp32c3",
        *,
        count: bool = False,
        snapshots: bool = True,
        rom: bytes | None = None,
        engine: EngineName = "auto",
    ) -> None:
        """``count``: say how many instructions a run took, which makes it several times slower.

        ``snapshots``: go on from where a bootloader's earlier runs first looked at the rest of the flash. The report is
        the same without, and comes later.

        ``rom``: the chip's real ROM, an ELF file or raw bytes: its code runs where it can, instead of our functions.

        ``engine``: what executes the code.

        Raises ``ValueError`` for a chip or an engine that is not here, or a ROM that is not the chip's own.
        """
        self.soc = soc_of(target)
        if rom is None and self.soc.rom_start is not None:
            raise ValueError(needs_rom(target))
        image = None if rom is None else rom_image(rom, self.soc)
        self._hardware = Hardware(self.soc, count=count, rom=image, engine=engine)
        self._boot = BootRun(self._hardware, snapshots=snapshots)

    def run(self, chip: Chip, *, budget: int = BUDGET) -> SiliconReport:
        """Run the bootloader in the flash of ``chip`` from its entry point until it is done, one reset at most.

        Args:
            chip: whose flash is read and written, whose eFuses and reset reason are seen.
            budget: how many instructions it may take.

        Raises ``PowerLoss`` when the power goes, ``ValueError`` for a chip of another kind or with secure boot or flash
        encryption. Never raises for bad bytes.
        """
        image, program = self._bootloader(chip)
        hardware = self._hardware
        hardware.attach(chip)
        if isinstance(program, str):
            hardware.trapped = Trap(program, 0, 0, ())
            hardware.ended = "RESET"
            return replace(report(hardware), rom=before_the_bootloader(chip, b""))
        ran = self._boot.run(program, image, budget)
        return replace(ran, rom=ran.rom or before_the_bootloader(chip, image))

    def session(self, chip: Chip, *, budget: int = BUDGET) -> Session:
        """Switch ``chip`` on, and keep it on: its bootloader, the app it starts, and again after each reset.

        Raises ``ValueError`` as ``run`` does.
        """
        efuse_words(self.soc, chip)
        self._bootloader(chip)
        return Session(self._hardware, self._boot, chip, self._bootloader, budget=budget)

    def _bootloader(self, chip: Chip) -> tuple[bytes, Program | str]:
        """What lies at the bootloader's place, and what ROM would make of it."""
        if chip.target.name != self.soc.name:
            raise ValueError(f"this machine is an {self.soc.name}, the chip an {chip.target.name}")
        image = chip.flash.mmap(chip.target.bootloader_offset, _BOOTLOADER_ROOM)
        image = image[: extent(image)]
        return image, load(image, self.soc)


def soc_of(target: str) -> Soc:
    """The chip of this name. Raises ``ValueError`` for one that is not here."""
    try:
        return SOCS[target]
    except KeyError:
        raise ValueError(f"no machine for {target!r}; machine code runs on {', '.join(SOCS)}") from None


def needs_rom(target: str) -> str:
    """The sentence for a chip that runs on its real ROM alone."""
    return (
        f"machine code runs on the {target} with its real ROM alone: give its ELF file, as the crate espflash has it"
        " under resources/roms; --rom auto fetches it"
    )
