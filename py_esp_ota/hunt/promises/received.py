"""A good image that came over a network which spoils nothing is taken: nobody calls it damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from py_esp_ota.hunt.promises.promise import Broken, Promise
from py_esp_ota.hunt.promises.resumed import ELSEWHERE, goes_on_elsewhere
from py_esp_ota.rainmaker.features import rmaker_features

if TYPE_CHECKING:
    from py_esp_ota.hunt.stage import Stage

_DAMAGED = "Image validation failed"
#: Faults after which other bytes may stand in a slot than were sent.
_SPOILS = frozenset({"flip", "short", "no-range", "wrong-range", "content-range", "glitch", "swap", "bitflip"})


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
                return Broken(why, ELSEWHERE if goes_on_elsewhere(board) else "")
    return None


PROMISE = Promise(
    "received",
    "a good image is never called damaged",
    "esp_https_ota_is_complete_data_received",
    "tells a download that broke off from one that is whole",
    at_end=_at_end,
)
