"""Whether a bootloader takes an unconfirmed update back, as its own machine code answers it."""

from __future__ import annotations

import random
import struct

import pytest
from board import Board, slots
from builds import BUILDS, C3, C3_OLDER, bootloader, rom_of
from test_traps import DRAM, IRAM, SPIN

from py_esp_ota._core import PartitionTable
from py_esp_ota.chip import Chip
from py_esp_ota.firmware import image, rehashed
from py_esp_ota.silicon.can_roll_back import can_roll_back
from py_esp_ota.silicon.chips.socs import SOCS
from py_esp_ota.silicon.oracle import OwnMachine

ESPFLASH, ROLLBACK = C3
OWN, MADE = "with the flash's own partition table", "with a partition table made for it"


def asked(chip):
    before = chip.flash.to_bytes()
    said = can_roll_back(chip, OwnMachine(rom_of(chip.target.name), count=False))
    assert chip.flash.to_bytes() == before
    return said


def with_loader(build, table="two_ota"):
    board = Board(table, "1/VALID", "2/ABORTED", chip=build.chip)
    board.chip.flash.program(build.offset, bootloader(build))
    return board.chip


@pytest.mark.parametrize("build", [*BUILDS, *C3_OLDER], ids=str)
def test_every_build_answers_as_it_was_configured(build):
    said = asked(with_loader(build))
    assert said.answer is build.config.bootloader_app_rollback_enable
    assert said.reason.endswith(OWN)


@pytest.mark.parametrize("build", C3, ids=str)
@pytest.mark.parametrize(
    "table",
    [
        slots(1),
        slots(0, factory=True),
        PartitionTable.from_csv("a,data,nvs,,0x4000\nb,app,factory,,0x10000\n"),
        slots(3),
    ],
    ids=["one slot", "no slot", "no otadata", "three slots"],
)
def test_a_table_without_two_slots_is_replaced_by_a_made_one(build, table):
    said = asked(with_loader(build, table) if table.find(label="otadata") else with_loader_alone(build, table))
    assert said.answer is build.config.bootloader_app_rollback_enable
    assert said.reason.endswith(OWN if table.find(label="ota_2") else MADE)


def with_loader_alone(build, table):
    chip = Chip(build.chip)
    chip.flash.program(build.offset, bootloader(build))
    chip.flash.program(0x8000, table.to_bytes())
    return chip


def test_a_table_that_the_bootloader_refuses_is_replaced_too():
    """Its header says 2 MB, and the second slot ends behind that."""
    board = Board("two_ota")
    board.chip.flash.program(0, bootloader(ROLLBACK, 0x10))
    assert asked(board.chip) == (said := asked(board.chip))
    assert (said.answer, said.reason.endswith(MADE)) == (True, True)


def test_a_bootloader_for_a_newer_chip_is_asked_on_one():
    data = bytearray(bootloader(ROLLBACK))
    data[15:17] = (101).to_bytes(2, "little")
    chip = Chip()
    chip.flash.program(0, rehashed(bytes(data)))
    assert asked(chip).answer is True


@pytest.mark.parametrize("chip", SOCS)
def test_what_is_no_bootloader_is_no_answer_but_a_reason(chip):
    target = Chip(chip).target
    board = Chip(chip)
    assert asked(board).answer is None
    assert "no bootloader: the first byte is 0xff, expected 0xe9" in asked(board).reason
    rng = random.Random(chip)
    for _ in range(4):
        board.flash.erase(target.bootloader_offset, 0x2000)
        board.flash.program(target.bootloader_offset, rng.randbytes(0x2000))
        assert asked(board).answer is None


def test_a_bootloader_that_starts_nothing_is_no_answer():
    chip = Chip()
    chip.flash.program(0, image([(DRAM, bytes(16)), (IRAM, struct.pack("<I", SPIN))], entry_addr=IRAM))
    assert (asked(chip).answer, "does not start the app that was made to ask it (HANG)" in asked(chip).reason) == (
        None,
        True,
    )


def test_a_chip_that_nothing_runs_here_is_no_answer():
    said = can_roll_back(Chip("esp32p4"), OwnMachine(count=False))
    assert (said.answer, "esp32p4" in said.reason) == (None, True)
