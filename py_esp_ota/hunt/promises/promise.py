"""The form of a promise, and what it is shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from py_esp_ota._core import Flash, Partition
from py_esp_ota.hunt.board import Board
from py_esp_ota.idf.bootloader.start import BootReport
from py_esp_ota.sweep.promises import Broken

if TYPE_CHECKING:
    from py_esp_ota.hunt.stage import Stage

__all__ = ["Broken", "Look", "Promise"]


@dataclass(frozen=True, slots=True)
class Look:
    """A board at one moment, and what would come of it if its plug were pulled now.

    ``report`` is the boot of a copy, ``flash`` the copy after it; ``boots`` is which image of ``Stage.sound`` the copy
    runs, ``None`` when it is none of them.
    """

    report: BootReport
    flash: Flash
    boots: bytes | None


def holds(flash: Flash, partition: Partition, images: Sequence[bytes]) -> bytes | None:
    """Which of these images stands in a partition."""
    return next((image for image in images if flash.mmap(partition.offset, len(image)) == image), None)


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise. Each function is told of the stage and of what it looks at.

    It follows from ``function`` of upstream, ``""`` where it is the cloud's, of which ``rule`` says what it does.
    """

    name: str
    text: str
    function: str
    rule: str
    at_boot: Callable[[Stage, Board, BootReport], Broken | None] | None = None
    at_look: Callable[[Stage, Board, Look], Broken | None] | None = None
    at_line: Callable[[Stage, Board, str], Broken | None] | None = None
    at_end: Callable[[Stage], Broken | None] | None = None

    @property
    def asked(self) -> tuple[str, ...]:
        """When it is asked, in words."""
        moments = {
            "at each boot": self.at_boot,
            "whenever a flash has changed": self.at_look,
            "at each report": self.at_line,
            "in the end": self.at_end,
        }
        return tuple(moment for moment, asks in moments.items() if asks is not None)
