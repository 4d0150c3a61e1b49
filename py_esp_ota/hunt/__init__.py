"""Random worlds in which things go wrong, and the promises that must hold in all of them (deterministic simulation).

A seed makes a world (``draw``), a world is one line (``str(world)``, ``read_world``), and ``play`` plays it under
virtual time: while things go wrong each promise holds at every look, and when they have stopped every board comes to
the target or is beyond rescue by an upstream function. ``hunt`` plays many.
"""

from __future__ import annotations

from py_esp_ota.hunt.campaign import Seeds, campaign, hunt
from py_esp_ota.hunt.draw import draw
from py_esp_ota.hunt.marks import MARKS
from py_esp_ota.hunt.play import play
from py_esp_ota.hunt.promises import PROMISES
from py_esp_ota.hunt.result import Breach, Finding, Report, Run
from py_esp_ota.hunt.world import Act, Image, World, read_world

__all__ = [
    "MARKS",
    "PROMISES",
    "Act",
    "Breach",
    "Finding",
    "Image",
    "Report",
    "Run",
    "Seeds",
    "World",
    "campaign",
    "draw",
    "hunt",
    "play",
    "read_world",
]
