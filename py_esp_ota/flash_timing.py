"""How long flash takes: the times of data sheets, and the commands that ESP-IDF's driver makes of an erase or a write.

A part has typical times and, where its sheet was found, maximum ones. The driver decides how many commands there are:
``esp_flash_erase_region`` erases 64 KiB at once where it can, and ``memspi_host_write_data_slicer`` never programs more
than 64 bytes at a time. Times in seconds, sizes in bytes. Time on the bus counts for reads alone, and what the system
does when the driver yields does not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

SECTOR, BLOCK, PAGE = 0x1000, 0x10000, 0x100
#: ``SPI_FLASH_HAL_MAX_WRITE_BYTES``: so much of a page the driver programs with one command.
PIECE = 64

_SECTORS = BLOCK // SECTOR
_MS = 1e-3

#: Where a figure is from. ``sfdp``: the chip's own table, read from chips. ``sheet``: read in the data sheet.
#: ``quoted``: as public code and answers quote the sheet.
Source = Literal["sfdp", "sheet", "quoted"]


class Operation(Protocol):
    """A flash operation as a recording has it: one page programmed, one sector erased."""

    @property
    def kind(self) -> str:
        """``"program"`` or ``"erase"``."""

    @property
    def address(self) -> int:
        """Where, in bytes."""

    @property
    def length(self) -> int:
        """To how many bytes."""


class Counters(Protocol):
    """What a flash has counted since it was made."""

    @property
    def read_bytes(self) -> int:
        """Bytes read."""

    @property
    def program_bytes(self) -> int:
        """Bytes programmed."""

    @property
    def program_pieces(self) -> int:
        """With so many commands."""

    @property
    def erases(self) -> int:
        """Sectors erased."""

    @property
    def block_erases(self) -> int:
        """Blocks that some of them were erased with."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds of each command. ``by_byte``: of a program's first byte and each further one, where a sheet says it."""

    page_program: float
    sector_erase: float
    block32_erase: float | None
    block64_erase: float
    by_byte: tuple[float, float] | None = None

    def program(self, length: int) -> float:
        """One program command of 1 to 64 bytes; where nothing is known of single bytes, their share of the page."""
        return self.programs(1, length)

    def programs(self, commands: int, length: int) -> float:
        """So many program commands of so many bytes together."""
        if self.by_byte is None:
            return self.page_program * length / PAGE
        first, further = self.by_byte
        return first * commands + further * (length - commands)

    def erases(self, sectors: int, blocks: int) -> float:
        """So many sectors erased, of which so many blocks of sixteen with one command each."""
        return self.block64_erase * blocks + self.sector_erase * (sectors - _SECTORS * blocks)


@dataclass(frozen=True, slots=True)
class FlashTiming:
    """One part. ``maximum`` is ``None`` where only typical times were found; ``sheet`` names the document."""

    name: str
    vendor: str
    typical: Times
    maximum: Times | None
    source: Source
    sheet: str
    read_bytes_per_second: float

    def times(self, *, worst: bool = False) -> Times:
        """Typical times; ``worst``: the longest, which are ``PATIENCE`` where no sheet says them."""
        return (self.maximum or PATIENCE) if worst else self.typical

    def durations(self, operations: Sequence[Operation], *, worst: bool = False) -> tuple[float, ...]:
        """Seconds of each operation of a recording; sixteen sectors that were one block erase share its time."""
        times = self.times(worst=worst)
        blocks = _in_blocks(operations)
        return tuple(
            sum(times.program(length) for _, length in program_commands(operation.address, operation.length))
            if operation.kind == "program"
            else times.block64_erase / _SECTORS
            if number in blocks
            else times.sector_erase
            for number, operation in enumerate(operations)
        )

    def between(self, before: Counters, now: Counters) -> float:
        """Typical seconds of what a flash counted between two moments."""
        written = now.program_pieces - before.program_pieces, now.program_bytes - before.program_bytes
        erased = now.erases - before.erases, now.block_erases - before.block_erases
        read = (now.read_bytes - before.read_bytes) / self.read_bytes_per_second
        return read + self.typical.programs(*written) + self.typical.erases(*erased)

    def seconds(
        self,
        *,
        reads: int = 0,
        programs: Iterable[tuple[int, int]] = (),
        erases: Iterable[tuple[int, int]] = (),
        worst: bool = False,
    ) -> float:
        """Seconds of so many bytes read, and of calls of ``esp_flash_write`` and ``esp_flash_erase_region``.

        ``programs`` and ``erases`` are (address, length) of each call.
        """
        times = self.times(worst=worst)
        written = sum(times.program(size) for call in programs for _, size in program_commands(*call))
        commands = (size for call in erases for _, size in erase_commands(*call))
        erased = sum(times.block64_erase if size == BLOCK else times.sector_erase for size in commands)
        return reads / self.read_bytes_per_second + written + erased


def erase_commands(address: int, length: int) -> Iterator[tuple[int, int]]:
    """Which (address, length) ``esp_flash_erase_region`` erases in turn: blocks where it can, or sectors."""
    end = address + length
    while address < end:
        size = BLOCK if address % BLOCK == 0 and end - address >= BLOCK else SECTOR
        yield address, size
        address += size


def program_commands(address: int, length: int) -> Iterator[tuple[int, int]]:
    """Which (address, length) ``spi_flash_chip_generic_write`` programs: 64 bytes, none across a page."""
    end = address + length
    while address < end:
        size = min(PIECE, end - address, PAGE - address % PAGE)
        yield address, size
        address += size


def bus_bytes_per_second(lines: int, megahertz: int, burst: int = 32) -> float:
    """What a bus reads at best through the cache: a line of it costs command, address, dummy clocks and data.

    ``lines`` carry address and data (2 for DIO, 4 for QIO), one the command. What hashes the bytes is not counted.
    """
    command, address, dummy = 8, 32 // lines, 4
    return burst * megahertz * 1e6 / (command + address + dummy + burst * 8 // lines)


def _in_blocks(operations: Sequence[Operation]) -> frozenset[int]:
    """Which operations are sectors of a block erase: sixteen in order, from where a block begins."""
    found: set[int] = set()
    number = 0
    while number < len(operations):
        run = operations[number : number + _SECTORS]
        first = run[0].address
        whole = len(run) == _SECTORS and first % BLOCK == 0
        if whole and all(op.kind == "erase" and op.address == first + at * SECTOR for at, op in enumerate(run)):
            found.update(range(number, number + _SECTORS))
            number += _SECTORS
        else:
            number += 1
    return frozenset(found)


def _ms(
    page: float, sector: float, block32: float | None, block64: float, *, by_byte: tuple[float, float] | None = None
) -> Times:
    """Times from milliseconds, and the microseconds of a first and of each further byte of a program."""
    short = by_byte and (by_byte[0] * 1e-6, by_byte[1] * 1e-6)
    return Times(page * _MS, sector * _MS, block32 and block32 * _MS, block64 * _MS, short)


#: What the driver waits for before it answers ESP_ERR_TIMEOUT (``spi_flash_chip_generic_timeout``): no operation that
#: succeeds takes longer. Upstream took the erases from the GD25Q127 at 125 °C, and added 100 ms.
PATIENCE = _ms(500, 600, None, 4100)

_WINBOND = _ms(0.4, 45, 120, 150, by_byte=(30, 2.5)), _ms(3, 400, 1600, 2000, by_byte=(50, 12))
#: DIO at 80 MHz, the default of ``CONFIG_ESPTOOLPY_FLASHMODE`` and of most chips' ``CONFIG_ESPTOOLPY_FLASHFREQ``.
_DIO_80M = bus_bytes_per_second(2, 80)

_PARTS: tuple[tuple[str, str, Times, Times | None, Source, str], ...] = (
    ("W25Q32JV", "Winbond", *_WINBOND, "quoted", "W25Q32JV revision G, AC electrical characteristics"),
    ("W25Q64JV", "Winbond", *_WINBOND, "quoted", "W25Q64JV, AC electrical characteristics"),
    ("W25Q128JV", "Winbond", *_WINBOND, "quoted", "W25Q128JV revision F, AC electrical characteristics"),
    # What three ESP32-C3 say of the 4 MB in their package: JEDEC id 0x464016, words 10 and 11 of the basic table.
    (
        "ESP32-C3FH4",
        "XMC",
        _ms(0.256, 32, 112, 160, by_byte=(15, 3)),
        _ms(2.56, 384, 1344, 1920, by_byte=(150, 30)),
        "sfdp",
        "JESD216 table of the chip, revision 1.6",
    ),
    ("GD25Q32C", "GigaDevice", _ms(0.6, 50, 150, 250), None, "quoted", "GD25Q32C, features"),
    ("GD25Q128E", "GigaDevice", _ms(0.5, 45, 150, 250), None, "quoted", "GD25Q128E, features"),
    ("XM25QH128A", "XMC", _ms(0.5, 40, 200, 300), None, "sheet", "XM25QH128A preliminary, features"),
    ("BY25Q32BS", "Boya", _ms(0.6, 50, 150, 250), None, "sheet", "BY25Q32BS revision 0.3, features"),
    ("BY25Q64AS", "Boya", _ms(0.6, 50, 150, 250), None, "sheet", "BY25Q64AS, features"),
    ("BY25Q128AS", "Boya", _ms(0.6, 50, 150, 250), None, "sheet", "BY25Q128AS revision 1.8, features"),
    ("ZB25VQ32", "Zbit", _ms(0.5, 45, None, 250), None, "quoted", "ZB25VQ32, features"),
    ("EN25QH256", "Eon", _ms(0.8, 50, None, 400), None, "sheet", "EN25QH256, features"),
    (
        "MX25R8035F",
        "Macronix",
        _ms(0.896, 48, 240, 480, by_byte=(32, 1)),
        _ms(5.376, 384, 1920, 3840, by_byte=(192, 6)),
        "sfdp",
        "JESD216 table of the chip, revision 1.6",
    ),
)

#: Every part by its name.
FLASH_TIMINGS: dict[str, FlashTiming] = {
    name: FlashTiming(name, vendor, typical, maximum, source, sheet, _DIO_80M)
    for name, vendor, typical, maximum, source, sheet in _PARTS
}
#: A part with every figure known.
DEFAULT = FLASH_TIMINGS["W25Q32JV"]


def flash_timing(name: str) -> FlashTiming:
    """The part of that name, upper or lower case. Raises ``ValueError`` for one that is not known."""
    found = FLASH_TIMINGS.get(name.upper())
    if found is None:
        raise ValueError(f"no times are known of flash {name}; of {', '.join(FLASH_TIMINGS)} they are")
    return found
