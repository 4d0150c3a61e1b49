"""Functions of the chips' real ROMs on the Xtensa cores: windows, loops, divisions and floats as the host has them."""

from __future__ import annotations

import math
import random
import struct
import zlib
from functools import cache
from hashlib import md5

import pytest
from real_roms import real_rom

from py_esp_ota._core import Cpu, Handlers, Words
from py_esp_ota.silicon.rom.elf import read_elf

ROUNDS = 60
_ALL, _WINDOWS_ON = 7, 0x0006_0020
_PS, _WINDOWBASE, _WINDOWSTART, _LCOUNT, _CPENABLE = 230, 72, 73, 2, 224
_WORD = 0xFFFF_FFFF
_BUDGET = 5_000_000


class Rom:
    """A core with one chip's ROM in memory, and room for a stack, data and code."""

    STACK, DATA, CODE = 0x4010_7F00, 0x4010_8000, 0x4011_0000  # code calls within one GiB

    def __init__(self, chip: str, name: str, memory: tuple[tuple[int, int], ...]) -> None:
        self.cpu = Cpu(chip, Words(), Handlers(), Handlers())
        for base, size in (*memory, (0x4010_0000, 0x2_0000)):
            self.cpu.add_memory(size, [(base, _ALL)])
        elf = read_elf(real_rom(name))
        for address, data in elf.sections:
            self.cpu.poke(address, data)
        self.symbols = elf.symbols
        self.cpu.poke(self.CODE, bytes.fromhex("e00800"))  # callx8 a8
        self.cpu.poke(self.STACK - 12, struct.pack("<I", self.STACK + 64))  # the outermost frame's caller
        self.cpu.watch(lambda _pc: self.cpu.stop(), self.CODE + 3, self.CODE + 3)

    def call(self, function: str, *arguments: int) -> tuple[int, int]:
        """The function's result and the word above it."""
        for number, value in ((_PS, _WINDOWS_ON), (_WINDOWBASE, 0), (_WINDOWSTART, 1), (_LCOUNT, 0), (_CPENABLE, 1)):
            self.cpu.set_special(number, value)
        self.cpu.set_register(1, self.STACK)
        self.cpu.set_register(8, self.symbols[function])
        for number, value in enumerate(arguments, 10):
            self.cpu.set_register(number, value & _WORD)
        assert self.cpu.run(self.CODE, _BUDGET) < _BUDGET
        assert self.cpu.pc == self.CODE + 3
        return self.cpu.register(10), self.cpu.register(11)

    def wide(self, function: str, *arguments: int) -> int:
        """A function of 64-bit numbers."""
        halves = [half for value in arguments for half in (value & _WORD, value >> 32 & _WORD)]
        low, high = self.call(function, *halves)
        return high << 32 | low


_CHIPS = {
    "esp32": ("esp32_rev300", ((0x3FF8_0000, 0x8_0000), (0x4000_0000, 0x8_0000))),
    "esp32s2": ("esp32s2_rev0", ((0x3FFA_0000, 0x6_0000), (0x4000_0000, 0x8_0000))),
    "esp32s3": ("esp32s3_rev0", ((0x3FC8_0000, 0x8_0000), (0x3FF0_0000, 0x8_0000), (0x4000_0000, 0x8_0000))),
}


@cache
def rom(chip: str) -> Rom:
    return Rom(chip, *_CHIPS[chip])


chips = pytest.mark.parametrize("chip", _CHIPS)


def number(rng: random.Random) -> int:
    return rng.choice([rng.getrandbits(64), rng.getrandbits(rng.randrange(1, 65)), 1 << rng.randrange(64)])


@chips
def test_whole_numbers(chip):
    rng, one = random.Random(1), rom(chip)
    for _ in range(ROUNDS):
        left, right = number(rng), number(rng) or 1
        assert one.wide("__udivdi3", left, right) == left // right
        assert one.wide("__umoddi3", left, right) == left % right
        assert one.wide("__muldi3", left, right) == left * right & (1 << 64) - 1


@chips
def test_bytes(chip):
    rng, one = random.Random(2), rom(chip)
    for _ in range(ROUNDS):
        data, at = rng.randbytes(rng.randrange(300)), one.DATA + rng.randrange(4)
        one.cpu.poke(at, data)
        assert one.call("crc32_le", 0, at, len(data))[0] == zlib.crc32(data)
        there = one.DATA + 0x1000 + rng.randrange(8)
        one.cpu.poke(there, bytes(len(data) + 4))
        one.call("memcpy", there, at, len(data))
        assert one.cpu.peek(there, len(data) + 4) == data + bytes(4)
        one.call("MD5Init", one.DATA + 0x2000)
        one.call("MD5Update", one.DATA + 0x2000, at, len(data))
        one.call("MD5Final", one.DATA + 0x2100, one.DATA + 0x2000)
        assert one.cpu.peek(one.DATA + 0x2100, 16) == md5(data, usedforsecurity=False).digest()


@chips
def test_deflate(chip):
    """Hundreds of thousands of instructions for each."""
    rng, one = random.Random(3), rom(chip)
    for level in range(10):
        data = b"".join(rng.choice([b"windows ", b"loops ", rng.randbytes(3)]) for _ in range(rng.randrange(1, 300)))
        packed = zlib.compress(data, level)
        one.cpu.poke(one.DATA, packed)
        length, _ = one.call("tinfl_decompress_mem_to_mem", one.DATA + 0x4000, 0x2000, one.DATA, len(packed), 1)
        assert length == len(data)
        assert one.cpu.peek(one.DATA + 0x4000, len(data)) == data


@chips
def test_floats(chip):
    """The ESP32-S3's ROM divides with the floating-point unit."""
    rng, one = random.Random(4), rom(chip)
    for _ in range(ROUNDS):
        left, right = (math.ldexp(rng.uniform(-1, 1), rng.randrange(-40, 40)) for _ in range(2))
        words = [struct.unpack("<Q", struct.pack("<d", value))[0] for value in (left, right)]
        for function, result in (("__adddf3", left + right), ("__muldf3", left * right), ("__divdf3", left / right)):
            assert struct.pack("<Q", one.wide(function, *words)) == struct.pack("<d", result), (function, left, right)
        singles = [struct.unpack("<f", struct.pack("<f", value))[0] for value in (left, right)]
        bits = [struct.unpack("<I", struct.pack("<f", value))[0] for value in singles]
        expected = struct.pack("<f", singles[0] / singles[1])
        assert struct.pack("<I", one.call("__divsf3", *bits)[0]) == expected, singles
