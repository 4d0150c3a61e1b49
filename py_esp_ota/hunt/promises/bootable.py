"""Whenever the plug is pulled, something boots afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from py_esp_ota.hunt.promises.promise import Broken, Look, Promise

if TYPE_CHECKING:
    from py_esp_ota.hunt.board import Board
    from py_esp_ota.hunt.stage import Stage


def _at_look(stage: Stage, board: Board, look: Look) -> Broken | None:
    if look.report.partition is not None:
        return None
    why = look.report.why[-1] if look.report.why else "no word of the bootloader"
    stage.doubt("bootable", board, f"nothing boots: {why}")
    return None


PROMISE = Promise(
    "bootable",
    "whenever the plug is pulled, something boots",
    "bootloader_utility_load_boot_image",
    "tries each slot in turn until one loads",
    at_look=_at_look,
)
