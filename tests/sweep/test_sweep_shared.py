"""A sweep by many says what a sweep by one says, whoever does how much of it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from merging import obeys

from py_esp_ota._core import EFuse, PartitionTable
from py_esp_ota.faults import parse
from py_esp_ota.firmware import Firmware
from py_esp_ota.flash_timing import FLASH_TIMINGS
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.sweep import STORIES, Pace, Scene, Share, StoryError, sweep
from py_esp_ota.sweep.order import STRETCHES, Order, Props, Told, known_story
from py_esp_ota.sweep.part import SweepPart, merge, report_of
from py_esp_ota.sweep.shared import first_cuts, shared_sweep
from py_esp_ota.work import INTERRUPTION, Here

SCENE = Scene(*(Firmware("lamp", version).to_bytes() for version in ("1.0.0", "1.1.0")))


def order(name, **options):
    return Order(Told(known_story, name), Props.of(SCENE), **options)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("first-ota", {}),
        ("same-slot", {"tears": "clean"}),
        ("anti-rollback", {"share": Share(2, 3)}),
        ("reject", {"share": Share(cut=1)}),
        ("factory-reset", {"depth": 2}),
        ("same-slot", {"depth": 2, "limit": 100, "seed": 7}),
    ],
)
def test_the_report_is_that_of_one(name, options):
    """The looks are shared out, and what they come to is the same to the last boot."""
    pace = Pace(next(iter(FLASH_TIMINGS.values())))
    alone = sweep(STORIES[name], SCENE, pace=pace, **options)
    limit = options.pop("limit", 100_000)
    assert shared_sweep(order(name, **options), Here(), limit=limit, pace=pace) == alone


def test_a_cut_that_is_not_there():
    with pytest.raises(StoryError, match=r"^reject has 4 flash operations: there is no cut@4$"):
        shared_sweep(order("reject", share=Share(cut=4)), Here())


def test_a_mutant_goes_with_the_work():
    report = shared_sweep(order("confirm", mutant="forgets-aborted"), Here())
    assert not report.ok
    assert sweep(STORIES["confirm"], SCENE).ok


def test_a_sweep_that_is_interrupted_says_so():
    def tell(done, _total):
        if done == 40:
            raise KeyboardInterrupt

    report = shared_sweep(order("same-slot", depth=2), Here(), progress=tell)
    assert report.stopped == f"{INTERRUPTION}; 40 of {STRETCHES} parts of it are in this report"
    whole = sweep(STORIES["same-slot"], SCENE).cases
    assert [case.plan for case in report.cases] == [case.plan for case in whole][: len(report.cases)]
    assert 0 < len(report.cases) < len(whole)


def test_a_scene_travels_as_plain_data():
    scene = replace(
        SCENE,
        partitions=PartitionTable.builtin("two_ota_large"),
        config=Sdkconfig(bootloader_app_rollback_enable=True),
        efuse=EFuse("esp32c3", secure_version=3),
        weather=parse("drop@100"),
        bootloader=b"a",
        recovery=b"b",
    )
    again = Props.of(scene).scene()
    assert again.table.to_csv() == scene.table.to_csv()
    assert again.efuse == scene.efuse
    same = {"partitions": "two_ota", "efuse": None}
    assert replace(again, **same) == replace(scene, **same)
    assert Props.of(SCENE).scene() == SCENE


# ---------------------------------------------------------------------------------------------------------- the rule


@cache
def parts():
    """Each stretch, done by a worker that has done no other."""
    return tuple(first_cuts(order("confirm"), number) for number in range(STRETCHES))


@cache
def whole():
    return sweep(STORIES["confirm"], SCENE)


@given(st.permutations(range(STRETCHES)), st.integers(0, STRETCHES))
def test_in_whatever_order_and_by_how_many_ever(numbers, at):
    """Two heaps of parts, each merged for itself, then both."""
    heaps = [SweepPart(), SweepPart()]
    for place, number in enumerate(numbers):
        heaps[place < at] = merge(heaps[place < at], parts()[number])
    found = report_of(merge(*heaps), "confirm", whole().operations, limit=0, times=None, stopped="")
    assert found == whole()


def test_parts_merge_by_a_rule():
    drawn = st.lists(st.integers(0, STRETCHES - 1).map(lambda number: parts()[number]), max_size=4)
    obeys(merge, SweepPart(), drawn.map(_merged))


def _merged(some):
    found = SweepPart()
    for part in some:
        found = merge(found, part)
    return found
