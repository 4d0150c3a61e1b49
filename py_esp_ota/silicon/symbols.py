"""The names of addresses, out of the ELF files that a firmware was linked into."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py_esp_ota.silicon.report import Trap

_KINDS = frozenset({"STT_FUNC", "STT_NOTYPE", "STT_OBJECT"})


class Symbols:
    """Symbols by address."""

    def __init__(self, files: Iterable[bytes] = ()) -> None:
        """Raises ``ValueError`` for a file that is no ELF, ``ImportError`` without pyelftools."""
        found: dict[int, tuple[str, int]] = {}
        for data in files:
            found.update(_read(data))
        self._addresses = sorted(found)
        self._found = found

    def name(self, address: int) -> str:
        """``function+0x12``; ``""`` for an address that belongs to none."""
        place = bisect_right(self._addresses, address) - 1
        if place < 0:
            return ""
        start = self._addresses[place]
        name, size = self._found[start]
        if address - start >= max(size, 1):
            return ""
        return name if address == start else f"{name}+0x{address - start:x}"

    def of_trap(self, trap: Trap) -> str:
        """A clause that names where a trap happened and who called; ``""`` when neither has a name."""
        at, caller = self.name(trap.pc), self.name(trap.ra)
        return ", ".join(text for text, name in ((f"in {at}", at), (f"called from {caller}", caller)) if name)


def _read(data: bytes) -> dict[int, tuple[str, int]]:
    from elftools.common.exceptions import ELFError  # noqa: PLC0415 (an extra, asked for when it is used)
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415
    from elftools.elf.sections import SymbolTableSection  # noqa: PLC0415

    try:
        table = ELFFile(BytesIO(data)).get_section_by_name(".symtab")
        symbols = list(table.iter_symbols()) if isinstance(table, SymbolTableSection) else []
        return {
            int(symbol["st_value"]): (str(symbol.name), int(symbol["st_size"]))
            for symbol in symbols
            if symbol["st_info"]["type"] in _KINDS and symbol["st_size"] and symbol.name
        }
    # What pyelftools makes of bytes that are no ELF is not only its own error.
    except (ELFError, ValueError, KeyError, IndexError, AssertionError, AttributeError, TypeError, OSError) as error:
        raise ValueError(f"no ELF file with symbols: {error or type(error).__name__}") from error
