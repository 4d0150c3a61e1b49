"""When faults stop, every board comes to the target within a bound, or is proven to be beyond rescue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from py_esp_ota.hunt.promises.promise import Broken, Promise
from py_esp_ota.hunt.promises.resumed import (
    ELSEWHERE,
    FROM_THE_BEGINNING,
    IN_A_BLOCK,
    goes_on_behind_nothing,
    goes_on_elsewhere,
    goes_on_in_a_block,
)

if TYPE_CHECKING:
    from py_esp_ota.hunt.board import Board
    from py_esp_ota.hunt.stage import Stage

_INVALID = "ESP_ERR_INVALID_ARG"
_NO_BEGINNING = "Failed to read image description"


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
        if own := _as_the_agent(board, heard):
            stage.chips_own.add(own)
            continue
        stage.doubt("liveness", board, f"{runs} runs in the end, not {stage.version_of(stage.goal)}{heard}")
    return None


def _as_the_agent(board: Board, heard: str) -> str:
    """Why nothing more can come of it by upstream's own code; ``""`` when that does not account for it."""
    if _INVALID in heard and goes_on_in_a_block(board):
        return IN_A_BLOCK
    if _NO_BEGINNING in heard and goes_on_elsewhere(board):
        return ELSEWHERE
    if _NO_BEGINNING in heard and goes_on_behind_nothing(board):
        return FROM_THE_BEGINNING
    return ""


PROMISE = Promise(
    "liveness",
    "when faults stop, every board comes to the target",
    "esp_rmaker_ota_fetch",
    "asks again after each boot and each failure",
    at_end=_at_end,
)
