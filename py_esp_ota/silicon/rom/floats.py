"""The compiler's arithmetic on ``float`` and ``double`` that ROM carries: RV32IMC has no registers for them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from py_esp_ota.silicon.rom.functions import Calls, Function
from py_esp_ota.silicon.words import bits_of_float, float_of_bits

_WORD = 32
_SINGLE, _DOUBLE = 4, 8


def _value(cpu: Calls, position: int, size: int) -> float:
    """The number ``position`` of a function whose numbers are all of ``size`` bytes."""
    if size == _SINGLE:
        return float_of_bits(cpu.arg(position), size)
    return float_of_bits(cpu.arg(2 * position) | cpu.arg(2 * position + 1) << _WORD, size)


def _give(cpu: Calls, value: float, size: int) -> None:
    bits = bits_of_float(value, size)
    cpu.wide_result(bits if size == _DOUBLE else bits | cpu.arg(1) << _WORD)


def _binary(operation: Callable[[float, float], float], size: int) -> Function:
    return lambda cpu: _give(cpu, operation(_value(cpu, 0, size), _value(cpu, 1, size)), size)


def _compare(operation: Callable[[float, float], int], size: int) -> Function:
    return lambda cpu: operation(_value(cpu, 0, size), _value(cpu, 1, size))


def _divided(one: float, two: float) -> float:
    """IEEE 754's division, which has an answer for zero."""
    if two:
        return one / two
    if not one or math.isnan(one):
        return math.nan
    return math.copysign(math.inf, math.copysign(1, one) * math.copysign(1, two))


def _multiplied(one: float, two: float) -> float:
    return one * two


def _order(unordered: int) -> Callable[[float, float], int]:
    """-1, 0, 1 as in C; ``unordered`` when one is no number."""

    def compare(one: float, two: float) -> int:
        if math.isnan(one) or math.isnan(two):
            return unordered
        return (one > two) - (one < two)

    return compare


def _fixed(bits: int, size: int, *, signed: bool) -> Function:
    """To a whole number, towards zero; what does not fit is the nearest that does, as the ISA's own instruction."""
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)

    def convert(cpu: Calls) -> int | None:
        value = _value(cpu, 0, size)
        whole = high if math.isnan(value) or value >= high else low if value <= low else int(value)
        if bits == _WORD:
            return whole
        cpu.wide_result(whole & (1 << bits) - 1)
        return None

    return convert


def _floated(bits: int, size: int, *, signed: bool) -> Function:
    """From a whole number."""

    def convert(cpu: Calls) -> None:
        value = cpu.arg(0) if bits == _WORD else cpu.arg(0) | cpu.arg(1) << _WORD
        if signed and value >> bits - 1:
            value -= 1 << bits
        _give(cpu, _nearest(value, size), size)

    return convert


def _nearest(value: int, size: int) -> float:
    """A whole number as a float of ``size`` bytes, rounded once."""
    digits = 24 if size == _SINGLE else 53
    excess = value.bit_length() - digits
    if excess <= 0:
        return float(value)
    sign, value = (-1, -value) if value < 0 else (1, value)
    kept, rest, half = value >> excess, value & (1 << excess) - 1, 1 << excess - 1
    kept += rest > half or (rest == half and kept & 1)
    return math.ldexp(sign * float(kept), excess)


def _named() -> dict[str, Function]:
    functions: dict[str, Function] = {}
    for letter, size in (("s", _SINGLE), ("d", _DOUBLE)):
        kind = f"{letter}f"
        functions |= {
            f"__add{kind}3": _binary(lambda one, two: one + two, size),
            f"__sub{kind}3": _binary(lambda one, two: one - two, size),
            f"__mul{kind}3": _binary(_multiplied, size),
            f"__div{kind}3": _binary(_divided, size),
            f"__neg{kind}2": _binary(lambda one, _two: -one, size),
            f"__unord{kind}2": _compare(lambda one, two: int(math.isnan(one) or math.isnan(two)), size),
            f"__fix{kind}si": _fixed(_WORD, size, signed=True),
            f"__fix{kind}di": _fixed(2 * _WORD, size, signed=True),
            f"__fixuns{kind}si": _fixed(_WORD, size, signed=False),
            f"__floatsi{kind}": _floated(_WORD, size, signed=True),
            f"__floatdi{kind}": _floated(2 * _WORD, size, signed=True),
            f"__floatunsi{kind}": _floated(_WORD, size, signed=False),
            f"__floatundi{kind}": _floated(2 * _WORD, size, signed=False),
        }
        for name, unordered in (("eq", 1), ("ne", 1), ("lt", 1), ("le", 1), ("gt", -1), ("ge", -1)):
            functions[f"__{name}{kind}2"] = _compare(_order(unordered), size)
    functions["__fixunssfdi"] = _fixed(2 * _WORD, _SINGLE, signed=False)  # its brother for double is in no ROM
    functions["__extendsfdf2"] = lambda cpu: _give(cpu, _value(cpu, 0, _SINGLE), _DOUBLE)
    functions["__truncdfsf2"] = lambda cpu: _give(cpu, _value(cpu, 0, _DOUBLE), _SINGLE)
    return functions


FLOATS: Mapping[str, Function] = _named()
