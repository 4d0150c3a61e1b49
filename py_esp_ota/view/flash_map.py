"""The flash of a device, partition by partition: how full, and what it means."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from rich.table import Table
from rich.text import Text

from py_esp_ota._core import AppDesc, Flash, Partition, PartitionTable, active_otadata, read_otadata
from py_esp_ota.errors import FlashError, ImageError
from py_esp_ota.idf.rollback import OtaImgState
from py_esp_ota.view.visible import visible

_SECTOR = 4096
_WIDTH = 32


@dataclass(frozen=True)
class MapRow:
    """One partition: the share of each bar cell that is not erased (0 to 1), and a note."""

    partition: Partition
    fill: tuple[float, ...]
    note: str


def flash_rows(flash: Flash, table: PartitionTable) -> list[MapRow]:
    """Every partition of ``table`` as it stands in ``flash``."""
    return [MapRow(row, _fill(flash, row), _note(flash, row)) for row in table]


def flash_map(flash: Flash, table: PartitionTable, *, running: Partition | None, title: str) -> Table:
    """A rich table of ``flash_rows``; the running partition carries an arrow."""
    heading = Text(visible(title), style="table.title")
    picture = Table(title=heading, title_justify="left", box=None, pad_edge=False)
    for header in ("", "Partition", "Offset", "Size", "Written", ""):
        picture.add_column(header, no_wrap=True)
    for row in flash_rows(flash, table):
        part = row.partition
        here = running is not None and part.offset == running.offset
        bar = "".join(_shade(cell) for cell in row.fill)
        style = "bold green" if here else ""
        picture.add_row(
            Text("▶" if here else "", style=style),
            Text(visible(part.label), style=style),
            f"0x{part.offset:06x}",
            _size(part.size),
            Text(bar, style="green" if here else "cyan"),
            Text(visible(row.note), style=style),
        )
    return picture


def _fill(flash: Flash, row: Partition) -> tuple[float, ...]:
    sectors = max(1, row.size // _SECTOR)
    cells = min(_WIDTH, sectors)
    edges = [sectors * cell // cells for cell in range(cells + 1)]
    return tuple(
        sum(not flash.is_erased(row.offset + sector * _SECTOR, _SECTOR) for sector in range(low, high)) / (high - low)
        for low, high in pairwise(edges)
    )


def _shade(share: float) -> str:
    return "·░▒▓█"[min(4, int(share * 4 + 0.999))]


def _size(size: int) -> str:
    return f"{size / (1 << 20):.2f} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"


def _note(flash: Flash, row: Partition) -> str:
    if row.type == 0:
        try:
            desc = AppDesc.from_bytes(row.read(flash, 0x20, 256))
        except (ImageError, FlashError):
            return ""
        return f"{desc.project_name} {desc.version}"
    if (row.type, row.subtype) == (1, 0):
        return otadata_note(flash, row)
    return ""


def otadata_note(flash: Flash, otadata: Partition) -> str:
    """Both entries in short, the active one starred: ``[0]* seq 1 VALID  [1] blank``."""
    entries = read_otadata(flash, otadata.offset)
    active = active_otadata(*entries)
    notes = []
    for index, entry in enumerate(entries):
        if entry.ota_seq == 0xFFFFFFFF:
            text = "blank"
        else:
            states = {int(state): state.name for state in OtaImgState}
            text = f"seq {entry.ota_seq} {states.get(entry.ota_state, hex(entry.ota_state))}"
            text += "" if entry.crc_ok else " bad CRC"
        notes.append(f"[{index}]{'*' if index == active else ''} {text}")
    return "  ".join(notes)
