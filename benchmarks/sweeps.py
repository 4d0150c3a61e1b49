"""What pulling the plug everywhere costs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from benchmarks.timing import Figure, once
from py_esp_ota.firmware import Firmware
from py_esp_ota.sweep import STORIES, Case, Scene, Story, replay, sweep
from py_esp_ota.sweep.cuts import Tears

MIB = 1 << 20
_MEMORY = """
from benchmarks.sweeps import scene
from py_esp_ota.sweep import STORIES, sweep
sweep(STORIES["second-ota"], scene(), depth=2)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def scene() -> Scene:
    """Two images of just below 1 MiB on a flash of 4 MiB."""
    old, new = (Firmware("bench", version, size=MIB - 4096).to_bytes() for version in ("1.0.0", "1.1.0"))
    return Scene(old, new)


def _measured(tears: Tears) -> tuple[float, float]:
    """Seconds of the sweep, and of playing each of its cases in a device that lives through the story."""
    told, story = scene(), STORIES["first-ota"]
    seconds = min(once(lambda: sweep(story, told, tears=tears)) for _ in range(3))
    return seconds, _played(story, told, sweep(story, told, tears=tears).cases)


def clean() -> Figure:
    """Before and behind every operation of an update."""
    ours, played = _measured("clean")
    name = "every clean power cut of an update, 1 MiB"
    return Figure(name, ours, "playing each", played, 1 / 1500)


def torn() -> Figure:
    """Also inside every operation, in four models and more."""
    ours, played = _measured("torn")
    name = "every power cut of it, torn ones too"
    return Figure(name, ours, "playing each", played, 1 / 800)


def second_cuts() -> Figure:
    """A second cut during recovery."""
    told, story = scene(), STORIES["second-ota"]
    seconds = once(lambda: sweep(story, told, depth=2))
    cases = [case for case in sweep(story, told, depth=2).cases if case.plan.count("cut") > 1]
    played = _played(story, told, cases)
    call = subprocess.run([sys.executable, "-c", _MEMORY], check=True, capture_output=True, text=True)
    kilobytes = int(call.stdout)
    name, note = "100,000 second power cuts, sampled", f", and 200 MB ({kilobytes / 1000:.0f} MB)"
    return Figure(name, seconds, "playing each", played, 1 / 300, also=kilobytes < 200_000, note=note)


def _played(story: Story, told: Scene, cases: Sequence[Case]) -> float:
    """Seconds of playing each case in a device that lives through the story, by some of them."""
    some = cases[:: max(1, len(cases) // 8)]
    return sum(once(lambda plan=case.plan: replay(story, told, plan)) for case in some) / len(some) * len(cases)
