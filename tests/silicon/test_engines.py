"""Two engines execute the same code and know nothing of each other: what one does with a flash the other does too."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache

import pytest
from builds import C2, C5, C6, C61, H2, bootloader
from flash_text import build
from random_flashes import SPACES, drawn
from side_by_side import BUILDS, Build, copied, every_sector, sized

from py_esp_ota.chip import Chip
from py_esp_ota.firmware import image, layout_of
from py_esp_ota.silicon import Machine
from py_esp_ota.silicon.machine import BUDGET

FLASHES, PROGRAMS = 60, 150
_OTHERS = (C2[0], C5[0], C6[0], C61[0], H2[0])
_BUDGET = 300_000
_OPCODES = (0x03, 0x13, 0x17, 0x23, 0x33, 0x37, 0x63, 0x67, 0x6F)


@cache
def machines(chip: str) -> tuple[Machine, Machine]:
    return Machine(chip, engine="core"), Machine(chip, engine="unicorn")


def same(one: Build | str, chip: Chip, *, count: bool, budget: int = BUDGET) -> None:
    """Both boot a copy of ``chip``: the report and the flash are the same; with ``count`` the instructions, too."""
    twins = copied(chip), copied(chip)
    core, unicorn = machines(chip.target.name)
    ours, peer = core.run(twins[0], budget=budget), unicorn.run(twins[1], budget=budget)
    assert replace(ours, instructions=0) == peer, one
    assert twins[0].flash.same(twins[1].flash, every_sector(chip.flash.size))
    if count and ours.outcome != "HANG" and ours.instructions > 1:  # Unicorn takes a budget of 0 for none
        ends = [unicorn.run(copied(chip), budget=ours.instructions + more).outcome for more in (0, -1)]
        assert ends == [ours.outcome, "HANG"], (one, ours.instructions)


@pytest.mark.parametrize("count", [False, True], ids=["fast", "counting"])
@pytest.mark.parametrize("one", BUILDS, ids=str)
def test_both_do_the_same_with_random_flashes(one, count):
    for number in range(FLASHES // 4 if count else FLASHES):
        same(one, build(drawn(f"engines/{number}", one.chip), sized(one)), count=count)


@pytest.mark.parametrize("one", _OTHERS, ids=str)
def test_both_do_the_same_on_every_chip(one):
    from board import Board

    for otadata in (("1/VALID",), ("2/NEW", "1/VALID"), ()):
        board = Board("two_ota", *otadata, config=one.config, chip=one.chip)
        board.chip.flash.program(one.offset, bootloader(one))
        same(one, board.chip, count=True)
    if one.chip in SPACES:
        for number in range(FLASHES // 4):
            same(one, build(drawn(f"engines/{number}", one.chip), sized(one)), count=False)


def random_code(rng: random.Random) -> bytes:
    """Instructions of the base set and M, with anything in their fields: Unicorn knows others that the chips do not."""
    words = (rng.getrandbits(25) << 7 | rng.choice(_OPCODES) for _ in range(rng.randrange(1, 60)))
    return b"".join(word.to_bytes(4, "little") for word in words)


@pytest.mark.parametrize("chip", ["esp32c3", "esp32c6"])
def test_both_do_the_same_with_random_code(chip):
    rng, layout = random.Random(7), layout_of(chip)
    for number in range(PROGRAMS):
        board = Chip(chip)
        code = image([(layout.iram, random_code(rng))], chip=chip, entry_addr=layout.iram)
        board.flash.program(board.target.bootloader_offset, code)
        same(f"program {number}", board, count=True, budget=_BUDGET)
