"""A fleet in parts is the fleet: the same devices, the same ends, whoever plays which part."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from py_esp_ota._core import PartitionTable
from py_esp_ota.adapters.virtual_time import run_virtual
from py_esp_ota.firmware import Firmware
from py_esp_ota.fleet import run_fleet
from py_esp_ota.fleet.parts import Source, play_part, work_of
from py_esp_ota.work import Here, run

FILE = """
seed = 5
[job]
image = "new"
[[kind]]
name = "lamp"
share = 2
image = "old"
partitions = "table.bin"
[kind.weather]
self_test_fails = 0.1
offline_at_night = 0.3
night = [13, 15]
plans = [{ share = 0.2, plan = "drop@9000*1" }, { share = 0.1, plan = "cut@9:torn" }]
[[kind]]
name = "plug"
project = "lamp"
"""
OLD, NEW = (Firmware("lamp", version).to_bytes() for version in ("1.0.0", "1.1.0"))
SOURCE = Source(
    FILE, (("old", OLD), ("new", NEW)), (("table.bin", PartitionTable.builtin("two_ota_large").to_bytes()),), devices=12
)


@pytest.fixture(scope="module")
def whole():
    fleet = SOURCE.read()
    return run_virtual(run_fleet(fleet.population, fleet.jobs[0], told=lambda _far: None))


def told(result):
    """All of it but for how long the last part was played."""
    return replace(result, seconds=0)


def test_a_source_is_plain():
    assert pickle.loads(pickle.dumps(SOURCE)) == SOURCE
    assert (SOURCE.read().population.devices, SOURCE.read().population.seed) == (12, 5)
    assert replace(SOURCE, seed=9).read().population.seed == 9


def test_parts_here_are_the_whole(whole):
    work, parts = work_of(SOURCE, 0, workers=1)
    assert parts == 2
    backwards = run(work, reversed(range(parts)), Here())
    assert backwards.whole
    assert told(backwards.report) == told(whole)
    assert len(play_part(work.data, 0).members) == 6


def test_a_part_goes_anywhere_and_comes_back(whole):
    work, parts = work_of(SOURCE, 0, workers=1)
    do, job = pickle.loads(pickle.dumps((work.do, work.data)))
    report = pickle.loads(pickle.dumps(do(job, parts - 1)))
    assert {*report.members} < {*whole.members}


def test_what_looks_at_all_devices_is_not_shared_out():
    for plan in ('phases = ["1", "rest"]', "rate = 3", 'abort = { failed = "2" }'):
        source = replace(SOURCE, text=FILE.replace("[job]\n", f"[job]\nplan = {{ {plan} }}\n"))
        with pytest.raises(ValueError, match=r"the plan of lamp 1\.1\.0 .* looks at all devices at once"):
            work_of(source, 0, workers=2)
    timed = replace(SOURCE, text=FILE.replace("[job]\n", "[job]\nplan = { node_timeout = 3600 }\n"))
    assert work_of(timed, 0, workers=2)[1] == 4
