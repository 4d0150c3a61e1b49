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
    work, shards = work_of(SOURCE, workers=1)
    assert len(shards) == 2
    backwards = run(work, reversed(shards), Here())
    assert backwards.whole
    assert told(backwards.report) == told(whole)
    assert len(play_part(work.data, 0).members) == 6


def test_a_part_goes_anywhere_and_comes_back(whole):
    work, shards = work_of(SOURCE, workers=1)
    do, jobs = pickle.loads(pickle.dumps((work.do, work.data)))
    report = pickle.loads(pickle.dumps(do(jobs, shards[-1])))
    assert {*report.members} < {*whole.members}


def test_all_jobs_are_one_work():
    """Whoever opens workers for each job would start a Ray for each."""
    jobs = "".join(f'[[job]]\nkinds = ["{kind}"]\nimage = "new"\n' for kind in ("lamp", "plug"))
    work, shards = work_of(replace(SOURCE, text=FILE.replace('[job]\nimage = "new"\n', jobs)), workers=1)
    assert [work.data.place(shard) for shard in shards] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    lamps = play_part(work.data, 0) + play_part(work.data, 1)
    assert {member.kind for member in lamps.members} == {"lamp"}
    assert {member.kind for member in play_part(work.data, 3).members} == {"plug"}


def test_what_looks_at_all_devices_is_not_shared_out():
    for plan in ('phases = ["1", "rest"]', "rate = 3", 'abort = { failed = "2" }'):
        source = replace(SOURCE, text=FILE.replace("[job]\n", f"[job]\nplan = {{ {plan} }}\n"))
        with pytest.raises(ValueError, match=r"the plan of lamp 1\.1\.0 .* looks at all devices at once"):
            work_of(source, workers=2)
    timed = replace(SOURCE, text=FILE.replace("[job]\n", "[job]\nplan = { node_timeout = 3600 }\n"))
    assert work_of(timed, workers=2)[1] == range(4)
