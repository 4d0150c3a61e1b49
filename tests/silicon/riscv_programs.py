"""Random RV32IMAC programs that get somewhere: few registers, addresses that exist, short jumps, edges of numbers.

Not every encoding is one of the core's: Unicorn has floating point and a supervisor, the chips have not.
"""

from __future__ import annotations

import random

CODE, RAM, SIZE = 0x42000000, 0x3FC80000, 0x4000
#: Registers that hold addresses, and are rarely written: three of RAM, one of the program.
_BASES, _PROGRAM = (2, 8, 9), 1
_OTHERS = (0, 5, 6, 7, 10, 11, 12, 13, 14, 15, 31)
_EDGES = (0, 1, 2, 31, 32, 33, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_JUMPS = (4, 6, 8, 10, 12, 16, 20, -4, -8, -12, -16)
_ATOMICS = (0, 1, 2, 3, 4, 8, 12, 16, 20, 24, 28)
#: mscratch, mcause, mtval: words that hold whatever is written.
_CSRS = (0x340, 0x342, 0x343)
_FLOAT = (0x07, 0x27, 0x43, 0x47, 0x4B, 0x4F, 0x53)
_SYSTEM = 0x73
#: Quadrant and the upper three bits of compressed floating point.
_SHORT_FLOAT = ((0, 1), (0, 3), (0, 5), (0, 7), (2, 1), (2, 3), (2, 5), (2, 7))


def registers(rng: random.Random, start: int) -> list[int]:
    """What x0 to x31 hold before the program at ``start``."""
    values = [0, *(_value(rng) for _ in range(31))]
    values[_PROGRAM] = start
    for base in _BASES:
        values[base] = RAM + rng.randrange(0x1000, 0x3000) & (~3 if rng.random() < 0.8 else ~0)
    return values


def program(rng: random.Random, size: int = 240) -> bytes:
    """Instructions of both lengths, at least ``size`` bytes."""
    code = b""
    while len(code) < size:
        long = rng.random() < 0.65
        word = _long(rng) if long else _short(rng)
        if comparable(word) and (word & 3 == 3) == long:
            code += word.to_bytes(4 if long else 2, "little")
    return code


def comparable(word: int) -> bool:
    """Whether the instruction in these bytes is the same one, or none, to both."""
    if word & 3 != 3:
        return (word & 3, word >> 13 & 7) not in _SHORT_FLOAT
    if word & 0x7F == _SYSTEM:
        return word in {0x73, 0x100073} or (word >> 12 & 3 != 0 and word >> 20 in _CSRS)
    return word & 0x7F not in _FLOAT


def _value(rng: random.Random) -> int:
    kind = rng.random()
    if kind < 0.4:
        return rng.choice(_EDGES)
    if kind < 0.75:
        return rng.choice((RAM, RAM, RAM, CODE)) + rng.randrange(SIZE)
    return rng.getrandbits(32)


def _long(rng: random.Random) -> int:
    rd, rs1, rs2 = (rng.choice(_OTHERS) for _ in range(3))
    base = rng.choice(_BASES)
    imm = rng.choice([rng.getrandbits(12), rng.randrange(64), -rng.randrange(1, 64) & 0xFFF])
    funct3, offset = rng.randrange(8), rng.choice(_JUMPS)

    def fields(opcode: int, funct3: int, top: int, *, rs1: int = rs1, rs2: int = rs2, rd: int = rd) -> int:
        return top << 25 | rs2 << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode

    def immediate(opcode: int, funct3: int, imm: int, *, rs1: int = rs1) -> int:
        return imm << 20 | rs1 << 15 | funct3 << 12 | rd << 7 | opcode

    def store(funct3: int) -> int:
        return fields(0x23, funct3, imm >> 5, rs1=base, rd=imm & 31)

    def branch() -> int:
        top = (offset >> 12 & 1) << 6 | offset >> 5 & 63
        return fields(0x63, rng.choice([0, 1, 4, 5, 6, 7]), top, rd=offset & 0x1E | offset >> 11 & 1)

    def jump() -> int:
        bits = (offset >> 20 & 1) << 19 | (offset >> 1 & 0x3FF) << 9 | (offset >> 11 & 1) << 8 | offset >> 12 & 0xFF
        return bits << 12 | rd << 7 | 0x6F

    def atomic() -> int:
        kind = rng.choice(_ATOMICS)
        return fields(0x2F, 2, kind << 2 | rng.randrange(4), rs1=base, rs2=0 if kind == 2 else rs2)

    def shift() -> int:
        return immediate(0x13, rng.choice([1, 5, 5]), rng.randrange(32))

    makers = (
        (14, lambda: fields(0x33, funct3, rng.choice([0, 0, 0x20]) if funct3 in {0, 5} else 0)),
        (14, lambda: fields(0x33, funct3, 1)),
        (9, lambda: immediate(0x13, rng.choice([0, 2, 3, 4, 6, 7]), imm)),
        (3, shift),
        (2, lambda: shift() | (0x40000000 if funct3 == 5 else 0)),
        (14, lambda: immediate(0x03, rng.choice([0, 1, 2, 4, 5]), imm, rs1=base if rng.random() < 0.97 else rs1)),
        (10, lambda: store(rng.randrange(3))),
        (8, branch),
        (3, jump),
        (2, lambda: immediate(0x67, 0, rng.randrange(0, 240, 2), rs1=_PROGRAM if rng.random() < 0.9 else rs1)),
        (6, lambda: rng.getrandbits(20) << 12 | rd << 7 | rng.choice([0x37, 0x17])),
        (6, atomic),
        (3, lambda: immediate(_SYSTEM, rng.choice([1, 2, 3, 5, 6, 7]), rng.choice(_CSRS))),
        (0.3, lambda: rng.choice([0x0FF0000F, 0x0000100F, 0x00000073, 0x00100073])),
        (1, lambda: rng.getrandbits(32)),
    )
    return rng.choices([make for _, make in makers], [weight for weight, _ in makers])[0]()


def _short(rng: random.Random) -> int:
    half = rng.getrandbits(16)
    if rng.random() < 0.03:
        return half
    kind = half & 3, half >> 13
    if kind in {(0, 4), (1, 1), (1, 5), (2, 4)} and rng.random() < 0.9:
        return 1  # jumps to anywhere, and a reserved form
    if kind[0] == 0:  # the base is s0 or s1, the other one is not
        half = half & ~0x380 & ~(0x18 if kind[1] == 2 else 0) | rng.randrange(2) << 7 | 0x10
    elif half >> 7 & 31 in (*_BASES, _PROGRAM):
        half = half & ~0xF80 | rng.choice([5, 6, 7, 12, 13]) << 7
    if kind == (1, 4) and half >> 7 & 7 < 2:
        half |= 0x200
    return half
