"""The log of events, told again, makes the same rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from py_esp_ota.hunt.promises.promise import Broken, Promise

if TYPE_CHECKING:
    from py_esp_ota.hunt.stage import Stage


def _at_end(stage: Stage) -> Broken | None:
    flaw = stage.desk.refolded()
    return Broken(flaw) if flaw else None


PROMISE = Promise(
    "event-log",
    "the event log folds to the rows of the cloud",
    "",
    "the cloud is our own: the log is the truth, and rows are made from it",
    at_end=_at_end,
)
