"""A job that comes in phases is handed to nobody of a phase that has not begun."""

from __future__ import annotations

from typing import TYPE_CHECKING

from py_esp_ota.hunt.promises.promise import Broken, Promise

if TYPE_CHECKING:
    from py_esp_ota.hunt.stage import Stage


def _at_end(stage: Stage) -> Broken | None:
    for handed in stage.desk.handed:
        if handed.policy == "phases" and handed.place and not handed.opened:
            return Broken(f"{handed} before its first phase has the update")
    return None


PROMISE = Promise(
    "phases",
    "nobody is handed a job before their phase has begun",
    "",
    "the cloud is our own: a phase begins when the gate of the one before it opens",
    at_end=_at_end,
)
