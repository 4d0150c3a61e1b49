"""A bootloader as it is put into RAM."""

from __future__ import annotations

import struct

import pytest
from board import Board
from builds import C5, C61, bootloader

from py_esp_ota.firmware import image
from py_esp_ota.silicon import Machine
from py_esp_ota.silicon.chips.socs import SOCS
from py_esp_ota.silicon.program import load

RDCYCLE_A0, RDINSTRET_A0, WRITE_CYCLE = 0xC0002573, 0xC0202573, 0xB0051073


def test_cycles_of_the_standard_are_read_from_our_clock():
    code = struct.pack("<4I", RDCYCLE_A0, 0xB0002573, RDINSTRET_A0, WRITE_CYCLE)
    data = image([(0x4084E000, code)], chip="esp32c5", entry_addr=0x4084E000)
    program = load(data, SOCS["esp32c5"])
    assert struct.unpack("<4I", program.parts[0].data) == (0x7E202573, 0x7E202573, RDINSTRET_A0, WRITE_CYCLE)


def test_other_chips_are_left_alone():
    code = struct.pack("<I", RDCYCLE_A0)
    data = image([(0x4086E000, code)], chip="esp32c6", entry_addr=0x4086E000)
    assert load(data, SOCS["esp32c6"]).parts[0].data == code


@pytest.mark.parametrize("build", [C5[0], *C61], ids=str)
def test_two_boots_take_the_same_time(build):
    board = Board("two_ota", "1/VALID", config=build.config, chip=build.chip)
    board.chip.flash.program(build.offset, bootloader(build))
    reports = [Machine(build.chip, count=True).run(board.chip) for _ in range(2)]
    assert reports[0] == reports[1]
    assert reports[0].instructions > 10_000
