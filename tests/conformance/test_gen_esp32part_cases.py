"""The cases of ESP-IDF's own generator tests that are about tables: the same text, the same rows, the same words."""

from __future__ import annotations

import pytest

from py_esp_ota._core import Partition, PartitionTable
from py_esp_ota.errors import PartitionTableError

FROM_CSV = PartitionTable.from_csv


def row(table: PartitionTable, index: int = 0) -> tuple[str, int, int, int, int]:
    part = table[index]
    return part.label, part.type, part.subtype, part.offset, part.size


def test_a_simple_row() -> None:
    assert row(FROM_CSV("first,app,factory,65536,1M\n")) == ("first", 0, 0, 0x10000, 0x100000)


def test_a_missing_type_is_named() -> None:
    with pytest.raises(PartitionTableError, match="type"):
        FROM_CSV("nvs,,nvs,,32K\n")


@pytest.mark.parametrize(
    ("keyword", "number"),
    [
        ("myapp,app,factory", "myapp,0,0"),
        ("ota_0,0,ota_0", "ota_0,0,0x10"),
        ("ota_1,0,ota_1", "ota_1,0,0x11"),
        ("ota_15,0,ota_15", "ota_15,0,0x1f"),
        ("mytest,0,test", "mytest,0,0x20"),
        ("otadata,data,ota", "otadata,1,0"),
    ],
)
def test_keywords_and_their_numbers_are_one(keyword: str, number: str) -> None:
    place = ",0x100000,8K" if "otadata" in keyword else ",0x100000,0x100000"
    assert FROM_CSV(keyword + place).to_bytes() == FROM_CSV(number + place).to_bytes()


def test_suffixes_of_sizes() -> None:
    csv = "one_megabyte,app,factory,64k,1M\n"
    assert row(FROM_CSV(csv)) == ("one_megabyte", 0, 0, 0x10000, 0x100000)


def test_automatic_offsets() -> None:
    csv = "first,app,factory,,1M\nsecond,data,0x15,,1M\nminidata,data,0x40,,32K\notherapp,app,factory,,1M\n"
    assert [part.offset for part in FROM_CSV(csv)] == [0x10000, 0x110000, 0x210000, 0x220000]


def test_a_negative_size_reaches_up_to_an_address() -> None:
    table = FROM_CSV("first,app,factory,0x10000,-2M\nsecond,data,0x15,,1M\n")
    assert row(table)[3:] == (0x10000, 0x200000 - 0x10000)
    assert row(table, 1)[3] == 0x200000


def test_overlapping_rows_are_refused() -> None:
    with pytest.raises(PartitionTableError, match="overlap"):
        FROM_CSV("first,app,factory,0x100000,2M\nsecond,app,ota_0,0x200000,1M\n")


def test_names_are_unique() -> None:
    with pytest.raises(PartitionTableError, match="names must be unique"):
        FROM_CSV("first,app,factory,0x100000,1M\nfirst,app,ota_0,0x200000,1M\n")


def test_a_primary_bootloader_needs_its_option() -> None:
    with pytest.raises(PartitionTableError, match="primary-bootloader-offset"):
        FROM_CSV("bootloader, bootloader, primary, N/A, N/A\n")


def test_flags_go_round() -> None:
    table = FROM_CSV("# Name,Type,SubType,Offset,Size,Flags\nfirst, app, factory,, 1M, encrypted\n")
    again = PartitionTable.from_bytes(table.to_bytes())
    assert again[0].encrypted
    assert "encrypted" in again.to_csv()


def test_an_empty_data_subtype_is_undefined_and_an_app_needs_one() -> None:
    assert FROM_CSV("test,data,,0x9000,0x1000\n")[0].subtype == 6
    with pytest.raises(PartitionTableError, match="App partition cannot have an empty subtype"):
        FROM_CSV("test, app, , 32K, 1M\n")


@pytest.mark.parametrize("name", ["phy_инит_", "ファクトリー"[:5]])
def test_names_beyond_ascii_go_round(name: str) -> None:
    assert PartitionTable.from_bytes(FROM_CSV(f"{name},data,phy,,4K").to_bytes())[0].label == name


def test_text_and_back() -> None:
    csv = "first, app, factory, 0x10000, 1M\nsecond, data, 0x15, , 0x1000\n"
    text = FROM_CSV(csv).to_csv()
    assert text.splitlines()[2:] == ["first,app,factory,0x10000,1M,", "second,data,21,0x110000,4K,"]
    assert FROM_CSV(text).to_csv() == text


def test_a_crooked_size_is_named() -> None:
    csv = "ota_0, app, ota_0, 0x10000, 1M\nota_1, app, ota_1, , 0x100800\n"
    with pytest.raises(
        PartitionTableError, match=r"ota_1 is not aligned: found 0x100800, expected a multiple of 0x1000"
    ):
        FROM_CSV(csv)


@pytest.mark.parametrize("csv", ["app,app, factory, 32K, 1M\n", "nvs, data, nvs, 0x9420, 0x6000\n"])
def test_crooked_offsets_are_refused(csv: str) -> None:
    with pytest.raises(PartitionTableError, match=r"not aligned"):
        FROM_CSV(csv, table_offset=0)


def test_the_table_itself_may_not_be_overlapped() -> None:
    with pytest.raises(PartitionTableError, match="overlap"):
        FROM_CSV("nvs, data, nvs, 0x8000, 0x4000\n")


@pytest.mark.parametrize(
    ("csv", "words"),
    [
        (
            "otadata, data, ota, 0xd000, 0x2000\notadata2, data, ota, , 0x2000\n",
            "Found multiple otadata partitions",
        ),
        ("otadata, data, ota, 0xd000, 0x1000\n", "otadata partition must have size = 0x2000"),
    ],
)
def test_rules_of_otadata(csv: str, words: str) -> None:
    with pytest.raises(PartitionTableError, match=words):
        FROM_CSV(csv)


def test_misleading_names_are_warned_of() -> None:
    assert any("partition type" in text for text in FROM_CSV("app, data, fat, 0x9000, 4K\n").warnings())
    assert any("partition subtype" in text for text in FROM_CSV("ota_0, app, ota_1, 0x10000, 1M\n").warnings())
    assert FROM_CSV("ota_1, app, ota_1, 0x10000, 1M\n").warnings() == []


def test_the_size_of_the_flash_is_checked() -> None:
    table = FROM_CSV("factory, app, factory, 0x10000, 1M\n")
    table.check(flash_size=0x200000)
    with pytest.raises(PartitionTableError, match="does not fit"):
        table.check(flash_size=0x100000)


@pytest.mark.parametrize(
    ("data", "words"), [(b"OHAI" + b"\xff" * 28, "Invalid magic bytes"), (b"\xaa\x50" * 3, "32 bytes")]
)
def test_binaries_that_are_no_tables(data: bytes, words: str) -> None:
    with pytest.raises(PartitionTableError, match=words):
        PartitionTable.from_bytes(data)


def test_the_default_boot_partition_is_factory_else_the_first_slot() -> None:
    table = PartitionTable.builtin("two_ota")
    assert table.find(type=0, subtype=0) == Partition("factory", 0, 0, 0x10000, 0x100000)
    assert PartitionTable.builtin("two_ota_large").find(type=0, subtype=0) is None
