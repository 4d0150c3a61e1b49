"""The address that a RISC-V load or store touches: its registers and its bits know."""

from __future__ import annotations

from collections.abc import Callable

from py_esp_ota.silicon.words import signed

_SP = 2
_LOAD, _STORE, _ATOMIC = 0x03, 0x23, 0x2F
#: Of the compressed ones: the lowest two bits and the highest three.
_C_LW, _C_SW, _C_LWSP, _C_SWSP = (0, 2), (0, 6), (2, 2), (2, 6)


def touched(instruction: int, register: Callable[[int], int]) -> int | None:
    """The address, ``None`` for an instruction that is neither. ``register`` is asked for a general one by number."""
    found = _whole(instruction) if instruction & 3 == 3 else _compressed(instruction & 0xFFFF)
    if found is None:
        return None
    base, offset = found
    return register(base) + offset & 0xFFFFFFFF


def _whole(instruction: int) -> tuple[int, int] | None:
    opcode, base, upper = instruction & 0x7F, instruction >> 15 & 31, instruction >> 25
    if opcode == _LOAD:
        return base, signed(instruction >> 20, 12)
    if opcode == _STORE:
        return base, signed(upper << 5 | instruction >> 7 & 31, 12)
    return (base, 0) if opcode == _ATOMIC else None


def _compressed(instruction: int) -> tuple[int, int] | None:
    kind = instruction & 3, instruction >> 13
    if kind in {_C_LW, _C_SW}:
        offset = (instruction >> 10 & 7) << 3 | (instruction >> 6 & 1) << 2 | (instruction >> 5 & 1) << 6
        return (instruction >> 7 & 7) + 8, offset
    if kind == _C_LWSP:
        return _SP, (instruction >> 12 & 1) << 5 | (instruction >> 4 & 7) << 2 | (instruction >> 2 & 3) << 6
    if kind == _C_SWSP:
        return _SP, (instruction >> 9 & 15) << 2 | (instruction >> 7 & 3) << 6
    return None
