"""Weather of virtual nodes as choices: names for fault plans that people ask for again and again.

The plans are text in the grammar of ``py_esp_ota.faults``, which the cloud does not read: whoever runs the nodes does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preset:
    """A plan with a name, and what it does in a sentence."""

    name: str
    plan: str
    sentence: str


PRESETS: Sequence[Preset] = (
    Preset("Fine", "", "Nothing goes wrong."),
    Preset("Self-test fails", "app-no", "The new firmware finds itself unfit and rolls back."),
    Preset("Self-test is silent", "app-silent", "The new firmware never says whether it is fit."),
    Preset("New app crashes", "app-crash@3", "Each new app panics three seconds after it has booted."),
    Preset("Slow link", "slow@16384", "Downloads come at 16 KiB per second."),
    Preset("Link breaks", "drop@65536", "Each download is lost after 64 KiB."),
    Preset("Server says 503", "status@503", "Every download is answered with 503."),
    Preset("A bit is wrong", "flip@4096", "One bit of each download is wrong."),
    Preset("Power cut while writing", "cut@40:torn", "Power goes in the middle of the 41st flash operation."),
    Preset("Reports get lost", "mqtt-lose@4*3", "Three messages of the node never arrive."),
)
WEATHER_LIMIT = 1000
"""Characters of a plan."""


def weather_name(plan: str) -> str:
    """The name of a plan, or the plan itself."""
    return next((preset.name for preset in PRESETS if preset.plan == plan), plan)
