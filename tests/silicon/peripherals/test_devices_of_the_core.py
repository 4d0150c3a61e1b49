"""Devices that the CPU core answers for by itself: the same to code and to whoever calls them."""

from __future__ import annotations

import struct
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_esp_ota._core import Compression, Cpu, Handlers, Kept, Printed, ShownPages, Switch, Words, sha256_compress

CODE, REGISTERS = 0x40380000, 0x60000000
A0, A1 = 10, 11


def lui(target, upper):
    return upper << 12 | target << 7 | 0x37


def addi(target, source, value):
    return (value & 0xFFF) << 20 | source << 15 | target << 7 | 0x13


def sw(source, offset):
    return offset >> 5 << 25 | source << 20 | A0 << 15 | 2 << 12 | (offset & 31) << 7 | 0x23


def lw(target, offset):
    return offset << 20 | A0 << 15 | 2 << 12 | target << 7 | 0x03


class Registers:
    """Registers, and the two ways to them: a function of Python, and code."""

    def __init__(self) -> None:
        self.words, self.on_read, self.on_write = Words(), Handlers(), Handlers()
        self.cpu = Cpu("esp32c3", self.words, self.on_read, self.on_write)
        self.memory = self.cpu.add_memory(0x1000, [(CODE, 7)])
        self.cpu.add_registers(REGISTERS, REGISTERS + 0x1000)

    def run(self, *code):
        self.cpu.effort = 1000
        code = (lui(A0, REGISTERS >> 12), *code)
        self.cpu.put(self.memory, 0, struct.pack(f"<{len(code)}I", *code))
        assert self.cpu.run(CODE, len(code)) == len(code)

    def store(self, offset, value, *, by_code):
        if by_code:
            self.run(addi(A1, 0, value), sw(A1, offset))
        else:
            self.on_write[REGISTERS + offset](value)

    def load(self, offset, *, by_code):
        if by_code:
            self.run(lw(A1, offset))
            return self.cpu.register(A1)
        return self.on_read[REGISTERS + offset]()


BOTH = pytest.mark.parametrize("by_code", [False, True], ids=["called", "by code"])


@BOTH
def test_some_bits_always_read_the_same(by_code):
    registers = Registers()
    registers.on_read[REGISTERS + 4] = Kept(registers.words, REGISTERS + 4, ones=0x30, zeros=0x0C)
    assert registers.load(4, by_code=by_code) == 0x30
    registers.words[REGISTERS + 4] = 0x5F
    assert registers.load(4, by_code=by_code) == 0x73


@BOTH
def test_a_switch_tells_of_its_bits_and_keeps_every_word(by_code):
    registers, told = Registers(), []
    registers.on_write[REGISTERS] = Switch(
        registers.words, REGISTERS, 6, lambda: told.append(registers.words[REGISTERS])
    )
    for value in (1, 2, 9, 5):
        registers.store(0, value, by_code=by_code)
        assert registers.words[REGISTERS] == value
    assert told == [2, 5]


@BOTH
def test_consoles_print_what_one_says_after_another_once(by_code):
    registers, text, told = Registers(), Printed(["the end"]), []
    for offset in (0, 8):
        registers.on_write[REGISTERS + offset] = text.console(lambda: told.append(str(text)))
    for letter in "both ":
        registers.store(0, ord(letter), by_code=by_code)
        registers.store(8, ord(letter), by_code=by_code)
    for letter in "the end":
        registers.store(8, ord(letter), by_code=by_code)
    assert (str(text), told) == ("both the end", [])
    kept = text.copy()
    registers.store(8, ord("\n"), by_code=by_code)
    assert told == ["both the end\n"]
    registers.store(0, ord("\n"), by_code=by_code)
    assert str(text) == "both the end\n"
    text.become_copy_of(kept)
    registers.store(0, ord("d"), by_code=by_code)
    assert str(text) == "both the end", "the letter that it had yet to say"


@BOTH
def test_a_block_is_hashed_from_registers_to_registers(by_code):
    registers = Registers()
    initial, block = bytes(range(32)), bytes(range(64, 128))
    registers.words.put_bytes_at(REGISTERS + 0x100, block, big=True)
    begin = {"message": REGISTERS + 0x100, "state": REGISTERS + 0x200}
    registers.on_write[REGISTERS] = Compression(registers.words, initial=initial, **begin)
    registers.on_write[REGISTERS + 4] = Compression(registers.words, **begin)
    registers.store(0, 1, by_code=by_code)
    registers.store(4, 1, by_code=by_code)
    expected = sha256_compress(initial, block * 2)
    assert registers.words.bytes_at(REGISTERS + 0x200, 32, big=True) == expected


ENTRIES, PAGE, INVALID = 8, 0x100, 0x40
#: Two windows: one of the first five entries, one of the last two.
PARTS = ((0, 5 * PAGE), (6 * PAGE, 8 * PAGE))
FLASH = 6 * PAGE
#: Runs of pages that follow each other, some of them beyond the flash.
RUNS = st.builds(lambda first, count: list(range(first, first + count)), st.integers(0, 12), st.integers(1, 5))
TABLES = st.lists(RUNS | st.just([INVALID]), min_size=ENTRIES, max_size=ENTRIES).map(
    lambda runs: list(chain.from_iterable(runs))[:ENTRIES]
)


@given(
    steps=st.lists(
        st.one_of(TABLES, st.tuples(st.integers(0, FLASH - 1), st.integers(0, 2 * PAGE)), st.just("restored")),
        max_size=12,
    )
)
def test_windows_show_what_the_mmu_maps_and_only_what_changed_is_shown_anew(steps):
    """A model without runs: every entry by itself."""
    shown = ShownPages(PARTS, ENTRIES, bit=INVALID, set=False, mask=INVALID - 1)
    windows = [[None] * ((end - begin) // PAGE) for begin, end in PARTS]
    known, history = [None] * ENTRIES, []

    def show(pieces):
        changed = set()
        for window, offset, length, place in pieces:
            for at in range(0, length, PAGE):
                assert place is None or place + length <= FLASH
                windows[window][(offset + at) // PAGE] = None if place is None else place + at
                changed.add(PARTS[window][0] // PAGE + (offset + at) // PAGE)
        return changed

    for step in steps:
        if step == "restored":
            shown.restore(list(reversed(shown.history())))
            known = [entry and "old" for entry in known]
        elif isinstance(step, tuple):
            address, length = step
            old = range(address // PAGE, (address + max(length, 1) - 1) // PAGE + 1)
            shown.forget(address, length)
            known = ["old" if entry not in (None, "old") and entry[0] in old else entry for entry in known]
        else:
            new = [None if word & INVALID else (word & (INVALID - 1),) for word in step]
            changed = show(shown.sync(struct.pack(f"<{ENTRIES}I", *step), PAGE, FLASH))
            seen = [entry for entry in range(ENTRIES) if entry != 5]
            assert changed == {entry for entry in seen if new[entry] != known[entry]}
            for entry, page in enumerate(new):
                if page is not None and page != known[entry]:
                    history = [place for place in history if place != page[0] * PAGE] + [page[0] * PAGE]
            known = new
            expected = [None if page is None else page[0] * PAGE % FLASH for page in new]
            assert [*windows[0], *windows[1]] == [expected[entry] for entry in seen]
            assert shown.mapped == sum(page is not None for page in new)
        assert shown.history() == list(reversed(history))
    show(shown.reset())
    assert not any(place is not None for window in windows for place in window)
    assert shown.history() == []
