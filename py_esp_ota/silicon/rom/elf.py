"""What lies where in an ELF file of RISC-V or Xtensa code, and under which names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from py_esp_ota.function_names import FunctionNames
from py_esp_ota.silicon.words import word, words

MAGIC = b"\x7fELF"
_CPUS = {243: "EM_RISCV", 94: "EM_XTENSA"}
_HEADER, _32_BITS, _LITTLE = 52, 1, 1
_PROGBITS, _SYMTAB = 1, 2
_SECTION, _SYMBOL = 40, 16
_NO_TYPE, _FUNCTION, _ABSOLUTE = 0, 2, 0xFFF1


@dataclass(frozen=True, slots=True, eq=False)
class Elf:
    """One file: its sections that have bytes, by address, its symbols, and the CPU by ELF's name of it."""

    cpu: str
    sections: tuple[tuple[int, bytes], ...]
    symbols: Mapping[str, int]
    names: FunctionNames


@dataclass(frozen=True, slots=True)
class _Symbol:
    name: str
    value: int
    size: int
    kind: int
    section: int


def read_elf(data: bytes) -> Elf:
    """Take an ELF file apart. Raises ``ValueError`` for what is none, or is for another CPU."""
    if not data.startswith(MAGIC) or len(data) < _HEADER:
        raise ValueError("no ELF file that can be read: it ends in its header")
    machine = word(data[18:20])
    if machine not in _CPUS or (data[4], data[5]) != (_32_BITS, _LITTLE):
        what = _CPUS.get(machine, f"machine {machine}")
        raise ValueError(f"this ELF file is for {what} of class {data[4]}; the chips are 32-bit RISC-V and Xtensa")
    headers = _sections(data)
    parts = tuple((at, _part(data, header)) for header in headers if (at := header[3]) and header[1] == _PROGBITS)
    symbols = [symbol for header in headers if header[1] == _SYMTAB for symbol in _symbols(data, headers, header)]
    return Elf(
        _CPUS[machine],
        tuple(part for part in parts if part[1]),
        {symbol.name: symbol.value for symbol in symbols if symbol.value},
        FunctionNames.of(
            (symbol.value, symbol.name, symbol.size)
            for symbol in symbols
            if symbol.kind in {_NO_TYPE, _FUNCTION} and symbol.section != _ABSOLUTE
        ),
    )


def _sections(data: bytes) -> list[tuple[int, ...]]:
    """The headers of all sections: name, type, flags, address, offset, size, link and three more."""
    start, size, count = word(data, 32), word(data[46:48]), word(data[48:50])
    if count and (size != _SECTION or start + size * count > len(data)):
        raise ValueError("no ELF file that can be read: its sections are not all in it")
    return [words(data[start + size * index : start + size * (index + 1)]) for index in range(count)]


def _part(data: bytes, header: tuple[int, ...]) -> bytes:
    """The bytes of a section."""
    offset, size = header[4:6]
    if offset + size > len(data):
        raise ValueError("no ELF file that can be read: it ends in a section")
    return data[offset : offset + size]


def _symbols(data: bytes, headers: list[tuple[int, ...]], header: tuple[int, ...]) -> Iterator[_Symbol]:
    """Those with a name. The names are in the section that ``header`` links to."""
    if header[6] >= len(headers):
        raise ValueError("no ELF file that can be read: its symbols have no names")
    table, texts = words(_part(data, header)), _part(data, headers[header[6]])
    for index in range(0, len(table) - 3, _SYMBOL // 4):
        at, value, size, rest = table[index : index + 4]
        name = texts[at : max(texts.find(b"\0", at), at)].decode("utf-8", "replace")
        if name:
            yield _Symbol(name, value, size, rest & 0xF, rest >> 16)
