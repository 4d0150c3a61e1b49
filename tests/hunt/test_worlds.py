"""A world is one line: whatever a seed draws can be written, read, and be played again."""

from __future__ import annotations

import re
from hashlib import sha256

import pytest

from py_esp_ota.hunt.draw import FAULTS, draw
from py_esp_ota.hunt.kinds import CHIPS, POLICIES, TABLES
from py_esp_ota.hunt.numbers import Numbers
from py_esp_ota.hunt.world import Act, World, read_world


def test_a_line_is_the_whole_world():
    worlds = [draw(seed) for seed in range(700)]
    assert [read_world(str(world)) for world in worlds] == worlds
    assert {world.chip for world in worlds} == set(CHIPS)
    assert {world.table for world in worlds} == set(TABLES)
    acts = " ".join(act.what for world in worlds for act in world.acts)
    numbers = Numbers(1)
    assert [kind for kind, make in FAULTS.items() if make(numbers, 0x2000).partition("@")[0] not in acts] == []


def test_the_same_seed_is_the_same_world_whatever_was_drawn_before():
    assert str(draw(7)) == str(draw(7))
    assert len({str(draw(seed)) for seed in range(100)}) == 100


def test_policies_left_the_other_worlds_of_seeds_as_they_were():
    """What was found before there were any is drawn by its seed still."""
    worlds = [draw(seed) for seed in range(700)]
    lines = "\n".join(str(world) for world in worlds if not world.policy)
    assert sha256(lines.encode()).hexdigest()[:16] == "9f1c9a94ba940086"
    assert {world.policy for world in worlds} == set(POLICIES)
    assert {world.cloud for world in worlds if world.policy} == {"real"}


def test_swarms_switch_kinds_of_faults_off():
    """No world has all kinds of faults; most have but a few."""
    kinds = [{act.what.partition("@")[0] for act in draw(seed).acts if act.who.isdigit()} for seed in range(300)]
    assert max(map(len, kinds)) < len(FAULTS) / 2


def test_numbers_are_splitmix64():
    """The first numbers of seed 1234567, as its authors print them."""
    numbers = Numbers(1234567)
    assert [numbers.next() for _ in range(3)] == [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert all(0 <= Numbers(seed).below(7) < 7 for seed in range(200))


def test_an_act_can_be_taken_away():
    world = World(acts=(Act(20, "job", "1"), Act(30, "0", "press")))
    assert world.without(world.acts[1]).acts == world.acts[:1]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "a world begins with hunt1"),
        ("hunt9 chip=esp32", "a world begins with hunt1, not with 'hunt9'"),
        ("hunt1 colour=red", "nothing is called 'colour'"),
        ("hunt1 chip=z80", "chip=z80: expected one of esp32"),
        ("hunt1 table=none", "table=none: expected one of pair"),
        ("hunt1 cloud=9", "cloud=9: expected one of script, real"),
        ("hunt1 policy=whim", "policy=whim: expected one of phases, approval, serialised"),
        ("hunt1 policy=phases", "policy=phases: the script of a cloud has none; cloud=real has"),
        ("hunt1 20/0/approve", "'20/0/approve': nobody is asked; users are with policy=approval"),
        ("hunt1 cloud=real policy=phases 20/0/approve", "'20/0/approve': nobody is asked"),
        ("hunt1 idf=5.5", "idf=5.5: no release of ESP-IDF"),
        ("hunt1 rainmaker=9.9.9", "rainmaker=9.9.9: expected one of"),
        ("hunt1 options=fast", "options=fast: expected some of"),
        ("hunt1 options=no-rollback,anti-rollback", "BOOTLOADER_APP_ANTI_ROLLBACK needs"),
        ("hunt1 boards=0", "boards=0: expected 1 to"),
        ("hunt1 boards=x", "'x' is no number"),
        ("hunt1 boards=1 boards=2", "boards is said twice"),
        ("hunt1 sized=7", "sized=7: expected a multiple of 16"),
        ("hunt1 images=1g,1g", "two of them have one version"),
        ("hunt1 images=1z", "'1z' is no image"),
        ("hunt1 20/job/7", "'20/job/7': expected cancel, or the number of an image below 2"),
        ("hunt1 20/9/press", "'20/9/press': nobody is called 9"),
        ("hunt1 20/0/sing", "'20/0/sing': 'sing' is no fault"),
        ("hunt1 20/0/cut@x", "'20/0/cut@x': 'cut@x' is no fault"),
        ("hunt1 20/cloud/press", "'20/cloud/press': expected restart*S"),
        ("hunt1 20/broker/restart*3", "expected down*S"),
        ("hunt1 999999/job/1", "nothing happens after"),
        ("hunt1 soon", "'soon' is neither a fact nor an act"),
    ],
)
def test_a_wrong_word_is_named(line, why):
    with pytest.raises(ValueError, match=re.escape(why)) as refused:
        read_world(line)
    assert "\n" not in str(refused.value)
