"""A flash as a picture: bars and cells with places and sizes, from a ``FlashLook``. No I/O.

Lengths are those of the drawing: a cell is ``CELL`` wide and high, a row has ``ROW`` of them, and the strip over all is
``WIDTH`` wide. The page scales it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from py_esp_ota.cloud.virtual_nodes import FlashLook, Region

SECTOR = 4096
CELL = 10
ROW = 64
WIDTH = ROW * CELL
SLIVER = 4.0
"""What a region is at least wide in the strip: a sector of 16 MiB would be a sixth of a unit."""
SMALL = ROW // 4
"""Sectors up to which a region shares its line with three others."""
WORN = 8
"""Erases from which on a sector is drawn as much worn as can be."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A region in the strip over the whole flash."""

    region: Region
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in a region's picture."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Run:
    """Sectors in a row that look alike: one title, and a box for each line that they stand in."""

    fill: int  # 0 erased, 1 a little written, 2 half, 3 written: machine code has some bytes 0xFF of its own
    worn: int  # 0 never erased, 1 once, 2 a few times, 3 often
    title: str
    boxes: Sequence[Box]


@dataclass(frozen=True, slots=True)
class Picture:
    """A region's cells, and what a table says of them."""

    region: Region
    width: int
    height: int
    runs: Sequence[Run]
    rows: Sequence[Box]  # the ground that all cells stand on
    written: int  # sectors that are not erased
    sectors: int
    erases: int | None  # in all; ``None`` when nobody counted
    most: int  # of one sector

    @property
    def small(self) -> bool:
        """Whether it needs no line of its own."""
        return self.sectors <= SMALL

    @property
    def name(self) -> str:
        """Its label; of what stands in no table, a word of ours."""
        return self.region.label or "free"

    @property
    def words(self) -> str:
        """The picture for those who cannot see it."""
        said = f"{self.name}: {_of(self.sectors, 'sector')}, {self.written} written"
        return said if self.erases is None else f"{said}, {_of(self.erases, 'erase')}"


def strip(look: FlashLook) -> list[Piece]:
    """The regions side by side, by their sizes; the small ones take a sliver from the large."""
    total = sum(region.size for region in look.regions) or 1
    fair = [WIDTH * region.size / total for region in look.regions]
    slivers = sum(SLIVER for width in fair if width < SLIVER)
    rest = sum(width for width in fair if width >= SLIVER) or 1.0
    pieces, x = [], 0.0
    for region, width in zip(look.regions, fair, strict=True):
        wide = SLIVER if width < SLIVER else width * (WIDTH - slivers) / rest
        pieces.append(Piece(region, round(x, 2), round(wide, 2)))
        x += wide
    return pieces


def picture(region: Region) -> Picture:
    """A region, sector by sector."""
    count = len(region.fill)
    erases = list(region.erases)
    pairs = [((fill + 2) // 3, erases[n] if n < len(erases) else 0) for n, fill in enumerate(region.fill)]
    runs, start = [], 0
    for (fill, times), alike in groupby(pairs):
        length = len(list(alike))
        title = f"{_where(region, start, length)}: {_FILL[fill]}{_erased(times) if erases else ''}"
        runs.append(Run(fill, _worn(times), title, list(_boxes(start, length))))
        start += length
    return Picture(
        region=region,
        width=WIDTH // 4 if count <= SMALL else WIDTH,
        height=-(-count // ROW) * CELL,
        runs=runs,
        rows=list(_boxes(0, count)),
        written=sum(1 for fill in region.fill if fill),
        sectors=count,
        erases=sum(erases) if erases else None,
        most=max(erases, default=0),
    )


def _boxes(start: int, length: int) -> Iterator[Box]:
    """The lines that a run of cells covers: the rest of its first, whole ones as one box, the beginning of its last."""
    end = start + length
    while start < end:
        row, column = divmod(start, ROW)
        whole = (end - start) // ROW if column == 0 else 0
        cells = whole * ROW if whole else min(ROW - column, end - start)
        yield Box(column * CELL, row * CELL, (ROW if whole else cells) * CELL, max(whole, 1) * CELL)
        start += cells


def _where(region: Region, start: int, length: int) -> str:
    first = region.offset + start * SECTOR
    return f"0x{first:06x}" if length == 1 else f"0x{first:06x} to 0x{first + length * SECTOR:06x}"


_FILL = ("empty", "a little written", "half written", "written")


def _erased(times: int) -> str:
    return {0: ", not erased yet", 1: ", erased once"}.get(times, f", erased {times} times")


def _worn(times: int) -> int:
    return times if times < 2 else 2 if times < WORN else 3


def _of(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
