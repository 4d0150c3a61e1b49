"""A chip's real ROM, as a user may have it: its machine code instead of our tables, where that can run.

Functions that touch what is not here (flash, cache, hashing hardware, console, clocks, reset) stay with the table;
everything else of ROM runs as it is, the functions that the table does not know among it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from py_esp_ota.function_names import FunctionNames
from py_esp_ota.silicon.chips.soc import Core, Soc
from py_esp_ota.silicon.rom.elf import MAGIC, Elf, read_elf
from py_esp_ota.silicon.words import words

#: Functions of the table that only compute: with a real ROM its own code runs.
PURE = frozenset({
    "memset", "memcpy", "memcmp", "crc32_le", "__udivdi3",
    "MD5Init", "MD5Update", "MD5Final",
    "mbedtls_md5_starts_ret", "mbedtls_md5_update_ret", "mbedtls_md5_finish_ret",
})  # fmt: skip
#: Functions of the table whose own code finds here all that it touches.
AT_HOME = frozenset({
    "wdt_hal_init", "wdt_hal_config_stage", "wdt_hal_write_protect_disable", "wdt_hal_write_protect_enable",
    "wdt_hal_enable", "wdt_hal_disable", "wdt_hal_feed", "wdt_hal_set_flashboot_en",
    "wdt_hal_is_enabled", "ets_install_putc1", "ets_install_putc2", "GetUartDevice", "uart_tx_switch",
    "set_rtc_memory_crc", "esp_rom_set_rtc_wake_addr", "esp_rom_newlib_init_common_mutexes", "esp_coex_rom_version_get",
})  # fmt: skip
_CPU_OF: Mapping[Core, str] = {"riscv": "EM_RISCV", "lx6": "EM_XTENSA", "lx7": "EM_XTENSA"}
#: Begin and end of the table of what an Xtensa ROM copies, by the names of its ELF file.
_COPIED = ("_rom_store_table", "_bss_table_start")
_ENTRY = 16
#: What the ld scripts call a ROM function, its ELF calls the jump to it so.
_JUMP = "__call_"


@dataclass(frozen=True, slots=True, eq=False)
class RomImage:
    """One ROM. ``parts`` are bytes by address: ROM itself, its data, and its variables as they begin."""

    parts: tuple[tuple[int, bytes], ...]
    symbols: FunctionNames


def rom_image(data: bytes, soc: Soc) -> RomImage:
    """The ROM of ``soc`` from an ELF file, or from the bytes as they lie from ROM's first address on.

    Only an ELF file brings variables and names. Raises ``ValueError`` for what is no ROM of this chip.
    """
    base = soc.rom.windows[0][0]
    if data.startswith(MAGIC):
        elf = _read(data)
        if elf.cpu != _CPU_OF[soc.core]:
            raise ValueError(f"this is no ROM of the {soc.name}: it is code for another CPU, {elf.cpu}")
        _must_fit(elf.symbols, soc)
        all_parts = (*elf.sections, *_initial_data(elf))
        return RomImage(tuple(part for part in all_parts if _is_ours(soc, *part)), elf.names)
    if soc.rom_start is not None:
        raise ValueError(f"the ROM of the {soc.name} is taken as an ELF file only, which brings its variables")
    if not data or len(data) > soc.rom.size:
        raise ValueError(f"a ROM image of {len(data)} bytes; the {soc.name} has a ROM of {soc.rom.size}")
    parts = [(base, data)]
    if soc.rom_data is not None:
        parts.append((soc.rom_data.base, data[soc.rom_data.offset :]))
    return RomImage(tuple(parts), FunctionNames())


@lru_cache(maxsize=4)
def _read(data: bytes) -> Elf:
    """A ROM has thousands of symbols, and all machines of a chip have the same ROM."""
    return read_elf(data)


def _must_fit(symbols: Mapping[str, int], soc: Soc) -> None:
    for name, address in soc.rom_marks.items():
        if symbols.get(name) != address:
            raise ValueError(f"this is no ROM of the {soc.name}: the chip's own has {name} at 0x{address:08x}")
    for address, name in soc.rom_functions.items():
        found = next((symbols[known] for known in (_JUMP + name, name) if known in symbols), address)
        if found != address:
            raise ValueError(
                f"this is no ROM of the {soc.name}: {name} is at 0x{found:08x}, where the chip's own has it at"
                f" 0x{address:08x}"
            )


def _initial_data(elf: Elf) -> Iterator[tuple[int, bytes]]:
    """ROM's variables where ROM copies them from when it begins: its ELF file has them only where they are copied to.

    The table says for each group: from, up to, and where it is copied from.
    """
    if not elf.symbols.keys() >= {*_COPIED}:
        return
    begin, end = (elf.symbols[name] for name in _COPIED)
    table = next((data[begin - at : end - at] for at, data in elf.sections if at <= begin < at + len(data)), b"")
    for entry in range(0, len(table) - _ENTRY + 1, _ENTRY):
        first, last, source, _unused = words(table[entry : entry + _ENTRY])
        for at, data in elf.sections:
            if at <= first < last <= at + len(data):
                yield source, data[first - at : last - at]


def _is_ours(soc: Soc, address: int, data: bytes) -> bool:
    spans = [(base, memory.size) for memory in (*soc.ram, soc.rom) for base, _access in memory.windows]
    if soc.rom_data is not None:
        spans.append((soc.rom_data.base, soc.rom_data.size))
    return any(base <= address and address + len(data) <= base + size for base, size in spans)
