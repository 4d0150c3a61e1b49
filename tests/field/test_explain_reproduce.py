"""What a log tells is played again, and where it cannot be, that is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from py_esp_ota.field.explain.explain import explain
from py_esp_ota.field.explain.reproduce import reproduce

LOGS = Path(__file__).parents[1] / "vectors/logs"
INDEX = json.loads((LOGS / "index.json").read_text())
#: What no world of the model can show: ROM's own decisions, keys, pins, and logs in which no bootloader speaks.
NOT_PLAYED = {
    "bootloader-missing", "bootloader-garbage", "flash-unreadable", "app-at-bootloader", "bootloader-damaged",
    "download-mode", "flash-mode", "bootloader-silent", "not-this-family", "rom-signature", "image-signature",
    "encrypted-plain", "test-pin", "factory-reset", "rolled-back-earlier", "woken",
}  # fmt: skip


@pytest.mark.parametrize("name", INDEX)
def test_a_world_of_the_log_prints_its_essential_lines(name):
    played = reproduce(explain((LOGS / name).read_bytes()))
    assert played.same is (INDEX[name]["cause"] not in NOT_PLAYED), played.why
    assert played.same or played.why
    assert played.lines()


def test_what_cannot_be_is_not_reproduced():
    """With otadata, a factory app that loads without a word is impossible: something is missing in this log."""
    log = (LOGS / next(name for name in INDEX if INDEX[name]["cause"] == "defaulting")).read_text()
    cut = "\n".join(line for line in log.splitlines() if "Defaulting" not in line)
    played = reproduce(explain(cut.encode()))
    assert not played.same
    assert "the log has loaded, the world defaulting" in played.why


def test_a_rollback_is_played_with_the_slot_that_was_given_up():
    name = next(name for name in INDEX if INDEX[name]["cause"] == "rolled-back")
    found = explain((LOGS / name).read_bytes())
    played = reproduce(found)
    assert (played.same, played.boot) == (True, found.steps[-1].boot.number)
