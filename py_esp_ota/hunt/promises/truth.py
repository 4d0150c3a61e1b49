"""What the cloud was told is so: a success was an app that ran there and confirmed itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from py_esp_ota.hunt.desk import ALREADY
from py_esp_ota.hunt.promises.promise import Broken, Promise

if TYPE_CHECKING:
    from py_esp_ota.hunt.stage import Stage

_SAID_BEFORE = "esp_rmaker_ota_default_cb reports success before the reboot in builds without rollback"

_OTHERS_ID = (
    "ota_url_handler keeps the id of a job that comes while another's image waits for its reboot, and that image "
    "reports under it"
)


def _at_end(stage: Stage) -> Broken | None:
    for order in stage.desk.orders:
        version = stage.version_of(order.image)
        for board in stage.boards:
            if board.node_id not in order.nodes:
                continue
            told = {word.additional_info for word in stage.desk.words(order, board.node_id) if word.status == "success"}
            rolls_back = board.config.bootloader_app_rollback_enable
            watched = rolls_back and told != {ALREADY}
            if told and version not in (board.memory.confirming if watched else board.memory.ran):
                why = f"{order.job_id}: a success of board {board.number}, which never confirmed {version}"
                chips_own = _SAID_BEFORE if not rolls_back else _OTHERS_ID if board.memory.offered_twice else ""
                return Broken(why, chips_own)
    return None


PROMISE = Promise(
    "truth",
    "a success was an app that ran and confirmed itself",
    "esp_rmaker_ota_mark_valid",
    "is the one that reports success",
    at_end=_at_end,
)
