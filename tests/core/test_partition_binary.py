"""The binary form as gen_esp32part.py reads and writes it, and tables and rows as values."""

from __future__ import annotations

import pytest
from partition_bytes import END, TABLE_SIZE, md5_row, padded, row

from py_esp_ota._core import Partition, PartitionTable
from py_esp_ota.errors import EspErr, PartitionTableError

A = row("a")
B = row("b", offset=0xD000)

STATE, SIZE = EspErr.ESP_ERR_INVALID_STATE, EspErr.ESP_ERR_INVALID_SIZE


def labels(data: bytes) -> list[str]:
    return [part.label for part in PartitionTable.from_bytes(data)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (END, []),
        (A + END, ["a"]),
        (padded(A + B), ["a", "b"]),
        (A + END + b"garbage", ["a"]),
        (A + END + row("b", magic=0x1234), ["a"]),
        (padded(A + md5_row(A)), ["a"]),
        (padded(A + md5_row(A, fill=b"\x00")), ["a"]),
        # More lenient than a device: MD5 rows are not summed themselves, and rows after one count.
        (padded(A + md5_row(A) * 2), ["a"]),
        (padded(A + md5_row(A) + B + md5_row(A + B)), ["a", "b"]),
        (padded(md5_row(b"")), []),
        (A * 200 + END, ["a"] * 200),
        (row(b"0123456789abcdef") + END, ["0123456789abcdef"]),
        (row(b"ab\0cd") + END, ["ab"]),
        (row(b"") + END, [""]),
    ],
)
def test_binary_tables(data: bytes, expected: list[str]) -> None:
    assert labels(data) == expected


@pytest.mark.parametrize(
    ("data", "err", "offset", "message"),
    [
        (b"", STATE, 0, "end of table at 0x0: found 0 rows and no end"),
        (A, STATE, 32, "end of table at 0x20: found 1 rows and no end"),
        (b"\xff", SIZE, 0, "length of table at 0x0: found 1 bytes, expected a multiple of 32 bytes"),
        (A + END[:31], SIZE, 32, "found 63 bytes, expected a multiple of 32 bytes"),
        (END[:31] + b"\xfe", STATE, 0, "row 0: Invalid magic bytes at 0x0: found ffff"),
        (A + row("b", magic=0xAA50) + END, STATE, 32, "row 1: Invalid magic bytes at 0x20: found 50aa, expected aa50"),
        (A + md5_row(B) + END, STATE, 32, "row 1: MD5 at 0x20: found "),
        (A + md5_row(A) + B + md5_row(A) + END, STATE, 96, "row 3: MD5"),
        (row(b"\xff\xfe") + END, STATE, 0, "row 0: label at 0x0: found fffe, expected UTF-8"),
        (row(b"\xff\xfe", magic=0) + END, STATE, 0, "row 0: Invalid magic bytes"),
    ],
)
def test_broken_binaries(data: bytes, err: EspErr, offset: int, message: str) -> None:
    with pytest.raises(PartitionTableError) as caught:
        PartitionTable.from_bytes(data)
    assert caught.value.err == err
    assert caught.value.fact["offset"] == offset
    assert message in str(caught.value)


def test_a_wrong_md5_shows_both_sums() -> None:
    with pytest.raises(PartitionTableError) as caught:
        PartitionTable.from_bytes(A + md5_row(B) + END)
    assert caught.value.fact["found"] == md5_row(B)[16:].hex()
    assert str(caught.value.fact["expected"]).startswith(md5_row(A)[16:].hex())


def test_a_signed_sector_is_a_table() -> None:
    table = PartitionTable.builtin("two_ota")
    assert PartitionTable.from_bytes(table.to_bytes() + b"signature".ljust(0x400, b"\xff")) == table


@pytest.mark.parametrize("count", [0, 1, 93, 94])
def test_a_table_ends_with_its_md5_and_fills_3072_bytes(count: int) -> None:
    rows = [Partition(f"p{i}", 0x40, i, 0x9000 + 0x1000 * i, 0x1000) for i in range(count)]
    data = b"".join(row(f"p{i}", 0x40, i, 0x9000 + 0x1000 * i, 0x1000) for i in range(count))
    assert PartitionTable(rows).to_bytes() == padded(data + md5_row(data))
    assert len(padded(data)) == TABLE_SIZE


@pytest.mark.parametrize("count", [95, 96, 300])
def test_more_than_94_rows_do_not_fit(count: int) -> None:
    with pytest.raises(PartitionTableError, match=f"found {count} rows, expected at most 94") as caught:
        PartitionTable([Partition("a", 1, 2, 0, 0)] * count).to_bytes()
    assert caught.value.err == SIZE


@pytest.mark.parametrize("name", PartitionTable.builtin_names())
def test_tables_go_round(name: str) -> None:
    table = PartitionTable.builtin(name)
    assert PartitionTable.from_bytes(table.to_bytes()) == table
    assert PartitionTable.from_csv(table.to_csv()) == table
    table.check(flash_size=0x1000000)
    assert [warning for warning in table.warnings() if "tee" not in warning] == []


# --------------------------------------------------------------------------------------------------------------- values


def test_a_partition_says_what_it_is() -> None:
    part = Partition("ota_1", 0, 0x11, 0x110000, 0x100000, encrypted=True)
    assert (part.label, part.type, part.subtype, part.offset, part.size) == ("ota_1", 0, 0x11, 0x110000, 0x100000)
    assert (part.type_name, part.subtype_name, part.ota_slot) == ("app", "ota_1", 1)
    assert (part.encrypted, part.readonly) == (True, False)
    assert repr(part) == 'Partition("ota_1", type=0, subtype=17, offset=0x110000, size=0x100000, encrypted=True)'


@pytest.mark.parametrize(
    ("type_", "subtype", "slot"),
    [(0, 0x10, 0), (0, 0x1F, 15), (0, 0x20, None), (0, 0x0F, None), (0, 0, None), (1, 0x10, None), (0x40, 0x10, None)],
)
def test_ota_slots(type_: int, subtype: int, slot: int | None) -> None:
    assert Partition("", type_, subtype, 0, 0).ota_slot == slot


@pytest.mark.parametrize(
    "arguments", [(256, 0, 0, 0), (-1, 0, 0, 0), (0, 256, 0, 0), (0, 0, 1 << 32, 0), (0, 0, -1, 0), (0, 0, 0, 1 << 32)]
)
def test_numbers_that_no_row_can_hold_are_misuse(arguments: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="out of range"):
        Partition("a", *arguments)


def test_partitions_are_values() -> None:
    one, same = Partition("a", 1, 2, 0x9000, 0x1000), Partition("a", 1, 2, 0x9000, 0x1000)
    assert one == same
    assert hash(one) == hash(same)
    others = [
        Partition("b", 1, 2, 0x9000, 0x1000),
        Partition("a", 0, 2, 0x9000, 0x1000),
        Partition("a", 1, 3, 0x9000, 0x1000),
        Partition("a", 1, 2, 0xA000, 0x1000),
        Partition("a", 1, 2, 0x9000, 0x2000),
        Partition("a", 1, 2, 0x9000, 0x1000, encrypted=True),
        Partition("a", 1, 2, 0x9000, 0x1000, readonly=True),
    ]
    assert len({one, same, *others}) == 1 + len(others)
    with pytest.raises(AttributeError):
        one.offset = 1  # type: ignore[misc]


def test_a_table_is_a_sequence() -> None:
    table = PartitionTable.builtin("singleapp")
    assert len(table) == 3
    assert [part.label for part in table] == ["nvs", "phy_init", "factory"]
    assert (table[0].label, table[-1].label, table[-3].label) == ("nvs", "factory", "nvs")
    for index in (3, -4, 1 << 62):
        with pytest.raises(IndexError):
            table[index]
    assert PartitionTable(list(table)) == table
    assert repr(table) == "<PartitionTable nvs, phy_init, factory>"


def test_an_unknown_builtin_is_misuse() -> None:
    with pytest.raises(ValueError, match=r"unknown partition table .*known are singleapp, .*two_ota_tee"):
        PartitionTable.builtin("three_ota")


FOUND = [
    ({"label": "ota_1"}, 5),
    ({"type": 0}, 3),
    ({"type": 0, "subtype": 0x11}, 5),
    ({"type": 0, "subtype": 0x11, "label": "ota_1"}, 5),
    ({"type": 0, "label": "nvs"}, None),
    ({"type": 1}, 0),
    ({"type": 1, "subtype": 0}, 1),
    ({"type": 1, "subtype": 0xFF}, 0),
    ({}, 0),
    ({"type": 0xFF}, 0),
    ({"type": 0xFF, "subtype": 0xFF, "label": "phy_init"}, 2),
    # A subtype means nothing without its type.
    ({"subtype": 0x11}, None),
    ({"type": 0xFF, "subtype": 0x11}, None),
    ({"label": "ota_"}, None),
    ({"label": ""}, None),
]


@pytest.mark.parametrize(("wanted", "index"), FOUND)
def test_find(wanted: dict[str, int | str], index: int | None) -> None:
    table = PartitionTable.builtin("two_ota")
    assert table.find(**wanted) == (None if index is None else table[index])  # type: ignore[arg-type]


def test_find_takes_the_first_of_several() -> None:
    rows = [Partition("x", 0, 0x10, 0x10000, 0x1000), Partition("x", 0, 0x10, 0x20000, 0x1000)]
    assert PartitionTable(rows).find(type=0, subtype=0x10, label="x") == rows[0]
