"""A power cut as files: the flash as it left it, to be seen on a board or booted again here."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TypedDict

from py_esp_ota._core import EFuse, FlashCrypt, Target
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.sweep.engine import play_cuts
from py_esp_ota.sweep.look import Looker
from py_esp_ota.sweep.result import Ending
from py_esp_ota.sweep.scene import Scene
from py_esp_ota.sweep.stories import Story

FLASH, EFUSE, CONFIG, README = "flash.bin", "efuse.json", "sdkconfig", "README.txt"


class ExportDict(TypedDict):
    """An exported cut, in JSON."""

    plan: str
    folder: str
    files: list[str]
    esptool: str
    boot: str
    notes: list[str]
    outcome: str
    partition: str | None
    version: str | None


@dataclass(frozen=True, slots=True)
class Export:
    """One cut of a story as a device without power: all of its flash, its eFuses, how its software is built.

    ``ending`` is what becomes of it when power comes back.
    """

    story: str
    plan: str
    chip: str
    flash: bytes
    efuse: EFuse
    config: Sdkconfig
    has_bootloader: bool
    ending: Ending

    def esptool(self, folder: str = "") -> str:
        """The line that puts it onto a board, as esptool 5 spells it; the file is named in ``folder``."""
        keep = "--flash-mode keep --flash-freq keep --flash-size keep"
        return f"esptool --chip {self.chip} write-flash {keep} 0x0 {_in(folder, FLASH)}"

    def boot(self, folder: str = "") -> str:
        """The line that boots it here."""
        files = f"{_in(folder, FLASH)} --chip {self.chip} --efuse {_in(folder, EFUSE)} --config {_in(folder, CONFIG)}"
        return f"esp-ota boot {files}"

    def notes(self) -> list[str]:
        """What somebody with a board should know."""
        size = f"{len(self.flash) >> 20} MB"
        told = [f"{FLASH} is all of a {size} flash, and write-flash erases what it writes: no erase-flash before it."]
        if not self.has_bootloader:
            at = f"0x{Target(self.chip).bootloader_offset:x}"
            told.append(f"It holds no bootloader: write yours at {at} after it, or export again with --bootloader.")
        if FlashCrypt.of_efuse(self.efuse) is None:
            told.append("It is for a chip whose flash encryption is off.")
        else:
            told.append(
                f"It is ciphertext: write it as it is, without --encrypt, onto a chip that has the key of {EFUSE} in"
                " its eFuses. What is burnt stays burnt."
            )
        if self.efuse.secure_version:
            told.append(f"The chip it was taken from has secure version {self.efuse.secure_version} in its eFuses.")
        if ":weak" in self.plan:
            told.append("Bits that this cut left unsteady are in it as they were read once.")
        return told

    def files(self) -> dict[str, bytes]:
        """Everything by its name."""
        return {
            FLASH: self.flash,
            EFUSE: self.efuse.to_json().encode(),
            CONFIG: self.config.to_text().encode(),
            README: "\n".join(self._readme()).encode(),
        }

    def _readme(self) -> list[str]:
        ending = self.ending
        runs = f"{ending.version or 'an app'} from {ending.partition}" if ending.partition else "nothing"
        return [
            f"{self.story}, {self.plan}: the flash as this power cut left it.",
            "",
            "On a board:",
            f"  {self.esptool()}",
            *(f"  {note}" for note in self.notes()),
            "",
            "Here:",
            f"  {self.boot()}",
            "",
            f"What boots then: {runs}. The console of the boots until nothing changes any more:",
            *(f"  {line}" for line in ending.log),
            "",
        ]

    def to_dict(self, folder: str) -> ExportDict:
        """As JSON-ready values; the files lie in ``folder``."""
        return {
            "plan": self.plan,
            "folder": folder,
            "files": list(self.files()),
            "esptool": self.esptool(folder),
            "boot": self.boot(folder),
            "notes": self.notes(),
            "outcome": self.ending.outcome,
            "partition": self.ending.partition,
            "version": self.ending.version,
        }


def _in(folder: str, name: str) -> str:
    return shlex.quote(f"{folder.rstrip('/')}/{name}" if folder else name)


def export(story: Story, scene: Scene, plan: str) -> Export:
    """The device as the cuts of the plan leave it. Raises as ``replay``."""
    terms, target, life, past = play_cuts(story, scene, plan)
    efuse, flash = life.chip.efuse.copy(), life.flash.to_bytes()
    looker = Looker(terms, target)
    ending = looker.endings[looker.look(life.flash, life.chip.efuse, past).ending]
    has_bootloader = scene.bootloader is not None
    return Export(story.name, plan, target, flash, efuse, terms.scene.config, has_bootloader, ending)
