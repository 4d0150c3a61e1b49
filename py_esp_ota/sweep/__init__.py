"""Pull the plug at every flash operation of a story, and see what boots.

``sweep(STORIES["first-ota"], Scene(old, new))`` tells a story once and judges every power cut in it; each case is one
line, and ``replay`` plays it again.
"""

from __future__ import annotations

from py_esp_ota.sweep.engine import Share, StoryError, replay, sweep
from py_esp_ota.sweep.life import Life
from py_esp_ota.sweep.result import Case, Ending, SweepReport
from py_esp_ota.sweep.scene import Scene
from py_esp_ota.sweep.stories import STORIES, Story
from py_esp_ota.sweep.timeline import Pace

__all__ = [
    "STORIES",
    "Case",
    "Ending",
    "Life",
    "Pace",
    "Scene",
    "Share",
    "Story",
    "StoryError",
    "SweepReport",
    "replay",
    "sweep",
]
