"""A machine is a knot: its CPU calls the devices, which ask the CPU. The garbage collector unties it, through Rust."""

from __future__ import annotations

import gc
import weakref

import pytest
from board import Board
from builds import C3, ESP32, bootloader, new_machine

from py_esp_ota._core import Cpu


def used(build):
    """A machine that has booted, and a session of it that has run: nobody holds either any more."""
    board = Board("two_ota", "1/VALID", config=build.config, chip=build.chip)
    board.chip.flash.program(build.offset, bootloader(build))
    machine = new_machine(build.chip)
    machine.run(board.chip)
    session = machine.session(board.chip)
    session.run(0.1)
    return weakref.ref(machine), weakref.ref(session)


@pytest.mark.parametrize("build", [C3[0], ESP32[0]], ids=str)
def test_a_machine_that_nobody_holds_is_collected(build):
    gc.collect()
    before = sum(isinstance(one, Cpu) for one in gc.get_objects())
    machine, session = used(build)
    gc.collect()
    assert (machine(), session()) == (None, None)
    assert sum(isinstance(one, Cpu) for one in gc.get_objects()) == before
