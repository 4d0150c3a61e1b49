"""A job that was cancelled, or that has aborted itself, is handed to nobody more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from py_esp_ota.hunt.promises.promise import Broken, Promise

if TYPE_CHECKING:
    from py_esp_ota.hunt.stage import Stage


def _at_end(stage: Stage) -> Broken | None:
    for handed in stage.desk.handed:
        if handed.over:
            return Broken(f"{handed} although it is over")
    return None


PROMISE = Promise(
    "withdrawn",
    "a job that is over is handed to nobody more",
    "",
    "the cloud is our own: a job that is cancelled, or reaches a limit of its plan, ends there",
    at_end=_at_end,
)
