"""An app that has said that it is verified is so in flash: its entry is VALID, and its secure version is burnt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from py_esp_ota._core import ota_slot, read_otadata
from py_esp_ota.hunt.kinds import table
from py_esp_ota.hunt.promises.promise import Broken, Promise
from py_esp_ota.idf.rollback import OtaImgState
from py_esp_ota.rainmaker.features import rmaker_features
from py_esp_ota.rainmaker.ota import VERIFIED

if TYPE_CHECKING:
    from py_esp_ota.hunt.board import Board
    from py_esp_ota.hunt.stage import Stage

_SAYS_SO = f"Reporting success: {VERIFIED}"
_NO_ROOM = (
    "esp_efuse_update_secure_version burns no version beyond the chip's field, and esp_rmaker_ota_mark_valid does not "
    "ask what came of it"
)


def no_room(board: Board, secure_version: int) -> str:
    """The function that burns no such version on this chip, ``""`` where there is room for it."""
    return _NO_ROOM if secure_version > board.device.chip.efuse.secure_version_size else ""


def _at_line(_stage: Stage, board: Board, line: str) -> Broken | None:
    running = board.device.running
    partition = board.device.report.partition if board.device.report else None
    if _SAYS_SO not in line or running is None or partition is None:
        return None
    if not rmaker_features(board.config.rainmaker_version).asks_twice:  # earlier ones say it first and do it then
        return None
    rows = table(board.world.table)
    otadata, slots = rows.find(type=1, subtype=0), sum(row.ota_slot is not None for row in rows)
    if otadata is None:
        return None
    for entry in read_otadata(board.device.flash, otadata.offset):
        named = entry.valid and ota_slot(entry.ota_seq, slots) == partition.ota_slot
        if named and entry.ota_state == OtaImgState.PENDING_VERIFY:
            return Broken(f"{running.version} has reported that it is verified, and an entry still has it on trial")
    burnt = board.device.chip.efuse.secure_version
    if board.config.bootloader_app_anti_rollback and burnt < running.secure_version:
        why = f"{running.version} has reported that it is verified, and the eFuse is at {burnt}"
        return Broken(f"{why}, not at {running.secure_version}", no_room(board, running.secure_version))
    return None


PROMISE = Promise(
    "confirmed",
    "what an app says of its own confirmation is so in flash",
    "esp_rmaker_ota_mark_valid",
    "reports success once esp_ota_mark_app_valid_cancel_rollback has written",
    at_line=_at_line,
)
