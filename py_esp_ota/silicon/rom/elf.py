"""What lies where in an ELF file of RISC-V code, and under which names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

_RISCV = "EM_RISCV"
_32_BITS = 32


@dataclass(frozen=True, slots=True, eq=False)
class Elf:
    """One file: its sections that have bytes, by address, and its symbols."""

    sections: tuple[tuple[int, bytes], ...]
    symbols: Mapping[str, int]


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
        symbols = {
            str(symbol.name): int(symbol["st_value"])
            for table in file.iter_sections()
            if isinstance(table, SymbolTableSection)
            for symbol in table.iter_symbols()
            if symbol.name and symbol["st_value"]
        }
    # What pyelftools makes of bytes that are no ELF is not only its own error.
    except (ELFError, ValueError, KeyError, IndexError, AssertionError, AttributeError, TypeError, OSError) as error:
        raise ValueError(f"no ELF file that can be read: {error or type(error).__name__}") from error
    if machine != _RISCV or bits != _32_BITS:
        raise ValueError(f"this ELF file is for {machine} with {bits} bits; the chips here are 32-bit RISC-V")
    return Elf(sections, symbols)
