"""The reader of ROMs: what another one finds, on every ROM; and files that are damaged."""

from __future__ import annotations

import random
from io import BytesIO

import pytest
from elftools.elf.elffile import ELFFile
from real_roms import OTHER_ROMS, ROMS, XTENSA_ROMS, real_rom

from py_esp_ota.elf import Symbols
from py_esp_ota.silicon.rom.elf import read_elf


@pytest.mark.parametrize("name", [*ROMS, *OTHER_ROMS, *XTENSA_ROMS])
def test_it_finds_what_pyelftools_finds(name):
    data = real_rom(name)
    ours, theirs = read_elf(data), ELFFile(BytesIO(data))
    assert ours.cpu == theirs["e_machine"]
    assert ours.sections == tuple(
        (section["sh_addr"], section.data())
        for section in theirs.iter_sections()
        if section["sh_type"] == "SHT_PROGBITS" and section["sh_addr"] and section["sh_size"]
    )
    table = theirs.get_section_by_name(".symtab")
    assert ours.symbols == {
        symbol.name: symbol["st_value"] for symbol in table.iter_symbols() if symbol.name and symbol["st_value"]
    }
    if ours.cpu == "EM_RISCV":
        symbols = Symbols.from_elf(data)
        assert (ours.names.starts, ours.names.names) == (symbols.starts, symbols.names)
        for address in (0x40000000, 0x40000041, 0x40010002, 0x3FCDFFF0, 0xFFFFFFFF, 0):
            assert ours.names.at(address) == symbols.at(address)


def test_damaged_ones_are_refused_in_a_sentence_or_read():
    good, ends = real_rom("esp32h2"), set()
    for seed in range(200):
        rng = random.Random(seed)
        data = bytearray(good)
        for _ in range(rng.choice([1, 4, 40])):
            at = rng.choice([rng.randrange(64), rng.randrange(len(data)), len(data) - 1 - rng.randrange(2000)])
            data[at] = rng.randrange(256)
        if seed % 3 == 0:
            data = data[: rng.randrange(len(data))]
        try:
            read_elf(bytes(data))
            ends.add("read")
        except ValueError as error:
            ends.add(str(error).split(":")[0].split(" for ")[0])
    assert ends == {"read", "no ELF file that can be read", "this ELF file is"}
