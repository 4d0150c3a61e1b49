"""Whether a board of a world that is not where it should be has upstream to thank for it.

What has ``prove`` say that a board is lost must also have happened in its world: a mutilated slot is no excuse where
nothing but the board's own operations has touched the flash.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from py_esp_ota.hunt.reasons import Needs
from py_esp_ota.hunt.rescue import Wreck
from py_esp_ota.hunt.unrecoverable import Prognosis, prove

if TYPE_CHECKING:
    from py_esp_ota._core import AppDesc, EFuse, Flash
    from py_esp_ota.hunt.board import Board
    from py_esp_ota.hunt.stage import Stage
    from py_esp_ota.rainmaker.ota import DiagState

_DAMAGES: Final = frozenset({"bitflip", "stuck0", "stuck1", "swap", "glitch"})


def excuse(stage: Stage, board: Board) -> str:
    """The upstream function by which a board is beyond rescue, and what shows it; ``""`` when there is none."""
    said = foretell(stage, board, board.device.flash, board.device.chip.efuse)
    if said.recovers or not said.accounted or said.reason is None:
        return ""
    if said.reason.needs not in _happened(board):
        return ""
    return f"{said.reason.function} ({said.reason.file}): {said.reason.text}" if said.reason.function else ""


def foretell(stage: Stage, board: Board, flash: Flash, efuse: EFuse) -> Prognosis:
    """What becomes of a board with this flash and these fuses, when nothing goes wrong and all images are on offer."""
    still = flash.fork()
    still.fault = ""
    still.power_off()
    quality = {stage.version_of(number): image.quality for number, image in enumerate(board.world.images)}

    def self_test(app: AppDesc, _state: DiagState) -> bool:
        return quality.get(app.version) != "u"

    def crashes(app: AppDesc) -> float | None:
        return 0.0 if quality.get(app.version) == "p" else None

    wreck = Wreck(
        flash=still,
        efuse=efuse.copy(),
        chip=board.world.chip,
        config=board.config,
        goal=stage.images[stage.goal],
        offers=tuple(dict.fromkeys([stage.images[stage.goal], *stage.sound])),
        ota_diag=self_test,
        crashes=crashes,
    )
    return prove(wreck)


def _happened(board: Board) -> set[Needs]:
    found: set[Needs] = {"build", "offer"}
    if board.memory.cuts:
        found.add("cut")
    if board.memory.met & _DAMAGES:
        found.add("damage")
    return found
