"""Each of our own bugs is found by the hunt: the page says in which world, and without the bug that one is content."""

from __future__ import annotations

import pytest

from py_esp_ota.hunt import PROMISES, play, read_world
from py_esp_ota.mutants import MUTANTS
from tools.hunt_mutants import PAGE, find, rows

QUICK = 20
FOUND = {name: row for name, *row in rows(PAGE.read_text())}


def test_the_page_has_every_bug_within_the_bound():
    assert list(FOUND) == list(MUTANTS)
    assert max(worlds for worlds, _, _ in FOUND.values()) <= 10_000
    assert {promise for _, promise, _ in FOUND.values()} <= {promise.name for promise in PROMISES}


@pytest.mark.parametrize("name", MUTANTS)
def test_its_world_shows_a_bug_and_is_content_without_it(name):
    _, promise, line = FOUND[name]
    world = read_world(line)
    with MUTANTS[name].on():
        breach = play(world).breach
    assert breach is not None
    assert breach.promise == promise
    assert play(world).breach is None


@pytest.mark.parametrize("name", ["forgets-pending", "never-confirms", "rejects-nothing", "erases-the-wrong-slot"])
def test_the_hunt_finds_the_quick_ones_from_seed_0_on(name):
    assert FOUND[name][0] <= QUICK
    found = find(name, QUICK, small=False)
    assert found is not None


def test_a_bug_that_is_not_there_is_not_found():
    assert find("settings-erased-first", 1) is None
