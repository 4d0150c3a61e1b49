"""What the user has set is still there: the old value or, when the power went while it was written, the new one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from py_esp_ota.chip import Chip
from py_esp_ota.errors import EspError
from py_esp_ota.hunt.board import USER
from py_esp_ota.hunt.promises.promise import Broken, Look, Promise
from py_esp_ota.idf.nvs import FlashNvs

if TYPE_CHECKING:
    from py_esp_ota.hunt.board import Board
    from py_esp_ota.hunt.stage import Stage

_BLOB = "Page::mLoadEntryTable erases the chunks of a blob whose index was not written"


def _at_look(_stage: Stage, board: Board, look: Look) -> Broken | None:
    memory = board.memory
    nvs = FlashNvs(Chip(board.world.chip, flash=look.flash, efuse=board.device.chip.efuse.copy()), board.config)
    for key, allowed in memory.settings.items():
        try:
            found = nvs.get(USER, key)
        except EspError as error:
            return Broken(f"the settings cannot be read: {error}", memory.nvs_flaw)
        if found not in allowed:
            lost = found is None and any(isinstance(value, bytes) for value in allowed)
            why = f"{key} reads {found!r}, expected {' or '.join(sorted(map(repr, allowed)))}"
            return Broken(why, memory.nvs_flaw or (_BLOB if lost and len(allowed) > 1 else ""))
    return None


PROMISE = Promise(
    "settings",
    "what the user has set is kept",
    "nvs::Page::writeItem",
    "writes a value before the old one is erased",
    at_look=_at_look,
)
