"""What the resumption of a download does to a slot, by upstream's own code: no promise of ours is broken by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from py_esp_ota.hunt.kinds import table
from py_esp_ota.rainmaker.features import rmaker_features
from py_esp_ota.rainmaker.ota_resume import resumption_is_built

if TYPE_CHECKING:
    from py_esp_ota.hunt.board import Board

ELSEWHERE = (
    "esp_rmaker_https_ota_get_len_and_md5_from_nvs knows how much of a file is written, not where: written over a slot "
    "that waits for its reboot, it has another app boot than ran, and the rest of the file goes into another slot"
)
FROM_THE_BEGINNING = (
    "esp_https_ota_begin starts from the beginning where the server ignores the range, and tells nobody: whose power "
    "is cut before more is kept in NVS goes on at the old place, in a slot that is erased"
)
IN_A_BLOCK = (
    "esp_rmaker_https_ota_set_len_and_md5_to_nvs keeps bytes, which before 1.12.7 are no whole blocks: a download into "
    "an encrypted slot goes on in the middle of one, which esp_ota_write refuses each time"
)


def goes_on_elsewhere(board: Board) -> bool:
    """Whether the rest of an image may have gone into another slot than its beginning."""
    if not (resumption_is_built(board.config) and board.memory.offered_twice):
        return False
    slots = sum(row.ota_slot is not None for row in table(board.world.table))
    # An app that is refused leaves its slot to be written again, where it was not one of three.
    return board.config.bootloader_skip_validate_always or slots > 2


def goes_on_behind_nothing(board: Board) -> bool:
    """Whether the beginning of an image may be gone from its slot, and NVS still say how much of it was written."""
    return resumption_is_built(board.config) and "no-range" in board.memory.met and board.memory.cuts > 0


def goes_on_in_a_block(board: Board) -> bool:
    """Whether a download is gone on with at any byte, in a flash that is written in blocks of sixteen."""
    features = rmaker_features(board.config.rainmaker_version)
    return board.world.encrypted and resumption_is_built(board.config) and not features.keeps_kib
