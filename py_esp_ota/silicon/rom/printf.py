"""``ets_printf``: the formats that ROM knows, over arguments that come word by word."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from py_esp_ota.silicon.words import signed

_DIRECTIVE = re.compile(r"%(-?)(0?)(\d*)(?:\.\d*)?(ll|l)?(.?)", re.DOTALL)
#: A width from a damaged string is no reason to fill the memory.
_WIDEST = 0x100


class _Directive(NamedTuple):
    """One place of a format that takes an argument."""

    kind: str
    wide: bool
    width: int
    left: str
    zero: str


def ets_printf(form: str, words: Iterator[int], text_at: Callable[[int], str], *, first: int = 1) -> str:
    """The text of ``form`` with arguments from ``words``, the registers from a1 on and then the stack.

    ``text_at`` reads the C string at an address. ``first`` is the number of the register that the first word comes
    from: a 64-bit argument begins at an even one (RISC-V calling convention, ilp32).
    """
    taken, parts = first, []
    for piece in _pieces(form):
        if isinstance(piece, str):
            parts.append(piece)
            continue
        kind, wide, width, left, zero = piece
        value = next(words)
        taken += 1
        if wide:
            if not taken % 2:  # it was an odd register: the argument begins behind it
                value, taken = next(words), taken + 1
            value, taken = value | next(words) << 32, taken + 1
        text = _spelled(kind, value, 64 if wide else 32, text_at, left)
        parts.append(text if kind == "c" or not width else _padded(text, width, left, zero))
    return "".join(parts)


@lru_cache(maxsize=0x1000)
def _pieces(form: str) -> tuple[str | _Directive, ...]:
    """A format taken apart, once for all times that it is printed with."""
    pieces: list[str | _Directive] = []
    at = 0
    for match in _DIRECTIVE.finditer(form):
        pieces.append(form[at : match.start()])
        left, zero, digits, size, kind = match.groups()
        width = min(int(digits or 0), _WIDEST)
        if kind in set("sduxXcp"):
            pieces.append(_Directive(kind, size == "ll" and kind in set("duxX"), width, left, zero))
        else:
            # What ROM does not know it repeats without what stood between; no argument is used up.
            pieces.append(("%" if kind == "%" else "%" + kind) + " " * width)
        at = match.end()
    return (*pieces, form[at:])


def _spelled(kind: str, value: int, bits: int, text_at: Callable[[int], str], left: str) -> str:
    if kind == "s":
        return text_at(value)
    if kind == "c":
        return chr(value & 0xFF)
    if kind == "p":
        return f"0x{value:x}" if left else f"0x{value:08x}"
    if kind in {"x", "X"}:
        return f"{value:{kind}}"
    return str(signed(value, bits) if kind == "d" else value)


def _padded(text: str, width: int, left: str, zero: str) -> str:
    if left:
        return text + " " * (width - _length(text))
    if zero and text.startswith("-"):
        return "-" + text[1:].rjust(width - 1, "0")
    return ("0" if zero else " ") * (width - _length(text)) + text


def _length(text: str) -> int:
    """What ROM counts: bytes, those of no text too."""
    return len(text.encode("utf-8", "surrogateescape"))
