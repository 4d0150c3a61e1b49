"""A world in which a promise is broken is made small, and its board is asked where it was lost."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from py_esp_ota.cli import main
from py_esp_ota.hunt import draw, play, read_world
from py_esp_ota.hunt.shrink_world import shrink_world, smaller_worlds
from py_esp_ota.hunt.turn import where_lost
from py_esp_ota.hunt.world import check
from py_esp_ota.mutants import MUTANTS

LINE = "hunt1 chip=esp32c3 table=pair images=1g,2g 15/0/cut@18 20/job/1"
#: It erases the first sector of the app that runs, and then the power goes in the middle of the download.
BUG = "erases-the-wrong-slot"


def test_the_operation_is_named_with_place_function_and_act():
    with MUTANTS[BUG].on():
        lost = where_lost(read_world(LINE), 0)
    assert (lost.prognosis.recovers, lost.prognosis.reason.name) == (False, "no-app")
    turn = lost.turn
    assert turn.what.endswith("erase of 4096 bytes at 0x10000: ota_0, its beginning")
    assert "esp_https_ota_perform" in turn.event.functions
    assert turn.event.note == "20/job/1"
    assert turn.monotone


def test_a_board_that_was_never_lost_is_told_how_it_is_helped():
    lost = where_lost(read_world("hunt1 chip=esp32c3 table=pair 15/0/cut@20:torn 20/job/1"), 0)
    assert lost.turn is None
    assert str(lost) == "board 0 recovers: the cloud offers the target"


def test_a_board_that_any_update_kills_was_lost_before():
    with MUTANTS["burns-too-much"].on():
        lost = where_lost(read_world("hunt1 chip=esp32c3 table=pair options=anti-rollback images=1g,2g.1 20/job/1"), 0)
    assert lost.turn is None
    assert "lost from the first moment" in str(lost)


def test_a_board_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="there is no board 1: the world has 1"):
        where_lost(read_world(LINE), 1)


def test_a_world_is_made_small_and_breaks_the_same():
    long = (
        "hunt1 chip=esp32h4 table=three boards=2 back=1 options=pieces-16k,progress images=1g,2g,3p "
        "15/0/cut@80:torn-erase 20/1/clock-jump@78:1000000 20/job/1 411/0/mqtt-lose@11 420/job/2"
    )
    with MUTANTS[BUG].on():
        found = shrink_world(read_world(long))
        assert play(found.case).breach is not None
    assert str(found.case) == "hunt1 chip=esp32c3 table=pair images=1g", "the image that helps everybody is enough"
    assert found.minimal


def test_a_plan_within_an_act_is_made_plain():
    world = read_world("hunt1 chip=esp32c3 table=pair 12/0/cut@30:torn+drop@1024*2 20/job/1")
    found = shrink_world(world, lambda one: any("drop@" in act.what for act in one.acts))
    assert str(found.case) == "hunt1 chip=esp32c3 table=pair images=1g 12/0/drop@0"
    assert found.minimal


def test_smaller_worlds_can_be():
    for seed in range(0, 40, 4):
        for world in smaller_worlds(draw(seed)):
            check(world)
            assert read_world(str(world)) == world


def test_a_spent_budget_leaves_what_still_fails():
    world = draw(714)
    found = shrink_world(world, lambda one: len(one.acts) >= 2, budget=5)
    assert len(found.case.acts) >= 2
    assert not found.minimal
    assert found.tries <= 5


def test_a_good_world_is_not_made_small():
    with pytest.raises(ValueError, match="nothing to make smaller"):
        shrink_world(read_world("hunt1 chip=esp32c3 table=pair 20/job/1"))


def test_the_verb_says_it_in_words_and_in_json():
    words = ["hunt", "--mutant", BUG, "--bisect", "--replay", LINE]
    said = CliRunner().invoke(main, words)
    assert said.exit_code == 1
    assert "lost with event" in said.stdout
    found = json.loads(CliRunner().invoke(main, [*words, "--json"]).stdout)
    assert [lost["board"] for lost in found["lost"]] == [0]
    assert found["lost"][0]["function"] == "bootloader_utility_load_boot_image"
    assert found["lost"][0]["what"].endswith("ota_0, its beginning")


def test_a_world_that_holds_loses_nobody():
    said = CliRunner().invoke(
        main, ["hunt", "--bisect", "--json", "--replay", "hunt1 chip=esp32c3 table=pair 20/job/1"]
    )
    assert said.exit_code == 0
    assert json.loads(said.stdout)["lost"] == []
