"""``ets_printf``: the formats that ROM knows, over arguments that come word by word."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from py_esp_ota.silicon.words import signed

_DIRECTIVE = re.compile(r"%(-?)(0?)(\d*)(?:\.\d*)?(ll|l)?(.?)", re.DOTALL)
#: A width from a damaged string is no reason to fill the memory.
_WIDEST = 0x100


def ets_printf(form: str, words: Iterator[int], text_at: Callable[[int], str], *, first: int = 1) -> str:
    """The text of ``form`` with arguments from ``words``, the registers from a1 on and then the stack.

    ``text_at`` reads the C string at an address. ``first`` is the number of the register that the first word comes
    from: a 64-bit argument begins at an even one (RISC-V calling convention, ilp32).
    """
    taken = first

    def take() -> int:
        nonlocal taken
        taken += 1
        return next(words)

    def put(match: re.Match[str]) -> str:
        left, zero, digits, size, kind = match.groups()
        width = min(int(digits or 0), _WIDEST)
        if kind not in set("sduxXcp"):
            # What ROM does not know it repeats without what stood between; no argument is used up.
            return ("%" if kind == "%" else "%" + kind) + " " * width
        wide = size == "ll" and kind in set("duxX")
        if wide and taken % 2:
            take()
        value = take() | (take() << 32 if wide else 0)
        text = _spelled(kind, value, 64 if wide else 32, text_at, left)
        return text if kind == "c" else _padded(text, width, left, zero)

    return _DIRECTIVE.sub(put, form)


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
