"""What pulling the plug everywhere costs."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.timing import Figure, once
from py_esp_ota.firmware import Firmware
from py_esp_ota.sweep import STORIES, Scene, replay, sweep
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
    cases = sweep(story, told, tears=tears).cases
    some = cases[:: len(cases) // 8]
    return seconds, sum(once(lambda plan=case.plan: replay(story, told, plan)) for case in some) / len(some) * len(
        cases
    )


def clean() -> Figure:
    """Before and behind every operation of an update."""
    ours, played = _measured("clean")
    name = "every clean power cut of an update, 1 MiB"
    return Figure(name, ours, "playing each", played, "below 150 ms", ours < 0.15)


def torn() -> Figure:
    """Also inside every operation, in four models and more."""
    ours, played = _measured("torn")
    name = "every power cut of it, torn ones too"
    return Figure(name, ours, "playing each", played, "below 1 s", ours < 1)


def second_cuts() -> Figure:
    """A second cut during recovery."""
    told = scene()
    seconds = once(lambda: sweep(STORIES["second-ota"], told, depth=2))
    call = subprocess.run([sys.executable, "-c", _MEMORY], check=True, capture_output=True, text=True)
    ok = seconds < 10 and int(call.stdout) < 200_000
    name = "100,000 second power cuts, sampled"
    return Figure(name, seconds, None, None, f"below 10 s and 200 MB ({int(call.stdout) / 1000:.0f} MB)", ok)
