"""Two engines execute the same code and know nothing of each other: what one does with a flash the other does too."""

from __future__ import annotations

import json
import os
import random
from dataclasses import replace
from functools import cache

import pytest
from board import Board
from builds import C2, C5, C6, C61, H2, bootloader
from click.testing import CliRunner
from flash_text import build
from random_flashes import drawn
from side_by_side import BUILDS, Build, copied, every_sector, sized

from py_esp_ota.chip import Chip
from py_esp_ota.cli import main
from py_esp_ota.firmware import image, layout_of
from py_esp_ota.idf.bootloader.compare import engine_difference
from py_esp_ota.idf.bootloader.machine_code import silicon_boot
from py_esp_ota.silicon import Machine
from py_esp_ota.silicon.machine import BUDGET
from py_esp_ota.silicon.oracle import OwnMachine
from py_esp_ota.silicon.report import FlashWrite

FLASHES = int(os.environ.get("ESP_OTA_FLASHES", "30"))
PROGRAMS = int(os.environ.get("ESP_OTA_PROGRAMS", "75"))
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
    for otadata in (("1/VALID",), ("2/NEW", "1/VALID"), ()):
        board = Board("two_ota", *otadata, config=one.config, chip=one.chip)
        board.chip.flash.program(one.offset, bootloader(one))
        same(one, board.chip, count=True)
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


def sound(one: Build) -> Board:
    """A chip that boots ota_0."""
    board = Board("two_ota", "1/VALID", config=one.config, chip=one.chip)
    board.chip.flash.program(one.offset, bootloader(one))
    return board


@pytest.mark.parametrize("engine", ["core", "unicorn"])
def test_compare_asks_the_other_engine_too(engine, tmp_path):
    (tmp_path / "flash").write_bytes(sound(BUILDS[0]).chip.flash.to_bytes())
    words = ["boot", str(tmp_path / "flash"), "--silicon", "--compare", "--json", "--rom", "none", "--engine", engine]
    done = CliRunner().invoke(main, words)
    told = json.loads(done.stdout)
    assert told["compare"]["agree"], told
    assert [engine, *sorted({"core", "unicorn"} - {engine})] == told["compare"]["engines"]
    assert told["silicon"]["instructions"] > 10_000


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"outcome": "RESET"}, "run 1, outcome: 'APP' and 'RESET'"),
        ({"slot": 0x20000}, "run 1, slot: 1114112 and 131072"),
        ({"log": ("other",)}, "run 1, log: ("),
        ({"flash_writes": (FlashWrite("erase", 0, 4096),)}, "run 1, flash_writes: () and (FlashWrite("),
    ],
)
def test_a_difference_between_engines_is_named(change, said):
    board = sound(BUILDS[0])
    done = silicon_boot(board.chip, OwnMachine(count=False), BUILDS[0].config)
    flashes = (board.chip.flash, board.chip.flash.fork())
    assert engine_difference(done, done, flashes) is None
    other = replace(done, runs=(replace(done.last, **change),))
    assert (engine_difference(done, other, flashes) or "").startswith(said)
    assert engine_difference(done, replace(done, runs=(*done.runs, done.last)), flashes) == "1 runs and 2"
    flashes[1].erase(0, 4096)
    assert engine_difference(done, done, flashes)
