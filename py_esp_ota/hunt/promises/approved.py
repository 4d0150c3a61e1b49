"""A job that needs its user's approval is handed to nobody without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from py_esp_ota.hunt.promises.promise import Broken, Promise

if TYPE_CHECKING:
    from py_esp_ota.hunt.stage import Stage


def _at_end(stage: Stage) -> Broken | None:
    for handed in stage.desk.handed:
        if handed.policy == "approval" and not handed.approved:
            return Broken(f"{handed} without its user's approval")
    return None


PROMISE = Promise(
    "approved",
    "without a user's approval nobody is handed a job that asks for it",
    "",
    "the cloud is our own: a job with user_approval waits for the user of each node",
    at_end=_at_end,
)
