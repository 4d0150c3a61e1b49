"""What pulling the plug everywhere costs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from benchmarks.timing import Figure, once
from py_esp_ota._core import EFuse, Flash, PartitionTable, Target
from py_esp_ota.adapters.processes import Processes
from py_esp_ota.field.migrate.facts import Dump, Facts, facts_of
from py_esp_ota.field.migrate.orders import Change, orders
from py_esp_ota.field.migrate.verdict import verdict
from py_esp_ota.firmware import Firmware, bootloader, merge, ota_select_entry
from py_esp_ota.flash_timing import DEFAULT
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.sweep import STORIES, Case, Scene, Story, replay, sweep
from py_esp_ota.sweep.cuts import Tears
from py_esp_ota.sweep.order import Order, Props, Told, known_story
from py_esp_ota.sweep.shared import shared_sweep
from py_esp_ota.work import Executor, Here

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


def migration() -> Figure:
    """Every power cut of a new partition table on 4 MiB, by the recovery bootloader of an ESP32-C5.

    Nobody else does this; beside it stands the plainest sweep of an update.
    """
    facts, wanted = _device()
    order = next(order for order in orders(facts, wanted)[0] if order.name == "there-and-back")
    seconds = min(once(lambda: verdict(facts, order, DEFAULT)) for _ in range(3))
    told = scene()
    theirs = min(once(lambda: sweep(STORIES["first-ota"], told)) for _ in range(3))
    return Figure("every power cut of a new partition table", seconds, "an update's", theirs, 10, also=seconds < 1)


def _device() -> tuple[Facts, Change]:
    rows = "nvs,data,nvs,0x9000,16K\notadata,data,ota,0xd000,8K\n"
    old, new = (
        PartitionTable.from_csv(f"{rows}ota_0,app,ota_0,0x10000,{size}\nota_1,app,ota_1,,{size}\n")
        for size in ("1M", "1536K")
    )
    app = Firmware("bench", "1.0.0", chip="esp32c5", size=0xE0000).to_bytes()
    loaders = [bootloader(chip="esp32c5", idf_ver=version) for version in ("v6.1", "v6.0")]
    parts = {0x2000: loaders[0], 0x8000: old.to_bytes(), 0xD000: ota_select_entry(1, 2), 0x10000: app, 0x110000: app}
    flash = Flash.from_bytes(merge(parts), size=0x400000, strict=False)
    facts = facts_of(Dump(flash, Target("esp32c5"), EFuse("esp32c5"), Sdkconfig()))
    return facts, Change(tuple(new), new.to_bytes(), loaders[1], 0x3F0000)


def _played(story: Story, told: Scene, cases: Sequence[Case]) -> float:
    """Seconds of playing each case in a device that lives through the story, by some of them."""
    some = cases[:: max(1, len(cases) // 8)]
    return sum(once(lambda plan=case.plan: replay(story, told, plan)) for case in some) / len(some) * len(cases)


def shared() -> Figure:
    """A sweep by two processes, their start included, beside one."""
    old, new = (Firmware("bench", version, size=0x1E000).to_bytes() for version in ("1.0.0", "1.1.0"))

    def by(executor: Executor) -> float:
        order = Order(Told(known_story, "agent-stream"), Props.of(Scene(old, new)))
        return once(lambda: shared_sweep(order, executor))

    rounds = [(by(Processes(2)), by(Here())) for _ in range(2)]
    ours, theirs = (min(times) for times in zip(*rounds, strict=True))
    return Figure("a long sweep by two processes", ours, "one process", theirs, 1 / 1.8)
