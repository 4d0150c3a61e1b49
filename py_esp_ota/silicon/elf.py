"""ELF files of RISC-V code: what lies where, and the names of places."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from io import BytesIO

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

_RISCV = "EM_RISCV"
_32_BITS = 32
MAGIC = b"\x7fELF"


class Symbols:
    """Names of addresses, functions and objects alike."""

    def __init__(self, names: dict[str, int]) -> None:
        self._names = names
        self._places = sorted((address, name) for name, address in names.items())

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def address_of(self, name: str) -> int:
        """Where ``name`` lies. Raises ``KeyError`` when it does not."""
        return self._names[name]

    def name_of(self, address: int) -> str:
        """The symbol at or before ``address``, and how far: ``main+0x1c``; empty when none is before."""
        index = bisect_right(self._places, (address, "\U0010ffff")) - 1
        if index < 0:
            return ""
        start, name = self._places[index]
        return name if start == address else f"{name}+0x{address - start:x}"


@dataclass(frozen=True, slots=True, eq=False)
class Elf:
    """One file. ``sections`` are the ones with bytes, by address."""

    entry: int
    sections: tuple[tuple[int, bytes], ...]
    symbols: Symbols


def read_elf(data: bytes) -> Elf:
    """Take an ELF file apart. Raises ``ValueError`` for what is none, or is for another CPU."""
    try:
        file = ELFFile(BytesIO(data))
        machine, bits = file["e_machine"], file.elfclass
        sections = tuple(
            (section["sh_addr"], section.data())
            for section in file.iter_sections()
            if section["sh_type"] == "SHT_PROGBITS" and section["sh_addr"] and section["sh_size"]
        )
        names = {
            symbol.name: symbol["st_value"]
            for table in file.iter_sections()
            if isinstance(table, SymbolTableSection)
            for symbol in table.iter_symbols()
            if symbol.name
            and symbol["st_value"]
            and symbol["st_info"]["type"] in {"STT_FUNC", "STT_OBJECT", "STT_NOTYPE"}
        }
        entry = file["e_entry"]
    except (ELFError, ValueError, KeyError, AttributeError, UnicodeDecodeError, OverflowError) as error:
        raise ValueError(f"no ELF file that can be read: {error}") from error
    if machine != _RISCV or bits != _32_BITS:
        raise ValueError(f"this ELF file is for {machine} with {bits} bits; the chips here are 32-bit RISC-V")
    return Elf(entry, sections, Symbols(names))
