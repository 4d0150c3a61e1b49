"""A board does not update and go back for ever: somebody hears of it, and the job ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from py_esp_ota.hunt.promises.promise import Broken, Promise
from py_esp_ota.idf.rollback import OtaImgState

if TYPE_CHECKING:
    from py_esp_ota.hunt.board import Board
    from py_esp_ota.hunt.stage import Stage
    from py_esp_ota.idf.bootloader.start import BootReport

#: After so many boots since its job began a board is going round in circles.
OFTEN = 10

#: Of an app that no entry leads to, its own one included.
_GIVEN_UP = frozenset({"", OtaImgState.INVALID.name, OtaImgState.ABORTED.name})
#: Faults that take the word of it away, planned as they were.
_UNHEARD = frozenset({"mqtt-lose", "mqtt-puback", "mqtt-delay", "mqtt-cut", "mqtt-refuse"})
_NO_STATE = (
    "esp_ota_get_state_partition has no state for a factory app, and so esp_rmaker_ota_manage_rollback of one never "
    "says that it was rolled back to: its job is offered again and again"
)
_NO_ENTRY = (
    "esp_rewrite_ota_data gives both entries to a slot that is chosen twice in one boot: when it goes none counts, and "
    "what boots then does not know that it was rolled back to"
)
_NO_BUDGET = "esp_rmaker_mqtt_publish_data drops the report of a rollback when the budget is spent"
_NO_ROLLBACK = "set_new_state_otadata: the app panics, and a build without rollback asks nobody to confirm"


def _at_boot(stage: Stage, board: Board, _report: BootReport) -> Broken | None:
    memory = board.memory
    if memory.boots_since != OFTEN or memory.cuts or memory.met & _UNHEARD or stage.was_away:
        return None
    return Broken(f"{OFTEN} boots since its job began, and the job goes on", _as_the_agent(board))


def _as_the_agent(board: Board) -> str:
    boots = board.device.boots[-OFTEN:]
    if any(boot.partition is not None and boot.partition.ota_slot is None for boot in boots):
        return _NO_STATE
    if board.chose_twice and any(boot.partition is not None and boot.state in _GIVEN_UP for boot in boots):
        return _NO_ENTRY
    if "mqtt-budget" in board.memory.met:
        return _NO_BUDGET
    return "" if board.config.bootloader_app_rollback_enable else _NO_ROLLBACK


PROMISE = Promise(
    "ends",
    "a job that fails again and again ends",
    "esp_rmaker_ota_manage_rollback",
    "says of a job that was rolled back that it is rejected",
    at_boot=_at_boot,
)
