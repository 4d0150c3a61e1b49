"""No node is lost in the books of a job, and none is there twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

from py_esp_ota.hunt.promises.promise import Broken, Promise

if TYPE_CHECKING:
    from py_esp_ota.hunt.stage import Stage


def _at_end(stage: Stage) -> Broken | None:
    flaw = stage.desk.flaw()
    return Broken(flaw) if flaw else None


PROMISE = Promise(
    "job-books",
    "each node of a job is in its books, once",
    "",
    "the cloud is our own: each node of a job is in one state",
    at_end=_at_end,
)
