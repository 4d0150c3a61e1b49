"""How long a swept story takes, and for how long a cut does harm."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from itertools import pairwise

import pytest
from rich.console import Console

from py_esp_ota import Firmware
from py_esp_ota._core import PartitionTable
from py_esp_ota.adapters.link import Link
from py_esp_ota.flash_timing import DEFAULT
from py_esp_ota.sweep import STORIES, Pace, Scene, sweep
from py_esp_ota.sweep.timeline import timeline
from py_esp_ota.view.junit import sweep_junit
from py_esp_ota.view.sarif import sweep_sarif
from py_esp_ota.view.sweep_html import sweep_html
from py_esp_ota.view.sweep_text import sweep_text
from py_esp_ota.view.time_words import seconds_words, window_words

OLD, NEW = (Firmware("lamp", version).to_bytes() for version in ("1.0.0", "1.1.0"))
SCENE = Scene(OLD, NEW)
LINK = Link(100_000, 0.04)
PROGRAM = DEFAULT.typical.program


@pytest.fixture(scope="module")
def update():
    return sweep(STORIES["first-ota"], SCENE, tears="clean", pace=Pace(DEFAULT, LINK))


@pytest.fixture(scope="module")
def same_slot():
    return sweep(STORIES["same-slot"], SCENE, pace=Pace(DEFAULT))


def test_each_phase_takes_what_its_operations_take(update):
    """Four sectors and 64 pages of the slot, two entries of otadata twice and a confirmation, one download."""
    phases = {phase.name: phase for phase in update.timeline.phases}
    assert len(NEW) == 0x4000
    assert phases["download"].seconds == pytest.approx(len(NEW) / 100_000 + 0.04)
    assert phases["write ota_0"].operations == 4 + 64
    assert phases["write ota_0"].seconds == pytest.approx(4 * 0.045 + 64 * 4 * PROGRAM(64))
    assert phases["write ota_0"].worst == pytest.approx(4 * 0.4 + 64 * 4 * (50e-6 + 63 * 12e-6))
    erases = sum(operation.kind == "erase" for operation in update.operations if operation.address < 0x10000)
    assert phases["write otadata"].seconds == pytest.approx(erases * 0.045 + 3 * PROGRAM(32))
    # esp_ota_end, esp_ota_set_boot_partition and two bootloaders look through an image, each once.
    assert phases["look through images"].seconds == pytest.approx(4 * len(NEW) / DEFAULT.read_bytes_per_second)
    assert update.timeline.seconds == pytest.approx(sum(phase.seconds for phase in phases.values()))
    assert update.timeline.worst == pytest.approx(sum(phase.worst for phase in phases.values()))
    assert not list(update.windows())


def test_the_time_at_risk_is_that_of_the_operations_between(same_slot):
    """An entry is erased and not yet written: from the erase's first moment to the program's last."""
    first = next(window for _outcome, _why, window in same_slot.windows())
    assert [operation.kind for operation in same_slot.operations[:2]] == ["erase", "program"]
    assert (first.first, first.last) == (0, 1)
    assert first.seconds == pytest.approx(0.045 + PROGRAM(32))
    assert first.worst == pytest.approx(0.4 + 50e-6 + 31 * 12e-6)
    assert first.at == pytest.approx(same_slot.timeline.waits[0])


def test_every_finding_has_its_time_and_none_has_it_twice(same_slot):
    """Cuts in an operation and between operations lie side by side: together they are never longer than the story."""
    windows = list(same_slot.windows())
    found = {
        (outcome, ending.why) for outcome in ("violation", "as_the_chip") for _, ending in same_slot.findings(outcome)
    }
    assert {(outcome, why) for outcome, why, _window in windows} == found
    for _outcome, why, _window in windows:
        mine = [window for _, reason, window in windows if reason == why]
        assert all(one.at + one.seconds <= two.at + 1e-9 for one, two in pairwise(mine))
    assert max(window.at + window.seconds for _, _, window in windows) <= same_slot.timeline.seconds + 1e-9


def test_a_window_between_operations_lasts_as_long_as_nothing_is_written(same_slot):
    """Behind one operation and before the next is one state: the download that comes between counts once."""
    operations = same_slot.operations[:2]
    table = PartitionTable.builtin("two_ota")
    line = timeline(operations, [(0, 1000), (1, 5000), (2, 2000)], table, Pace(DEFAULT))
    wait = 5000 / DEFAULT.read_bytes_per_second
    (between,) = line.windows([(0, ":after"), (1, "")])
    assert (between.first, between.last, between.seconds) == (1, 1, pytest.approx(wait))
    (behind,) = line.windows([(1, ":after")])
    assert (behind.first, behind.seconds) == (2, pytest.approx(2000 / DEFAULT.read_bytes_per_second))
    one, two = line.windows([(0, ""), (1, ":torn-program")])
    assert (one.at, one.first, two.first) == (0, 0, 1)
    assert two.seconds == pytest.approx(PROGRAM(32))


def test_a_deeper_cut_counts_when_its_first_one_falls(same_slot):
    deep = [case._replace(plan=f"{case.plan}+cut@0") for case in same_slot.cases]
    assert list(replace(same_slot, cases=tuple(deep)).windows()) == list(same_slot.windows())


def test_the_pictures_say_it(same_slot):
    console = Console(width=200, file=StringIO())
    console.print(sweep_text(same_slot))
    text = console.file.getvalue()
    assert "time: 138.3 ms, at worst 1.20 s (flash W25Q32JV, images are there at once)" in text
    assert "operation 0 to 1: 45.1 ms, at worst 400.4 ms, from 2.0 ms on" in text
    page = sweep_html(same_slot)
    assert "<td>135.3 ms</td><td>1.20 s</td>" in page
    assert "operation 0 to 1: 45.1 ms, at worst 400.4 ms" in page
    assert '<property name="seconds" value="0.138318"/>' in sweep_junit(same_slot)
    bag = json.loads(sweep_sarif(same_slot))["runs"][0]["properties"]
    assert bag["time"] == json.loads(json.dumps(same_slot.to_dict(0)["time"]))
    assert bag["time"]["windows"][0]["seconds"] == pytest.approx(0.0451075, abs=1e-6)


def test_without_a_pace_nothing_is_said_of_time():
    report = sweep(STORIES["settings"], SCENE, tears="clean")
    assert report.to_dict(0)["time"] is None
    assert not list(report.windows())
    assert 'class="time"' not in sweep_html(report)
    assert "seconds" not in sweep_junit(report).split("<testcase")[0].replace("elapsed", "")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "no time"), (25e-6, "25 µs"), (0.0004, "0.4 ms"), (0.9999, "999.9 ms"), (1, "1.00 s"), (3600, "3,600.00 s")],
)
def test_words_for_a_time(seconds, words):
    assert seconds_words(seconds) == words


def test_words_for_a_window(same_slot):
    window = next(window for _, _, window in same_slot.windows())
    assert window_words(replace(window, first=7, last=7)).startswith("operation 7: ")
