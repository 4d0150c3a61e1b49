"""Real ROMs by package name, and one function called on both: ours, and the ROM's own machine code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import pytest

from py_esp_ota.adapters import roms
from py_esp_ota.chip import Chip
from py_esp_ota.silicon.chips.socs import SOCS
from py_esp_ota.silicon.engines.engine import MemoryFault
from py_esp_ota.silicon.hardware import Hardware
from py_esp_ota.silicon.rom.elf import read_elf
from py_esp_ota.silicon.rom.real import rom_image
from py_esp_ota.silicon.words import to_word

_FILES = {rom.name.removesuffix("_rom.elf"): rom for rom in roms.ROMS}
#: The RISC-V chips, which all have ROMs of one kind.
ROMS = ("esp32c3", "esp32c6", "esp32c2", "esp32h2", "esp32c5", "esp32c61")
_USUAL = {"esp32c3": "esp32c3_rev300"}
#: Of other revisions, and of the Xtensa chips.
OTHER_ROMS = ("esp32c3_rev0", "esp32c3_rev101")
XTENSA_ROMS = ("esp32_rev0", "esp32_rev300", "esp32s2_rev0", "esp32s3_rev0")
_BUDGET = 2_000_000
_RA, _SP, _A0 = 1, 2, 10
_STAY = b"\x01\xa0"  # c.j to itself


def real_rom(name: str) -> bytes:
    """The ROM of a chip, or the one of this name, with its symbols. Skips the test when it cannot be had."""
    usual = _USUAL.get(name) or next((one for one in _FILES if _FILES[one].chip == name), name)
    try:
        return _FILES[usual].read() or _FILES[usual].fetch()
    except ValueError as error:
        pytest.skip(str(error))


@dataclass(frozen=True)
class Reasons:
    """The names of the reset reasons in a ROM, and where the first one's address stands."""

    sections: tuple[tuple[int, bytes], ...]
    first: int

    def name(self, reason: int) -> str:
        """What ROM calls this one."""
        return self._text(int.from_bytes(self._at(self.first + 4 * (reason - 1))[:4], "little"))

    def _at(self, address: int) -> bytes:
        return next(data[address - base :] for base, data in self.sections if base <= address < base + len(data))

    def _text(self, address: int) -> str:
        return self._at(address).split(b"\0", 1)[0].decode()


def reasons(chip: str) -> Reasons:
    """By the one place that holds the address of ``POWERON``."""
    sections = read_elf(real_rom(chip)).sections
    texts = [base + data.index(b"POWERON\0") for base, data in sections if b"POWERON\0" in data]
    places = [base + data.index(to_word(text)) for text in texts for base, data in sections if to_word(text) in data]
    (first,) = places
    return Reasons(sections, first)


@dataclass(frozen=True)
class Called:
    """What a call left: a0 and a1, and the memory that it was given."""

    a0: int
    a1: int
    memory: bytes
    text: str


class Side:
    """One of the two. It is the watcher of its CPU."""

    def __init__(self, chip: str, rom: bytes | None) -> None:
        soc = SOCS[chip]
        image = None if rom is None else rom_image(rom, soc)
        self.hardware = Hardware(soc, count=False, rom=image)
        self.hardware.attach(Chip(chip))
        self.hardware.clear()
        base = soc.ram[0].windows[0][0]
        self.space, self._back = base + 0x8000, soc.ram[0].windows[-1][0] + 0x1000
        if rom is not None:
            self.lend_newlib(symbols_of(chip)["syscall_table_ptr"])
        self.hardware.cpu.watcher = self
        self.hardware.cpu.watch_blocks(lambda _address: self.hardware.cpu.stop(), self._back, self._back)

    @property
    def table(self) -> int:
        """What an app gives to ROM's C library: functions by a table, all of which return ``lent``."""
        return self.space + 0x4000

    @property
    def lent(self) -> int:
        """Where errno is, and free memory."""
        return self.space + 0x5000

    def lend_newlib(self, pointer: int) -> None:
        """Let ROM have the table."""
        table, errno = self.table, self.lent
        upper = errno + 0x800 & 0xFFFFF000
        give_errno = [upper | 10 << 7 | 0x37, (errno - upper & 0xFFF) << 20 | 10 << 15 | 10 << 7 | 0x13, 0x00008067]
        self.hardware.store(self.code + 0x100, b"".join(map(to_word, give_errno)))
        self.hardware.store(table, to_word(self.code + 0x100) * 64)
        self.hardware.store(pointer, to_word(table))

    def knows(self, address: int, name: str, function: Callable[..., object]) -> None:
        """This function of ours is at ``address``."""
        self.hardware.functions[address] = (name, function)

    def call(self, address: int, args: list[int], memory: bytes, *, code: bytes = b"") -> Called:
        """Call it with ``memory`` at ``space`` and ``code`` that can be executed."""
        cpu = self.hardware.cpu
        self.hardware.ended = self.hardware.trapped = None
        self.hardware.text.clear()
        cpu.store(self.space, memory)
        cpu.store(self._back, _STAY + b"\0\0" + code)
        for index in range(8):
            cpu.engine.set_register(_A0 + index, args[index] if index < len(args) else 0)
        for index in (*range(5, 8), *range(28, 32)):
            cpu.engine.set_register(index, 0)
        cpu.engine.set_register(_SP, self.hardware.soc.stack_top - 0x100)
        cpu.engine.set_register(_RA, self._back)
        cpu.grant(100_000)
        cpu.go(address, _BUDGET)
        assert self.hardware.trapped is None, self.hardware.trapped
        assert cpu.pc == self._back, f"still at 0x{cpu.pc:08x}"
        a0, a1 = (cpu.engine.register(_A0 + index) for index in range(2))
        return Called(a0, a1, cpu.load(self.space, len(memory)), str(self.hardware.text))

    @property
    def code(self) -> int:
        """Where ``code`` of a call lies."""
        return self._back + 4

    # What the CPU asks.

    def rom_call(self, address: int) -> bool:
        return self.hardware.call_rom(address)

    def exception(self, cause: int, address: int) -> None:
        self.hardware.trap(f"exception {cause}", address)

    def fault(self, error: MemoryFault, address: int) -> None:
        self.hardware.trap(str(error), address)

    def csr(self, number: int) -> int | None:
        return self.hardware.csr(number)


@cache
def symbols_of(chip: str) -> Mapping[str, int]:
    """The names in the ROM of ``chip``."""
    return read_elf(real_rom(chip)).symbols


@cache
def both_sides(chip: str) -> tuple[Side, Side]:
    """Ours and the real one, kept for all tests of a process."""
    return Side(chip, None), Side(chip, real_rom(chip))
