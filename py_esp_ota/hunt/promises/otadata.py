"""What the bootloader leaves in otadata has a meaning: states with names, and one image on trial at most."""

from __future__ import annotations

from typing import TYPE_CHECKING

from py_esp_ota._core import read_otadata
from py_esp_ota.hunt.kinds import table
from py_esp_ota.hunt.promises.promise import Broken, Look, Promise
from py_esp_ota.idf.rollback import OtaImgState

if TYPE_CHECKING:
    from py_esp_ota.hunt.board import Board
    from py_esp_ota.hunt.stage import Stage

_STATES = frozenset(int(state) for state in OtaImgState)


def _at_look(_stage: Stage, board: Board, look: Look) -> Broken | None:
    row = table(board.world.table).find(type=1, subtype=0)
    if row is None:
        return None
    counted = [entry for entry in read_otadata(look.flash, row.offset) if entry.valid]
    for entry in counted:
        if entry.ota_state not in _STATES:
            return Broken(f"an entry with a good CRC has the state 0x{entry.ota_state:08x}", _torn(board))
    if sum(entry.ota_state == OtaImgState.PENDING_VERIFY for entry in counted) > 1:
        return Broken("two images are on trial at once")
    return None


def _torn(board: Board) -> str:
    return "the CRC of an entry is over ota_seq alone (bootloader_common_ota_select_crc)" if board.memory.cuts else ""


PROMISE = Promise(
    "otadata",
    "states have names, and one image at most is on trial",
    "bootloader_utility_get_selected_boot_partition",
    "gives up each entry that is on trial before it makes another one so",
    at_look=_at_look,
)
