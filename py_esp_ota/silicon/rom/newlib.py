"""Functions of ROM's C library that call the app back, by the table of functions that it gave ROM.

(``struct syscall_stub_table``, ``components/esp_rom/<chip>/include/<chip>/rom/libc_stubs.h``.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from py_esp_ota.silicon.rom.functions import Calls, Function, text_at
from py_esp_ota.silicon.words import word

#: Places in that table, in words.
_GETREENT, _MALLOC_R, _FSTAT_R = 0, 1, 14
#: A place for a ``struct stat`` behind ``esp_rom_spiflash_chip_t``, and what of its mode says "a terminal".
_STAT, _MODE = 0x20, 4
_KIND, _CHARACTERS = 0xF000, 0x2000


def _of_app(cpu: Calls, index: int) -> int:
    """A function of the app's."""
    table = word(cpu.load(cpu.soc.syscall_table, 4))
    if not table:
        raise ValueError("it needs the C library of an app, and none runs")
    return word(cpu.load(table + 4 * index, 4))


def isatty(cpu: Calls) -> Iterator[tuple[int, ...]]:
    """``_isatty_r``: reent, file descriptor."""
    stat = cpu.soc.legacy_struct + _STAT
    yield _of_app(cpu, _FSTAT_R), cpu.arg(0), cpu.arg(1), stat
    failed = cpu.arg(0) >> 31
    cpu.wide_result(int(not failed and word(cpu.load(stat + _MODE, 4)) & _KIND == _CHARACTERS))


def _copied(cpu: Calls, text: bytes) -> Iterator[tuple[int, ...]]:
    yield (_of_app(cpu, _GETREENT),)
    yield _of_app(cpu, _MALLOC_R), cpu.arg(0), len(text) + 1
    to = cpu.arg(0)
    if to:
        cpu.store(to, text + b"\0")
    cpu.wide_result(to)


def strdup(cpu: Calls) -> Iterator[tuple[int, ...]]:
    """``strdup``."""
    yield from _copied(cpu, text_at(cpu, cpu.arg(0)))


def strndup(cpu: Calls) -> Iterator[tuple[int, ...]]:
    """``strndup``."""
    longest = cpu.arg(1)
    yield from _copied(cpu, text_at(cpu, cpu.arg(0), longest=longest)[:longest])


NEWLIB: Mapping[str, Function] = {"_isatty_r": isatty, "strdup": strdup, "strndup": strndup}
