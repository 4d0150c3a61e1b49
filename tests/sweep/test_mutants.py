"""Every bug made on purpose is found by pulling the plug."""

from __future__ import annotations

from functools import cache

import pytest

from py_esp_ota.firmware import Firmware
from py_esp_ota.mutants import MUTANTS
from py_esp_ota.sweep import STORIES, Scene, StoryError, sweep

#: The story that finds a bug, where it is not the first update: in images large enough for what it is about.
FOUND_BY = {
    "forgets-pending": "anti-rollback",
    "rejects-nothing": "reject",
    "rewrites-the-active-entry": "second-ota",
    "number-stands-still": "third-ota",
    "erases-both-entries": "second-ota",
    "forgets-who-runs": "second-ota",
    "lowest-number-wins": "third-ota",
    "resumes-a-sector-late": "resume",
    "burns-on-trial": "anti-rollback",
    "burns-too-much": "anti-rollback",
    "never-burns": "anti-rollback",
    "settings-erased-first": "settings",
    "accepts-any-image": "bad-download",
}
TABLE = {"heals-the-wrong-slot": "two_ota_large", "no-way-back": "two_ota_large"}


def images(size):
    return [Firmware("lamp", version, size=size).to_bytes() for version in ("1.0.0", "1.1.0")]


def asked(name):
    """In which story, by which table and in images of which size a bug is looked for."""
    size = 0x24000 if name == "resumes-a-sector-late" else 0x4000
    return FOUND_BY.get(name, "first-ota"), TABLE.get(name, "two_ota"), size


def found(story, table, size):
    """What is wrong, in words; ``""`` when the sweep is content."""
    try:
        report = sweep(STORIES[story], Scene(*images(size), table))
    except StoryError as refused:
        return str(refused)
    return next((ending.why for _, ending in report.findings("violation")), "")


@cache
def content(story, table, size):
    """Without a bug: the same for all that are looked for there."""
    return not found(story, table, size)


@pytest.mark.parametrize("name", MUTANTS)
def test_the_sweep_finds(name):
    with MUTANTS[name].on():
        assert found(*asked(name))
    assert content(*asked(name)), "and without the bug it is"


def test_there_are_enough_of_them():
    assert len(MUTANTS) >= 20
    assert all(mutant.name == name and mutant.text for name, mutant in MUTANTS.items())
    assert set(FOUND_BY) | set(TABLE) <= set(MUTANTS)


def test_a_bug_is_gone_when_its_test_fails():
    with pytest.raises(ZeroDivisionError), MUTANTS["forgets-aborted"].on():
        raise ZeroDivisionError
    assert not found(*asked("forgets-aborted"))
