"""A flash opened up: what lies where, what each image is, and which one the bootloader would take now.

Everything is read from a copy, so that a look changes nothing and needs no power. No bytes make it fail: what cannot be
read is a sentence in ``trouble``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from py_esp_ota._core import (
    BootTable,
    EFuse,
    Flash,
    ImageInfo,
    Partition,
    PartitionTable,
    Target,
    inspect_image,
    read_otadata,
    sha256,
    verify_partition_table,
)
from py_esp_ota.chip import Chip
from py_esp_ota.cloud.boards import TableRow
from py_esp_ota.cloud.virtual_nodes import Boot, FlashLook, NvsItem, OtadataEntry, Region, Slot
from py_esp_ota.errors import EspErr, PartitionTableError
from py_esp_ota.idf.bootloader.start import BootReport, boot
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.virtual_nodes.nvs_look import nvs_items
from py_esp_ota.virtual_nodes.otadata_look import otadata_entries

Kind = Literal["bootloader", "table", "otadata", "nvs", "app", "data", "free"]

SECTOR = 0x1000
_TABLE_LENGTH, _ROW = 0xC00, 32
_END = b"\xff" * _ROW  # what ends a table
_OTADATA_SIZE = 2 * SECTOR
_APP, _DATA, _OTA, _NVS = 0x00, 0x01, 0x00, 0x02
_KINDS: Mapping[tuple[int, int | None], Kind] = {
    (_APP, None): "app",
    (_DATA, _OTA): "otadata",
    (_DATA, _NVS): "nvs",
    (0x02, None): "bootloader",
    (0x03, None): "table",
}
_TAIL = b"\xff" * 32  # of an image whose own last bytes are 0xFF


@dataclass(frozen=True, slots=True)
class Wear:
    """What was done to a flash since somebody began to count."""

    operations: int
    erases: Sequence[int]  # of each sector


@dataclass(frozen=True, slots=True)
class _Place:
    """Where something lies, and nothing else."""

    label: str
    kind: Kind
    start: int
    end: int
    row: Partition | None = None


@dataclass
class _Opened:
    """A copy with power, and what has been found in it so far."""

    flash: Flash
    rows: Sequence[Partition]
    fill: bytes
    trouble: list[str]
    images: dict[int, ImageInfo] = field(default_factory=dict)  # by address

    def image(self, start: int, size: int) -> ImageInfo | None:
        """What is known of the image there; ``None`` where everything is erased."""
        if not any(self.sectors(start, start + size)):
            return None
        if start not in self.images:
            self.images[start] = inspect_image(self.flash.read(start, size).rstrip(b"\xff") + _TAIL)
        return self.images[start]

    def sectors(self, start: int, end: int) -> bytes:
        """How full the sectors are between two addresses."""
        return self.fill[start // SECTOR : -(-end // SECTOR)]


def look(
    flash: Flash,
    target: Target | None,
    config: Sdkconfig,
    *,
    efuse: EFuse | None = None,
    runs: str = "",
    wear: Wear | None = None,
    now: Boot | None = None,
    trouble: Sequence[str] = (),
) -> FlashLook:
    """Open a flash up.

    Args:
        flash: with power or without.
        target: the chip; unknown when ``None``, and then no bootloader can be asked.
        config: how its bootloader was built.
        efuse: the chip's; those of a new one when not given.
        runs: the label of the partition whose app runs.
        wear: what was done to it; nobody knows when not given.
        now: its latest boot; that which would come next when not given.
        trouble: what is known to be wrong already.
    """
    copy = _with_power(flash)
    opened = _Opened(copy, [], copy.fill(), list(trouble))
    opened.rows = _table(opened, config.partition_table_offset)
    report = None if target is None else _next_boot(copy, target, config, efuse)
    places = list(_places(opened, target, config.partition_table_offset))
    names = _otadata(opened, places)
    items = list(_nvs(opened, places))
    slots = [_slot(opened, place, names, runs, report) for place in places if place.kind == "app" and place.row]
    return FlashLook(
        chip="" if target is None else target.name,
        size=flash.size,
        operations=None if wear is None else wear.operations,
        regions=[_region(opened, place, slots, names, len(items), wear) for place in places],
        otadata=names,
        slots=slots,
        nvs=items,
        trouble=opened.trouble,
        boot=now or (None if report is None else Boot(number=1, why=report.why, console=report.console)),
        table=[table_row(row) for row in opened.rows],
        bootloader_idf=_bootloader_release(opened, places),
    )


def table_row(row: Partition) -> TableRow:
    """A row as the cloud keeps it."""
    return TableRow(
        label=row.label,
        type=row.type,
        subtype=row.subtype,
        offset=row.offset,
        size=row.size,
        encrypted=row.encrypted,
        readonly=row.readonly,
    )


def _bootloader_release(opened: _Opened, places: Sequence[_Place]) -> str:
    place = next((place for place in places if place.kind == "bootloader"), None)
    info = None if place is None else opened.image(place.start, place.end - place.start)
    return info.bootloader_desc.idf_ver if info is not None and info.bootloader_desc else ""


def _with_power(flash: Flash) -> Flash:
    copy = flash.fork()
    copy.fault = ""
    copy.power_on()
    return copy


def _next_boot(flash: Flash, target: Target, config: Sdkconfig, efuse: EFuse | None) -> BootReport:
    return boot(Chip(target.name, flash=flash.fork(), efuse=efuse.copy() if efuse else None), config)


# --------------------------------------------------------------------------------------------------------------- places


def _table(opened: _Opened, offset: int) -> Sequence[Partition]:
    """The rows as the bootloader walks them."""
    flash = opened.flash
    if offset + _TABLE_LENGTH > flash.size:
        opened.trouble.append(f"The flash ends before its partition table, which belongs at 0x{offset:x}.")
        return []
    data = flash.read(offset, _TABLE_LENGTH)
    verdict = verify_partition_table(data, flash.size)
    if verdict.err != EspErr.ESP_OK:
        what = "is erased" if not data.strip(b"\xff") else f"is refused: {verdict.fault or verdict.err.name}"
        secret = " Its bytes look as if they were encrypted." if _random(data) else ""
        opened.trouble.append(f"The partition table at 0x{offset:x} {what}.{secret}")
        return list(_legible_rows(data))
    return verdict.rows


def _legible_rows(data: bytes) -> Iterator[Partition]:
    """The rows of a table that no bootloader takes, up to the first that is none."""
    with suppress(PartitionTableError):
        for start in range(0, len(data), _ROW):
            yield from PartitionTable.from_bytes(data[start : start + _ROW] + _END, md5=False)


def _random(data: bytes) -> bool:
    """Whether nearly every value a byte can have is there, none of them often: ciphertext, or compressed."""
    counts = [data.count(value) for value in range(256)]
    return sum(count > 0 for count in counts) > 250 and max(counts) < len(data) // 64


def _places(opened: _Opened, target: Target | None, table_offset: int) -> Iterator[_Place]:
    """The whole flash from the first byte to the last, without gaps; what overlaps or lies outside is in trouble."""
    size = opened.flash.size
    fixed = [_Place("partition table", "table", table_offset, table_offset + SECTOR)]
    if target is not None and target.bootloader_offset < table_offset:
        fixed.insert(0, _Place("bootloader", "bootloader", target.bootloader_offset, table_offset))
    rows = [_Place(row.label, _kind(row), row.offset, row.offset + row.size, row) for row in opened.rows]
    known = [place for place in fixed if place.end <= size]
    cursor = 0
    for place in sorted([*known, *rows], key=lambda place: (place.start, place.row is not None)):
        if place.end > size or place.start < cursor:
            where = "ends beyond the flash" if place.end > size else "overlaps what lies before it"
            if place.kind not in {"bootloader", "table"}:  # which a table may name, too
                extent = f"0x{place.end - place.start:x} bytes at 0x{place.start:x}"
                opened.trouble.append(f"{place.label} ({extent}) {where}.")
            continue
        if place.start > cursor:
            yield _Place("", "free", cursor, place.start)
        if place.end > place.start:
            yield place
        cursor = place.end
    if cursor < size:
        yield _Place("", "free", cursor, size)


def _kind(row: Partition) -> Kind:
    return _KINDS.get((row.type, row.subtype)) or _KINDS.get((row.type, None)) or "data"


# ----------------------------------------------------------------------------------------------------------- what is in


def _otadata(opened: _Opened, places: Sequence[_Place]) -> list[OtadataEntry]:
    place = next((place for place in places if place.kind == "otadata"), None)
    if place is None or place.end - place.start < _OTADATA_SIZE:
        if place is not None:
            opened.trouble.append(f"{place.label} has less than two sectors: no bootloader reads it.")
        return []
    entries = read_otadata(opened.flash, place.start)
    table = BootTable(opened.rows)
    labels = [part.label if (part := table.partition(index)) else f"slot {index}" for index in range(table.app_count)]
    return otadata_entries(entries, labels)


def _nvs(opened: _Opened, places: Sequence[_Place]) -> Iterator[NvsItem]:
    for place in places:
        if place.kind == "nvs" and place.row is not None:
            items, trouble = nvs_items(opened.flash, place.row)
            yield from items
            if trouble:
                opened.trouble.append(trouble)


def _slot(
    opened: _Opened,
    place: _Place,
    names: Sequence[OtadataEntry],
    runs: str,
    report: BootReport | None,
) -> Slot:
    info = opened.image(place.start, place.end - place.start)
    desc = None if info is None else info.app_desc
    whole = info is not None and info.kind != "unknown"
    return Slot(
        label=place.label,
        offset=place.start,
        size=place.end - place.start,
        runs=place.label == runs,
        boots_next=bool(report and report.partition and report.partition.offset == place.start),
        state=next((name.state for name in _by_weight(names) if name.slot == place.label and name.crc_good), ""),
        project=desc.project_name if desc else "",
        version=desc.version if desc else "",
        secure_version=desc.secure_version if desc else None,
        idf_version=desc.idf_ver if desc else "",
        sha256=sha256(opened.flash.read(place.start, info.length)).hex() if info and whole and info.valid else "",
        faults=[] if info is None else [f"{fault.err.name}: {fault}" for fault in info.faults[: None if whole else 1]],
    )


def _by_weight(names: Sequence[OtadataEntry]) -> list[OtadataEntry]:
    """The entry that counts first: it speaks for a slot that both name."""
    return sorted(names, key=lambda name: not name.active)


def _region(
    opened: _Opened,
    place: _Place,
    slots: Sequence[Slot],
    names: Sequence[OtadataEntry],
    values: int,
    wear: Wear | None,
) -> Region:
    fill = opened.sectors(place.start, place.end)
    return Region(
        label=place.label,
        kind=place.kind,
        offset=place.start,
        size=place.end - place.start,
        note=_note(opened, place, fill, slots, names, values),
        fill=list(fill),
        erases=[] if wear is None else wear.erases[place.start // SECTOR : -(-place.end // SECTOR)],
    )


def _note(
    opened: _Opened,
    place: _Place,
    fill: bytes,
    slots: Sequence[Slot],
    names: Sequence[OtadataEntry],
    values: int,
) -> str:
    if not any(fill):
        return "erased"
    written = f"{sum(map(bool, fill))} of {len(fill)} sectors written"
    match place.kind:
        case "app":
            slot = next(slot for slot in slots if slot.offset == place.start)
            marks = [word for word, is_so in (("runs", slot.runs), ("boots next", slot.boots_next)) if is_so]
            return ", ".join([_image_note(opened.images[place.start]), *marks])
        case "bootloader":
            info = opened.image(place.start, place.end - place.start)
            return "erased" if info is None else _image_note(info)
        case "table":
            return f"{len(opened.rows)} partitions"
        case "otadata":
            active = next((name for name in names if name.active), None)
            return f"{active.slot}, {active.state}" if active else "no entry counts"
        case "nvs":
            return f"{values} value{'' if values == 1 else 's'}"
        case "free":
            return f"in no partition, {written}"
    return written


def _image_note(info: ImageInfo) -> str:
    if info.kind == "unknown":
        return f"no image: {info.faults[0]}" if info.faults else "no image"
    if info.app_desc:
        name = f"{info.app_desc.project_name} {info.app_desc.version}"
    elif info.bootloader_desc:
        name = f"bootloader, ESP-IDF {info.bootloader_desc.idf_ver}"
    else:
        name = f"{info.kind} without a descriptor"
    return name if info.valid else f"{name}, damaged: {info.err.name}"
