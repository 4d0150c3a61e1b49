"""When faults stop, every board comes to the target within a bound, or is proven to be beyond rescue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from py_esp_ota.hunt.promises.promise import Broken, Promise
from py_esp_ota.rainmaker.features import rmaker_features
from py_esp_ota.rainmaker.ota_resume import resumption_is_built

if TYPE_CHECKING:
    from py_esp_ota.hunt.board import Board
    from py_esp_ota.hunt.stage import Stage

_INVALID = "ESP_ERR_INVALID_ARG"
_IN_A_BLOCK = (
    "esp_rmaker_https_ota_set_len_and_md5_to_nvs keeps bytes, which before 1.12.7 are no whole blocks: a download into "
    "an encrypted slot goes on in the middle of one, which esp_ota_write refuses each time"
)


def _at_end(stage: Stage) -> Broken | None:
    for board in stage.boards:
        if stage.there(board):
            continue
        runs = board.version or "nothing"
        words = [
            f"{word.status} ({word.additional_info})" if word.additional_info else word.status
            for order in stage.desk.orders[-1:]
            if board.node_id in order.nodes
            for word in stage.desk.words(order, board.node_id)[-1:]
        ]
        heard = f"; last heard: {words[0]}" if words else ""
        if _INVALID in heard and _goes_on_anywhere(board):
            stage.chips_own.add(_IN_A_BLOCK)
            continue
        stage.doubt("liveness", board, f"{runs} runs in the end, not {stage.version_of(stage.goal)}{heard}")
    return None


def _goes_on_anywhere(board: Board) -> bool:
    """Whether a download is gone on with at any byte, in a flash that is written in blocks of sixteen."""
    features = rmaker_features(board.config.rainmaker_version)
    return board.world.encrypted and resumption_is_built(board.config) and not features.keeps_kib


PROMISE = Promise(
    "liveness",
    "when faults stop, every board comes to the target",
    "esp_rmaker_ota_fetch",
    "asks again after each boot and each failure",
    at_end=_at_end,
)
