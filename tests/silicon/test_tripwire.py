"""A snapshot knows nothing of the flash but the bootloader, whatever its machine has run before, on every engine."""

from __future__ import annotations

import struct
from contextlib import contextmanager

import pytest

from py_esp_ota.chip import Chip
from py_esp_ota.firmware import image
from py_esp_ota.silicon import Machine
from py_esp_ota.silicon.cpu import Cpu

IRAM, DRAM, SHOWN, MMU = 0x403CC000, 0x3FCD0000, 0x3C000000, 0x600C5000
PRINTF, RESET, READ_FLASH, MEMSET, CACHE_ON = 0x40000040, 0x40000090, 0x40000130, 0x40000354, 0x40000520
T0, T1, S1, A0, A1, A2 = 5, 6, 9, 10, 11, 12
FIRST, SECOND = 0xA000, 0xC000
#: Enough for a snapshot to be recorded, and for two boots that go on from it.
NUMBERS = (11, 12, 13, 14)

ENGINE = pytest.mark.parametrize("engine", ["core", "unicorn"])


def li(register, value):
    upper = value + 0x800 & 0xFFFFF000
    return [upper | register << 7 | 0x37, (value & 0xFFF) << 20 | register << 15 | register << 7 | 0x13]


def lw(register, base):
    return base << 15 | 2 << 12 | register << 7 | 0x03


def call(address, *arguments):
    given = [code for at, value in enumerate(arguments) for code in li(A0 + at, value)]
    return [*given, *li(T0, address), 0x000280E7]


#: Reads a number from the flash between two switches of the cache, by it another, and prints the first.
SHOW_ALL = [*li(T1, MMU), T1 << 15 | 2 << 12 | 0x23, *call(CACHE_ON)]
READ_ONE = [*li(T1, SHOWN + FIRST), lw(S1, T1), *call(CACHE_ON)]
READ_ANOTHER = [S1 << 15 | 12 << 20 | 1 << 12 | T1 << 7 | 0x13, *li(T0, SHOWN), T0 << 20 | T1 << 15 | T1 << 7 | 0x33]
TELL = [*call(READ_FLASH, SECOND, DRAM + 16, 4), *li(A0, DRAM), S1 << 15 | A1 << 7 | 0x13, *call(PRINTF), *call(RESET)]
PROGRAM = [*SHOW_ALL, *READ_ONE, *READ_ANOTHER, lw(T1, T1), *TELL]
#: The page has been written to before: it is there when it is read.
WRITES_FIRST = [*SHOW_ALL, *call(MEMSET, SHOWN + FIRST + 16, 0, 4), *PROGRAM[len(SHOW_ALL) :]]


def told(machine, code, number):
    """What the program prints on a chip whose flash holds this number."""
    chip = Chip()
    data = b"saw %d\n".ljust(32, b"\0")
    chip.flash.program(0, image([(DRAM, data), (IRAM, struct.pack(f"<{len(code)}I", *code))], entry_addr=IRAM))
    chip.flash.program(FIRST, struct.pack("<I", number))
    report = machine.run(chip)
    assert report.outcome == "RESET"
    return report.log


@ENGINE
@pytest.mark.parametrize("code", [PROGRAM, WRITES_FIRST], ids=["read", "written first"])
def test_what_a_program_reads_is_never_what_it_read_before(engine, code):
    machine = Machine(engine=engine)
    assert [told(machine, code, number) for number in NUMBERS] == [(f"saw {number}",) for number in NUMBERS]


@ENGINE
def test_code_that_ran_before_is_watched_as_any_other(engine, monkeypatch):
    """An engine translates code once, for those who ask then."""
    seen = []
    honest = Cpu.watched

    def noted(cpu, *, loads, steps):
        def note(address, length):
            seen.append(address & ~0xFFF)
            loads(address, length)

        return honest(cpu, loads=loads and note, steps=steps)

    monkeypatch.setattr(Cpu, "watched", noted)
    machine = Machine(engine=engine)
    for number in NUMBERS:
        told(machine, PROGRAM, number)
    assert SHOWN + FIRST in seen


@ENGINE
def test_an_engine_that_overlooks_a_load_spoils_no_boot(engine, monkeypatch):
    """There is no snapshot then: it would not be the same on a flash whose rest is another."""

    @contextmanager
    def blind(cpu, *, loads, steps):
        del loads
        with cpu.engine.watched(loads=None, steps=steps):
            yield

    monkeypatch.setattr(Cpu, "watched", blind)
    test_what_a_program_reads_is_never_what_it_read_before(engine, PROGRAM)
