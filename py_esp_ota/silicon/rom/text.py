"""Characters and numbers: ``ctype.h`` and the conversions of ``stdlib.h`` that ROM carries."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping

from py_esp_ota.silicon.rom.functions import Calls, Function, text_at
from py_esp_ota.silicon.words import signed, to_word

_DIGITS = string.digits + string.ascii_lowercase
_SPACE = b" \t\n\v\f\r"
_LONG_MAX, _LONG_MIN, _ULONG_MAX = 0x7FFFFFFF, -0x80000000, 0xFFFFFFFF
_TOO_LARGE = 1 << 64
_SMALLEST_BASE, _LARGEST_BASE, _DECIMAL = 2, 36, 10
_ASCII = 0x80


def _spelled(value: int, base: int) -> str:
    digits = ""
    while value:
        value, digit = divmod(value, base)
        digits = _DIGITS[digit] + digits
    return digits or "0"


def _into(cpu: Calls, value: int, base: int) -> int:
    """``value`` as text where argument 1 says; an impossible base gives an empty text and a null pointer."""
    if not _SMALLEST_BASE <= base <= _LARGEST_BASE:
        cpu.store(cpu.arg(1), b"\0")
        return 0
    text = "-" + _spelled(-value, base) if value < 0 else _spelled(value, base)
    cpu.store(cpu.arg(1), text.encode() + b"\0")
    return cpu.arg(1)


def utoa(cpu: Calls) -> int:
    """``utoa``: value, text, base."""
    return _into(cpu, cpu.arg(0), cpu.arg(2))


def itoa(cpu: Calls) -> int:
    """``itoa``: only decimal numbers have a sign."""
    value, base = cpu.arg(0), cpu.arg(2)
    return _into(cpu, signed(value) if base == _DECIMAL else value, base)


def _read(cpu: Calls) -> tuple[int, bool]:
    """The number that the text of argument 0 begins with, without its sign, and whether it is negative.

    The place behind it is stored where argument 1 says.
    """
    text, base = text_at(cpu, cpu.arg(0)), cpu.arg(2)
    at = len(text) - len(text.lstrip(_SPACE))
    negative = text[at : at + 1] == b"-"
    at += text[at : at + 1] in {b"-", b"+"}
    if base in {0, 16} and text[at : at + 2].lower() == b"0x":  # also when no digit follows: then there is no number
        at, base = at + 2, 16
    elif base == 0:
        base = 8 if text[at : at + 1] == b"0" else _DECIMAL
    value, first = 0, at
    while at < len(text):
        digit = _DIGITS.find(chr(text[at]).lower()) if text[at] < _ASCII else -1
        if not 0 <= digit < base:
            break
        value, at = min(value * base + digit, _TOO_LARGE), at + 1
    if cpu.arg(1):
        cpu.store(cpu.arg(1), to_word(cpu.arg(0) + (at if at > first else 0)))
    return value, negative


def strtol(cpu: Calls) -> int:
    """``strtol``: text, place of the rest, base; what does not fit is the nearest that does."""
    value, negative = _read(cpu)
    return max(-value, _LONG_MIN) if negative else min(value, _LONG_MAX)


def strtoul(cpu: Calls) -> int:
    """``strtoul``."""
    value, negative = _read(cpu)
    if value > _ULONG_MAX:
        return _ULONG_MAX
    return -value if negative else value


def _is(members: str) -> Function:
    return lambda cpu: int(cpu.arg(0) < _ASCII and chr(cpu.arg(0)) in members)


def _mapped(function: Callable[[str], str]) -> Function:
    return lambda cpu: ord(function(chr(cpu.arg(0)))) if cpu.arg(0) < _ASCII else cpu.arg(0)


_PRINTED = string.ascii_letters + string.digits + string.punctuation

TEXT: Mapping[str, Function] = {
    "utoa": utoa,
    "itoa": itoa,
    "strtol": strtol,
    "strtoul": strtoul,
    "isalnum": _is(string.ascii_letters + string.digits),
    "isalpha": _is(string.ascii_letters),
    "isascii": lambda cpu: int(cpu.arg(0) < _ASCII),
    "isblank": _is(" \t"),
    "iscntrl": _is("".join(map(chr, (*range(0x20), 0x7F)))),
    "isdigit": _is(string.digits),
    "isgraph": _is(_PRINTED),
    "islower": _is(string.ascii_lowercase),
    "isprint": _is(_PRINTED + " "),
    "ispunct": _is(string.punctuation),
    "isspace": _is(_SPACE.decode()),
    "isupper": _is(string.ascii_uppercase),
    "toascii": lambda cpu: cpu.arg(0) & 0x7F,
    "tolower": _mapped(str.lower),
    "toupper": _mapped(str.upper),
}
