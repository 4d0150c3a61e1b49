"""Exceptions that an app handles itself: what ``mtval`` says, and memory that it has protected."""

from __future__ import annotations

import struct

import pytest

from py_esp_ota.chip import Chip
from py_esp_ota.silicon.app import App
from py_esp_ota.silicon.chips.socs import SOCS
from py_esp_ota.silicon.engines.pmp import may_fetch
from py_esp_ota.silicon.engines.touched import touched
from py_esp_ota.silicon.hardware import Hardware

A0, A1, A2, A3, T0, T1 = 10, 11, 12, 13, 5, 6
MEPC, MCAUSE, MTVAL, MTVEC, PMPCFG0, PMPADDR0 = 0x341, 0x342, 0x343, 0x305, 0x3A0, 0x3B0
RET, SPIN, NOP = 0x00008067, 0x0000006F, 0x00000013
BASE = {"esp32c3": 0x40380000, "esp32c6": 0x40800000}


def load(register, value):
    upper = value + 0x800 & 0xFFFFF000
    return [upper | register << 7 | 0x37, (value - upper & 0xFFF) << 20 | register << 15 | register << 7 | 0x13]


def csrw(number, register):
    return number << 20 | register << 15 | 1 << 12 | 0x73


def csrr(register, number):
    return number << 20 | 2 << 12 | register << 7 | 0x73


def call(address):
    return [*load(T0, address), T0 << 15 | 1 << 7 | 0x67]


class Board:
    """A chip with code at ``BASE``, and its handler of exceptions 2 KiB above: it notes what came, and stands still."""

    def __init__(self, chip, code, *, engine="auto", **places):
        self.hardware = Hardware(SOCS[chip], count=False, engine=engine)
        self.start(chip, code, **places)

    def start(self, chip, code, **places):
        hardware, self.base = self.hardware, BASE[chip]
        hardware.attach(Chip(chip))
        hardware.clear()
        handler = self.base + 0x800
        code = [*load(T1, handler), csrw(MTVEC, T1), *code, SPIN]
        noted = [csrr(A1, MCAUSE), csrr(A2, MTVAL), csrr(A3, MEPC), SPIN]
        for address, words in ((self.base, code), (handler, noted), *((int(k[1:], 16), v) for k, v in places.items())):
            hardware.store(address, struct.pack(f"<{len(words)}I", *words))
        hardware.go_on(self.base)
        App(hardware).run(2_000)

    @property
    def noted(self):
        """mcause, mtval, mepc."""
        return tuple(self.hardware.cpu.engine.register(register) for register in (A1, A2, A3))

    def __getitem__(self, register):
        return self.hardware.cpu.engine.register(register)


def at(board, offset):
    """The address of an instruction behind the three that set the handler."""
    return board.base + 12 + offset


# --------------------------------------------------------------------------------------------------------------- mtval


@pytest.mark.parametrize("engine", ["core", "unicorn"])
@pytest.mark.parametrize("chip", BASE)
@pytest.mark.parametrize(
    ("code", "cause", "value"),
    [
        ([*load(A0, 0x20000123), 0x00452503], 5, 0x20000127),
        ([*load(A0, 0x20000100), 0xFEA52E23], 7, 0x200000FC),
        (call(0x30000000), 1, 0x30000000),
        ([0xFFFFFFFF], 2, 0xFFFFFFFF),
        ([0x00010000], 2, 0),
        ([0x00000073], 11, 0),
    ],
    ids=["load", "store", "fetch", "illegal", "illegal short", "ecall"],
)
def test_mtval_is_what_was_touched_or_the_illegal_instruction(chip, engine, code, cause, value):
    board = Board(chip, code, engine=engine)
    place = value if cause == 1 else at(board, 4 * (len(code) - 1))
    assert board.noted == (cause, value, place)


@pytest.mark.parametrize("engine", ["core", "unicorn"])
def test_mtval_is_what_a_function_of_rom_touched(engine):
    board = Board(
        "esp32c3", [*load(A0, 0x20000000), *load(A1, 0x20000000), *load(A2, 4), *call(0x40000358)], engine=engine
    )
    assert board.noted[:2] == (5, 0x20000000)


@pytest.mark.parametrize(
    ("instruction", "address"),
    [
        (0x00052503, 0x1000),  # lw a0, 0(a0)
        (0xFFF50503, 0x0FFF),  # lb a0, -1(a0)
        (0x7EA52FA3, 0x17FF),  # sw a0, 2047(a0)
        (0x80A52023, 0x0800),  # sw a0, -2048(a0)
        (0x18B5252F, 0x1000),  # sc.w a0, a1, (a0)
        (0x5D68, 0x107C),  # c.lw a0, 124(a0)
        (0xC16C, 0x1044),  # c.sw a1, 68(a0)
        (0x557E, 0x20FC),  # c.lwsp a0, 252(sp)
        (0xDFAA, 0x20FC),  # c.swsp a0, 252(sp)
        (0x00A50533, None),  # add
        (0x8082, None),  # ret
    ],
)
def test_the_address_that_an_instruction_touches(instruction, address):
    assert touched(instruction, {10: 0x1000, 2: 0x2000}.__getitem__) == address


# --------------------------------------------------------------------------------------- memory that an app protects


def protect(*regions):
    """Locked regions by address and configuration, from entry 0 on."""
    code = []
    for number, (address, _config) in enumerate(regions):
        code += [*load(T1, address >> 2), csrw(PMPADDR0 + number, T1)]
    configs = sum(config << 8 * number for number, (_address, config) in enumerate(regions))
    return [*code, *load(T1, configs), csrw(PMPCFG0, T1)]


OFF, CODE, DATA = 0x80, 0x8D, 0x8B
END = 0x1100
INCREMENT = [(1 << 20 | A0 << 15 | A0 << 7 | 0x13), RET]


@pytest.mark.parametrize("engine", ["core", "unicorn"])
@pytest.mark.parametrize("chip", BASE)
def test_code_before_the_end_of_a_region_inside_of_a_page_runs(chip, engine):
    """Unicorn alone refuses it, wherever no load has been in the page."""
    base = BASE[chip]
    regions = protect((base, OFF), (base + END, CODE), (base + 0x10000, DATA))
    board = Board(
        chip,
        [*regions, *load(A0, 41), *call(base + END - 8), *call(base + END - 0x80)],
        engine=engine,
        **{f"x{base + END - 8:x}": INCREMENT, f"x{base + END - 0x80:x}": INCREMENT},
    )
    assert (board[A0], board.noted) == (43, (0, 0, 0))


@pytest.mark.parametrize("engine", ["core", "unicorn"])
@pytest.mark.parametrize("chip", BASE)
def test_code_behind_the_end_of_it_is_a_fault_that_says_where(chip, engine):
    base = BASE[chip]
    regions = protect((base, OFF), (base + END, CODE), (base + 0x10000, DATA))
    board = Board(chip, [*regions, *load(A0, 41), *call(base + END)], engine=engine, **{f"x{base + END:x}": INCREMENT})
    assert (board[A0], board.noted) == (41, (1, base + END, base + END))


@pytest.mark.parametrize("engine", ["core", "unicorn"])
@pytest.mark.parametrize("chip", BASE)
def test_a_store_that_is_forbidden_says_where(chip, engine):
    base = BASE[chip]
    board = Board(
        chip, [*protect((base, OFF), (base + END, CODE)), *load(A0, base + 0x1010), 0x00A52223], engine=engine
    )
    assert board.noted[:2] == (7, base + 0x1014)


@pytest.mark.parametrize("engine", ["core", "unicorn"])
def test_a_reset_forgets_what_was_locked(engine):
    chip, base = "esp32c6", BASE["esp32c6"]
    board = Board(chip, protect((base, OFF), (base + END, CODE), (base + 0x10000, DATA)), engine=engine)
    board.start(chip, [*load(A0, 1), *call(base + 0x8000)], **{f"x{base + 0x8000:x}": INCREMENT})
    assert (board[A0], board.noted) == (2, (0, 0, 0))


@pytest.mark.parametrize(
    ("config", "top", "allowed", "forbidden"),
    [
        (0x8D, 0x2000, [0, 0x1FFE, 0x2000], []),
        (0x89, 0x2000, [0x2000], [0, 0x1FFE]),
        (0x91, 0x2000, [0x1FFE, 0x2004], [0x2000, 0x2002]),
        (0x99, 0x27FC, [0x1FFE, 0x3000], [0x2000, 0x2FFE]),
        (0x09, 0x2000, [0], []),
        (0x81, 0x2000, [0, 0x2000], []),
    ],
    ids=["code", "data", "four bytes", "power of two", "not locked", "off"],
)
def test_what_a_region_forbids(config, top, allowed, forbidden):
    words = [config, 0, 0, 0, top >> 2, *[0] * 15]
    assert all(may_fetch(words, address) for address in allowed)
    assert not any(may_fetch(words, address) for address in forbidden)
