"""A good image that came over a network which spoils nothing is taken: nobody calls it damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from py_esp_ota.hunt.promises.promise import Broken, Promise
from py_esp_ota.rainmaker.features import rmaker_features

if TYPE_CHECKING:
    from py_esp_ota.hunt.board import Board
    from py_esp_ota.hunt.stage import Stage

_DAMAGED = "Image validation failed"
#: Faults after which other bytes may stand in a slot than were sent.
_SPOILS = frozenset({"flip", "short", "no-range", "wrong-range", "content-range", "glitch", "swap", "bitflip"})

_GOES_ON_ELSEWHERE = (
    "esp_rmaker_https_ota_get_len_and_md5_from_nvs knows how much of a file is written, not where: a slot that waits "
    "for its reboot boots with a part of another image, unverified, and the rest of that one goes into the other slot"
)


def _at_end(stage: Stage) -> Broken | None:
    for order in stage.desk.orders:
        for board in stage.boards:
            if board.node_id not in order.nodes or board.memory.met & _SPOILS or board.memory.cuts:
                continue
            if not rmaker_features(board.config.rainmaker_version).attempts:
                continue  # earlier ones judge what came although not all of it did
            said = [word.additional_info for word in stage.desk.words(order, board.node_id)]
            refused = next((info for info in said if _DAMAGED in info), "")
            if refused and stage.images[order.image] in stage.sound:
                why = f"board {board.number} calls {stage.version_of(order.image)} damaged: {refused}"
                return Broken(why, _as_the_agent(board))
    return None


def _as_the_agent(board: Board) -> str:
    config = board.config
    resumes = config.esp_rmaker_http_ota_resumption and config.bootloader_skip_validate_always
    return _GOES_ON_ELSEWHERE if resumes and board.memory.offered_twice else ""


PROMISE = Promise(
    "received",
    "a good image is never called damaged",
    "esp_https_ota_is_complete_data_received",
    "tells a download that broke off from one that is whole",
    at_end=_at_end,
)
