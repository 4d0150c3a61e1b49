"""A job that asks for it is handed to one board of a network at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from py_esp_ota.hunt.promises.promise import Broken, Promise
from py_esp_ota.rainmaker.features import rmaker_features

if TYPE_CHECKING:
    from py_esp_ota.hunt.stage import Stage


def _at_end(stage: Stage) -> Broken | None:
    agent = stage.world.config().rainmaker_version
    if not rmaker_features(agent).tells_network:
        return None  # nobody knows that they are neighbours
    for handed in stage.desk.handed:
        if handed.policy == "serialised" and handed.beside:
            return Broken(f"{handed} while a neighbour is about it")
    return None


PROMISE = Promise(
    "neighbours",
    "a job that asks for it is handed to one board of a network at a time",
    "",
    "the cloud is our own: a job with network_serialised waits for a node's neighbours",
    at_end=_at_end,
)
