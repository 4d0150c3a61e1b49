"""Worlds are played: the same one comes to the same end, promises hold in a correct one, and reports merge."""

from __future__ import annotations

from functools import reduce
from itertools import permutations

import pytest

from py_esp_ota.hunt import MARKS, PROMISES, Report, Seeds, campaign, draw, hunt, play, read_world
from py_esp_ota.hunt.campaign import BLOCK
from py_esp_ota.mutants import MUTANTS
from py_esp_ota.work import Here, run

HEAD = "hunt1 chip=esp32c3 table=pair"


@pytest.fixture(scope="module")
def some():
    """Three blocks of worlds, as a campaign plays them."""
    return [hunt(range(first, first + 7)) for first in (8, 400, 800)]


def test_every_promise_holds_in_worlds_of_a_correct_device(some):
    report = reduce(Report.__add__, some)
    assert [str(finding.world) for finding in report.findings.values()] == []
    assert report.worlds == 21
    assert report.real_clouds
    assert len(report.marks) > 20
    assert set(report.marks) <= set(MARKS)
    assert report.ok, "so few worlds need not reach every mark"


def test_there_are_enough_marks_and_promises():
    assert len(MARKS) >= 30
    assert len(PROMISES) >= 8
    assert len({promise.name for promise in PROMISES}) == len(PROMISES)


def test_reports_merge_in_any_order(some):
    merged = {str(reduce(Report.__add__, order, Report()).to_dict()) for order in permutations(some)}
    assert len(merged) == 1
    first, second, third = some
    assert (first + second) + third == first + (second + third)
    assert first + Report() == first


def test_a_world_comes_to_the_same_end_each_time():
    for seed in (3, 64, 72):
        heard = [[], []]
        runs = [play(draw(seed), lambda *line, to=to: to.append(line)) for to in heard]
        assert runs[0] == runs[1]
        assert heard[0] == heard[1]
        assert heard[0]


def test_the_seed_of_a_line_changes_nothing():
    world = draw(72)
    line = str(world).replace("seed=72 ", "")
    again = play(read_world(line))
    assert (again.marks, again.seconds) == (play(world).marks, play(world).seconds)


def test_a_campaign_is_work_in_blocks_of_seeds():
    seeds = Seeds(500, BLOCK + 3)
    assert [seeds.of(shard) for shard in seeds.shards] == [range(500, 500 + BLOCK), range(500 + BLOCK, 503 + BLOCK)]
    few = Seeds(500, 4)
    assert run(campaign(few), few.shards, Here()).report.report == hunt(range(500, 504))


def test_a_campaign_of_many_worlds_that_never_reaches_a_mark_fails_and_names_it():
    reached = dict.fromkeys(MARKS, 1)
    assert Report(worlds=5000, marks=reached).ok
    del reached["late-success"]
    report = Report(worlds=5000, marks=reached)
    assert not report.ok
    assert report.missing == ("late-success",)


@pytest.mark.parametrize(
    ("mutant", "promise", "acts"),
    [
        ("forgets-aborted", "trial", "10/0/app-silent 20/job/1 60/0/press"),
        ("confirms-unasked", "trial", "20/job/1"),
        ("never-confirms", "confirmed", "20/job/1"),
        ("erases-the-wrong-slot", "images", "20/job/1"),
        ("settings-erased-first", "settings", "10/0/cut@1 20/0/set*9"),
        ("writes-a-bad-crc", "liveness", "20/job/1"),
    ],
)
def test_a_bug_made_on_purpose_breaks_a_promise(mutant, promise, acts):
    world = read_world(f"{HEAD} {acts}")
    assert play(world).breach is None
    with MUTANTS[mutant].on():
        breach = play(world).breach
    assert breach is not None
    assert breach.promise == promise
