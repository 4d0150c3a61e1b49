"""``ets_printf``: the formats that ROM knows, over arguments that come word by word."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from py_esp_ota.silicon.words import signed

_DIRECTIVE = re.compile(r"%(-?)(0?)(\d*)(?:\.(\d+))?(hh|h|ll|l|z)?(.?)", re.DOTALL)


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
        left, zero, width, precision, size, kind = match.groups()
        if kind == "%":
            return "%"
        if kind not in set("sdiuxXcp"):
            return match.group()
        wide = size == "ll" and kind in set("diuxX")
        if wide and taken % 2:
            take()
        value = take() | (take() << 32 if wide else 0)
        return _padded(_spelled(kind, value, 64 if wide else 32, precision, text_at), int(width or 0), left, zero)

    return _DIRECTIVE.sub(put, form)


def _spelled(kind: str, value: int, bits: int, precision: str | None, text_at: Callable[[int], str]) -> str:
    if kind == "s":
        text = text_at(value)
        return text if precision is None else text[: int(precision)]
    if kind == "c":
        return chr(value & 0xFF)
    if kind == "p":
        return f"{value:x}"
    if kind in {"x", "X"}:
        return f"{value:{kind}}"
    return str(signed(value, bits) if kind in {"d", "i"} else value)


def _padded(text: str, width: int, left: str, zero: str) -> str:
    width = min(width, 0x100)  # a width from a damaged string is no reason to fill the memory
    if left:
        return text.ljust(width)
    if zero and text.startswith("-"):
        return "-" + text[1:].rjust(width - 1, "0")
    return text.rjust(width, "0" if zero else " ")
