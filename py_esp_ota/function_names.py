"""Which function of a program holds an address, whoever read the program's symbol table."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

#: Assembly gives its labels no size.
_UNSIZED = 0x40


@dataclass(frozen=True, slots=True)
class FunctionNames:
    """The functions of a program by address, and the bytes of each."""

    starts: tuple[int, ...] = ()
    names: tuple[tuple[str, int], ...] = ()

    @classmethod
    def of(cls, found: Iterable[tuple[int, str, int]]) -> Self:
        """Address, name and size of functions and labels, without those that only an assembler or compiler named."""
        named = sorted(symbol for symbol in found if symbol[1] and not symbol[1].startswith(("$", ".L")))
        return cls(tuple(start for start, _, _ in named), tuple((name, size) for _, name, size in named))

    def at(self, address: int) -> str:
        """``function+0x12`` for an address inside of one, ``""`` for one outside of all."""
        index = bisect_right(self.starts, address) - 1
        if index < 0:
            return ""
        (name, size), offset = self.names[index], address - self.starts[index]
        if offset >= max(size, _UNSIZED):
            return ""
        return f"{name}+0x{offset:x}" if offset else name
