"""What gen_esp32part.py asks of a whole table, and what it only warns of."""

from __future__ import annotations

import pytest
from partition_bytes import END, refusal, row

from py_esp_ota._core import Partition, PartitionTable
from py_esp_ota.errors import EspErr, PartitionTableError

APP, DATA, BOOTLOADER, TABLE = range(4)
MIB = 1 << 20


def check(*rows: Partition, **options: int) -> PartitionTableError | None:
    """What ``check`` raises."""
    try:
        PartitionTable(rows).check(**options)
    except PartitionTableError as error:
        return error
    return None


def part(
    label: str = "a", type_: int = DATA, subtype: int = 0x81, offset: int = 0x9000, size: int = 0x1000
) -> Partition:
    return Partition(label, type_, subtype, offset, size)


@pytest.mark.parametrize(
    ("rows", "index", "message"),
    [
        # offset alignment
        ([part(offset=0x9420)], 0, "offset of a is not aligned: found 0x9420, expected a multiple of 0x1000"),
        ([part(type_=APP, subtype=0, offset=0x18000)], 0, "not aligned: found 0x18000, expected a multiple of 0x10000"),
        ([part(type_=0x40, offset=0x9001)], 0, "expected a multiple of 0x1000"),
        ([part(type_=BOOTLOADER, subtype=1, offset=0x9800)], 0, "expected a multiple of 0x1000"),
        ([part(type_=TABLE, subtype=1, offset=0x9800)], 0, "expected a multiple of 0x1000"),
        # size alignment, of apps only
        ([part(type_=APP, subtype=0, offset=0x10000, size=0x1800)], 0, "size of a is not aligned: found 0x1800"),
        ([part(size=1)], None, ""),
        # flags and sizes of data
        ([Partition("a", DATA, 0, 0x9000, 0x2000, readonly=True)], 0, "flags of a: found readonly"),
        ([Partition("a", DATA, 3, 0x9000, 0x10000, readonly=True)], 0, "data/coredump"),
        ([Partition("a", DATA, 0x81, 0x9000, 0x2000, readonly=True)], None, ""),
        ([part(subtype=2, size=0x2000)], 0, "size of a: found 0x2000, expected at least 0x3000, or the flag readonly"),
        ([part(subtype=2, size=0x3000)], None, ""),
        ([Partition("a", DATA, 2, 0x9000, 0x1000, readonly=True)], None, ""),
        # names
        ([part(), part(offset=0xA000)], 1, "Partition names must be unique: found a here and in row 0"),
        ([part("b"), part(offset=0xA000), part("b", offset=0xB000)], 2, "found b here and in row 0"),
        ([part(""), part("", offset=0xA000)], 1, "must be unique"),
        ([part("a"), part("A", offset=0xA000)], None, ""),
        # places
        (
            [part(offset=0x8000)],
            0,
            "overlaps the partition table or what is below it: found offset 0x8000, expected 0x9000",
        ),
        ([part(offset=0x1000)], 0, "expected 0x9000 or higher"),
        ([part("b", BOOTLOADER, 0, 0x1000, 0x7000), part("t", TABLE, 0, 0x8000)], None, ""),
        ([part("b", BOOTLOADER, 2, 0x1000, 0x7000)], 0, "expected 0x9000 or higher"),
        ([part("b", BOOTLOADER, 0, 0x1000, 0x8000), part("t", TABLE, 0, 0x8000)], 1, "t overlaps b"),
        ([part(size=0x2000), part("b", offset=0xA000)], 1, "b overlaps a: found offset 0xa000, expected 0xb000"),
        ([part(offset=0xA000), part("b", size=0x1001)], 0, "a overlaps b"),
        ([part(size=0), part("b")], None, ""),
        ([part(offset=0xFFFFF000, size=0x2000)], None, ""),
        # otadata
        ([part("o", DATA, 0, 0x9000, 0x1000)], 0, "otadata partition must have size = 0x2000: found 0x1000"),
        ([part("o", DATA, 0, 0x9000, 0x3000)], 0, "otadata partition must have size = 0x2000: found 0x3000"),
        (
            [part("o", DATA, 0, 0x9000, 0x2000), part("p", DATA, 0, 0xB000, 0x2000)],
            1,
            "Found multiple otadata partitions: found p beside o in row 0",
        ),
        ([part("o", DATA, 0x90, 0x9000, 0x1000)], 0, "TEE otadata partition must have size = 0x2000"),
        (
            [part("o", DATA, 0x90, 0x9000, 0x2000), part("p", DATA, 0x90, 0xB000, 0x2000)],
            1,
            "Found multiple TEE otadata partitions",
        ),
        # duplicate subtypes are nobody's business
        ([part("a", APP, 0x10, 0x10000), part("b", APP, 0x10, 0x20000)], None, ""),
        ([part("a", 0xFF, 0xFF)], None, ""),
        ([], None, ""),
    ],
)
def test_rules(rows: list[Partition], index: int | None, message: str) -> None:
    error = check(*rows)
    if index is None:
        assert error is None
        return
    assert error is not None
    assert error.err == EspErr.ESP_ERR_INVALID_ARG
    assert str(error).startswith(f"ESP_ERR_INVALID_ARG (0x102): row {index}: ")
    assert message in str(error)
    assert error.fact["offset"] == index * 32


def test_rules_are_asked_in_the_generators_order() -> None:
    otadata_twice = [part("o", DATA, 0, 0x9000, 0x1000), part("o", DATA, 0, 0x9800, 0x1000)]
    for rows, message in [
        ([*otadata_twice], "offset of o is not aligned"),
        ([part("o", DATA, 0, 0xA000, 0x1000), part("o", DATA, 0, 0xA000, 0x1000)], "names must be unique"),
        ([part("o", DATA, 0, 0xA000, 0x1000), part("p", DATA, 0, 0xA000, 0x1000)], "p overlaps o"),
        ([part("o", DATA, 0, 0xA000, 0x1000), part("p", DATA, 0, 0xB000, 0x1000)], "Found multiple otadata"),
        ([part("t", DATA, 0x90, 0xA000), part("o", DATA, 0, 0xB000)], "otadata partition must have size"),
    ]:
        assert message in str(check(*rows, flash_size=0))


def test_the_table_may_lie_elsewhere() -> None:
    assert "0x11000 or higher" in str(check(part(offset=0x10000), table_offset=0x10000))
    assert check(part(offset=0x11000), table_offset=0x10000) is None
    assert check(part(offset=0x1000), table_offset=0) is None


@pytest.mark.parametrize(
    ("flash_size", "message"),
    [
        (4 * MIB, ""),
        (0x310000, ""),
        (0x30FFFF, "ota_1 does not fit in configured flash size 0x30ffff: found its end at 0x310000"),
        (2 * MIB, "does not fit in configured flash size 2MB"),
        (MIB, "does not fit in configured flash size 1MB"),
    ],
)
def test_the_last_row_fits_the_flash(flash_size: int, message: str) -> None:
    error = check(*PartitionTable.builtin("two_ota"), flash_size=flash_size)
    assert message in str(error) if message else error is None


def test_an_empty_table_fits_any_flash() -> None:
    assert check(flash_size=0) is None


@pytest.mark.parametrize(
    ("places", "flash_size", "fits"),
    [
        # (offset, size) of each row
        ([(0xA000, 0), (0x9000, 0x1000)], 0xA000, True),
        ([(0x9000, 0x1000), (0xA000, 1)], 0xA000, False),
        ([(0x9000, 0), (0xFFFFF000, 0x2000)], MIB, False),
        # The first of several rows at the highest offset is measured, here an empty one.
        ([(0x9000, 0), (0x9000, 0x1000)], 0x9000, True),
    ],
)
def test_only_the_row_with_the_highest_offset_is_measured(
    places: list[tuple[int, int]], flash_size: int, fits: bool
) -> None:
    rows = [part(f"p{i}", offset=offset, size=size) for i, (offset, size) in enumerate(places)]
    assert check(*rows) is None
    assert (check(*rows, flash_size=flash_size) is None) == fits


def test_errors_of_a_csv_name_lines() -> None:
    for csv, line, message in [
        ("a,data,nvs,,16K\n# x\na,data,phy,,4K", 3, "names must be unique: found a here and in line 1"),
        ("\na,data,ota,,8K\nb,data,ota,,8K", 3, "Found multiple otadata partitions: found b beside a in line 2"),
        ("\na,data,ota,,4K", 2, "otadata partition must have size = 0x2000"),
        ("x,app,factory,0x18000,1M", 1, "not aligned"),
        ("x,data,nvs,0x9420,16K", 1, "not aligned"),
        ("b,bootloader,primary,,", 1, "offset of b is not aligned"),
    ]:
        error = refusal(csv, primary_bootloader_offset=0x1800)
        assert message in str(error)
        assert (error.fact["offset"], str(error.fact["field"]).split(":")[0]) == (line, f"line {line}")


def test_long_names_are_compared_before_they_are_cut() -> None:
    long = "x" * 16
    table = PartitionTable.from_csv(f"{long}1,data,phy,,4K\n{long}2,data,phy,,4K")
    again = PartitionTable.from_bytes(table.to_bytes())
    assert [row.label for row in again] == [long, long]
    with pytest.raises(PartitionTableError, match="names must be unique"):
        again.check()


@pytest.mark.parametrize(
    ("rows", "warnings"),
    [
        ([part("app", APP, 0, 0x10000)], []),
        ([part("data", DATA, 0x81)], []),
        ([part("ota_0", APP, 0x10, 0x10000)], []),
        ([part("nvs", DATA, 2, size=0x3000)], []),
        ([part("app")], ["row 0: app is the name of a partition type, but this row is data/fat"]),
        (
            [part("x", APP, 0, 0x10000), part("ota_0", APP, 0x11, 0x20000)],
            ["row 1: ota_0 is the name of a partition subtype, but this row is app/ota_1"],
        ),
        ([part("nvs", 0x40, 2)], ["row 0: nvs is the name of a partition subtype, but this row is 64/2"]),
        (
            [part("bootloader"), part("recovery", offset=0xA000)],
            [
                "row 0: bootloader is the name of a partition type, but this row is data/fat",
                "row 1: recovery is the name of a partition subtype, but this row is data/fat",
            ],
        ),
        ([part("NVS", 0x40, 2)], []),
    ],
)
def test_warnings(rows: list[Partition], warnings: list[str]) -> None:
    assert PartitionTable(rows).warnings() == warnings


def test_unknown_flag_bits_are_told_and_dropped() -> None:
    table = PartitionTable.from_bytes(row("a", flags=0x8000_0007) + END)
    assert table.warnings() == ["row 0: a has unknown flags 0x80000004; they are dropped"]
    assert (table[0].encrypted, table[0].readonly) == (True, True)
    assert table.to_bytes()[28:32] == b"\x03\x00\x00\x00"
