"""Partition tables that gen_esp32part.py would make."""

from __future__ import annotations

from hypothesis import strategies as st

from py_esp_ota._core import Partition, PartitionTable
from py_esp_ota.idf.partition import TYPE_APP, TYPE_DATA
from py_esp_ota.strategies.arguments import need, need_flag, need_range

_SECTOR = 0x1000
_APP_UNIT = 0x10000
_FIRST = 0x9000  # behind the table itself
_MOST_SLOTS = 16

_OTA, _PHY, _NVS, _SPIFFS = 0x00, 0x01, 0x02, 0x82
_FACTORY, _OTA_0 = 0x00, 0x10


@st.composite
def partition_tables(
    draw: st.DrawFn,
    *,
    min_ota_slots: int = 0,
    max_ota_slots: int | None = None,
    factory: bool | None = None,
    flash_size: int = 0x400000,
) -> PartitionTable:
    """Tables that pass every rule of the generator and fit the flash, with at least one app partition.

    Slots are of unequal sizes, with gaps between them, and stand in any order. A table with slots has otadata. They
    shrink to nothing but a factory app of 64 KiB, or to what was asked for.

    Args:
        min_ota_slots: at least so many OTA slots, up to 16.
        max_ota_slots: at most so many; 3, or ``min_ota_slots`` if that is more, when not given.
        factory: with a factory app.
        flash_size: bytes, a power of two from 1 MiB to 128 MiB.

    ``None`` for a flag is either. Raises ``InvalidArgument`` when drawn from arguments that no table meets.
    """
    most = max(min_ota_slots, 3) if max_ota_slots is None else max_ota_slots
    need_range("ota_slots", min_ota_slots, most, least=0, most=_MOST_SLOTS)
    need_flag("factory", factory)
    need(
        flash_size in [1 << shift for shift in range(20, 28)],
        f"flash_size is {flash_size!r}, expected a power of two from 1 MiB to 128 MiB",
    )
    need(not (factory is False and most == 0), "factory is False and max_ota_slots is 0: no app partition is left")
    room = flash_size // _APP_UNIT - 2  # what lies before the first app takes less than two units
    asked = min_ota_slots + bool(factory)
    need(
        asked <= room,
        f"{asked} app partitions do not fit into {flash_size} bytes of flash, which has room for {room}",
    )
    slots = draw(st.integers(max(min_ota_slots, 1 if factory is False else 0), min(most, room - bool(factory))))
    with_factory = slots == 0 or bool(factory)
    if factory is None and 0 < slots < room:
        with_factory = draw(st.booleans())
    rows = _data_rows(draw, with_otadata=slots > 0)
    start = -(-rows[-1].offset - rows[-1].size) if rows else _FIRST
    names = draw(st.permutations([f"ota_{number}" for number in range(slots)]))
    apps = ["factory"] * with_factory + names
    rows += _app_rows(draw, apps, -(-start // _APP_UNIT), flash_size // _APP_UNIT)
    return PartitionTable(rows + _storage(draw, rows[-1], flash_size))


def _data_rows(draw: st.DrawFn, *, with_otadata: bool) -> list[Partition]:
    """What chooses between apps, and what an app keeps settings in, one behind the other."""
    rows: list[Partition] = []
    offset = _FIRST
    wanted = [("otadata", _OTA, 0x2000)] * with_otadata
    if draw(st.booleans()):
        wanted.insert(0, ("nvs", _NVS, draw(st.integers(3, 6)) * _SECTOR))
    if draw(st.booleans()):
        wanted.append(("phy_init", _PHY, _SECTOR))
    for label, subtype, size in wanted:
        rows.append(Partition(label, TYPE_DATA, subtype, offset, size))
        offset += size
    return rows


def _app_rows(draw: st.DrawFn, labels: list[str], unit: int, end: int) -> list[Partition]:
    """Apps start at multiples of 64 KiB and end with any sector."""
    rows = []
    for index, label in enumerate(labels):
        others = len(labels) - index - 1
        # No one takes more than its share of what is left, so that all find room.
        units = draw(st.integers(1, max(1, (end - unit - others) // (others + 1))))
        size = units * _APP_UNIT - draw(st.integers(0, 15)) * _SECTOR
        subtype = _FACTORY if label == "factory" else _OTA_0 + int(label.removeprefix("ota_"))
        rows.append(Partition(label, TYPE_APP, subtype, unit * _APP_UNIT, size))
        unit += units
    return rows


def _storage(draw: st.DrawFn, last: Partition, flash_size: int) -> list[Partition]:
    """What an app keeps files in, in what is left, or nothing."""
    start = last.offset + last.size
    sectors = (flash_size - start) // _SECTOR
    if not (draw(st.booleans()) and sectors):
        return []
    size = draw(st.integers(1, sectors)) * _SECTOR
    encrypted, readonly = draw(st.booleans()), draw(st.booleans())
    return [Partition("storage", TYPE_DATA, _SPIFFS, start, size, encrypted=encrypted, readonly=readonly)]
