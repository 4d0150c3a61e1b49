"""Partition tables that ESP-IDF's own generator made: the same text gives the same bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from py_esp_ota._core import Partition, PartitionTable

BUILTINS = {
    "singleapp": (
        "f4ad4f4538564b5d7435b62c75b69524",
        "7f00b6c042a89b15b0cac534f82ed988caf29278ff5700b0c511eb1b5bb7c820",
    ),
    "two_ota": ("bf25822c0fa6d8641bd930251e06b4c4", "d1c0e9d02fa9d26cd2e1984e7b5dd20157204f501ddc83ce82229e5f3175ee8b"),
    "two_ota_large": (
        "37f38b32a34f7412f158930062441178",
        "41d8ef7960bf03647249e26ca1ace2b8d35f317a87f6c2ff5bc9f4bdbdbf602b",
    ),
    "singleapp_large": (
        "0423598fe5287e6762f955efc9f5f382",
        "5295e8c42d6fb5f95e4e8a185932c6191d27cfc5078322475347e40e71af815a",
    ),
    "singleapp_coredump": (
        "9179c59a53262c5dd4c549db5b3eaa73",
        "57af5bcbfe44ebb831ce4c916c5dbe30cddc8aac1993f69f928d66c05d5f6460",
    ),
    "two_ota_coredump": (
        "fbe521772f97e9bf34513e42f6167757",
        "7255f503b6ff44cf4d9ded4634279d2e7fd67f5fe9693228f65d089e5e1725a5",
    ),
    "two_ota_encr_nvs": (
        "76d509eedec6b9850fadba48faf3a90c",
        "0ae0abb93d54ada2268764212d09b9a55ddf7718eb062f499b5413c4e4052cf2",
    ),
    "singleapp_tee": (
        "5a9835998338ebb1bdfe043d661084cb",
        "5b2260f358eba8508b055470ad198f2233bcd68ea1b6a53f7633acef088ef891",
    ),
    "two_ota_tee": (
        "5b781e7398883f3f54e07853e1e086b3",
        "8cb614c824998362a0b0780ba59d259be940d4c6b253311ae8c15a061e375269",
    ),
}
EMPTY = ("d41d8cd98f00b204e9800998ecf8427e", "ac379736a5babef77ab7c144553aa8146eb86fbdfb3a85044d0b91d27eb4b5d8")

SINGLEAPP_ROWS = """
aa50010200900000006000006e76730000000000000000000000000000000000
aa50010100f00000001000007068795f696e6974000000000000000000000000
aa5000000000010000001000666163746f727900000000000000000000000000
"""
TWO_OTA_ROWS = """
aa50010200900000004000006e76730000000000000000000000000000000000
aa50010000d00000002000006f74616461746100000000000000000000000000
aa50010100f00000001000007068795f696e6974000000000000000000000000
aa5000000000010000001000666163746f727900000000000000000000000000
aa50001000001100000010006f74615f30000000000000000000000000000000
aa50001100002100000010006f74615f31000000000000000000000000000000
"""
TWO_OTA_CSV = """\
# ESP-IDF Partition Table
# Name, Type, SubType, Offset, Size, Flags
nvs,data,nvs,0x9000,16K,
otadata,data,ota,0xd000,8K,
phy_init,data,phy,0xf000,4K,
factory,app,factory,0x10000,1M,
ota_0,app,ota_0,0x110000,1M,
ota_1,app,ota_1,0x210000,1M,
"""
FULL_CSV = """\
bootloader, bootloader, primary, N/A, N/A
partition_table, partition_table, primary, N/A, N/A
FactoryApp, app, factory, , 1M
OtaBTLDR, bootloader, ota, , N/A
OtaPrtTable, partition_table, ota, , N/A
RecoveryBTLDR, bootloader, recovery, N/A, N/A
"""
FULL_ROWS = """
aa5002000010000000800000626f6f746c6f6164657200000000000000000000
aa5003000090000000100000706172746974696f6e5f7461626c650000000000
aa5000000000010000001000466163746f727941707000000000000000000000
aa50020100001100008000004f746142544c4452000000000000000000000000
aa50030100801100001000004f74615072745461626c65000000000000000000
aa50020200002000008000005265636f7665727942544c445200000000000000
"""

# The text, the first 12 bytes of its row, the flags, the MD5.
ONE_ROW = [
    ("a,data,nvs,,16K", "aa5001020090000000400000", 0, "a6103e72c284f4c4ba87f27d525eded9"),
    ("a,data,nvs,,16K\r\n", "aa5001020090000000400000", 0, "a6103e72c284f4c4ba87f27d525eded9"),
    ("\ta\t,\tdata,nvs ,\t, 0x10K ,,what,ever", "aa5001020090000000400000", 0, "a6103e72c284f4c4ba87f27d525eded9"),
    ("a,data,,,4K", "aa5001060090000000100000", 0, "bf0afade6bca41c241af45d9af7dcacd"),
    ("a,0x40,,,4K", "aa5040060090000000100000", 0, "95fd404afe6ab0ae3685986e8f7986e1"),
    ("a,data,nvs_keys,,4K,encrypted:readonly", "aa5001040090000000100000", 3, "415a001f8159601ce79589b8d49fe439"),
    ("a,data,nvs_keys,,4K,readonly::encrypted", "aa5001040090000000100000", 3, "415a001f8159601ce79589b8d49fe439"),
    ("a,data,nvs,,8K,readonly", "aa5001020090000000200000", 2, "d6b823b02104a97431d4090c49ae2a19"),
    ("a,app,factory,,1M,readonly", "aa5000000000010000001000", 2, "84347601f616e42b672ec04f39714004"),
    ("abcdefghijklmnopqrst,data,nvs,,16K", "aa5001020090000000400000", 0, "a5cf9e09d408736a10b4de68fffb88b6"),
    ("phy_инит_,data,phy,,4K", "aa5001010090000000100000", 0, "b6e263a2a7a77bb718199d357bb7977d"),
    ("a,0xff,0xff,,4K", "aa50ffff0090000000100000", 0, "b7872225a4f96a36f58997a450b810c1"),
]


def bytes_of(text: str, md5: str) -> bytes:
    rows = bytes.fromhex("".join(text.split()))
    return (rows + b"\xeb\xeb" + b"\xff" * 14 + bytes.fromhex(md5)).ljust(0xC00, b"\xff")


@pytest.mark.parametrize(("name", "md5", "sha256"), [(name, *sums) for name, sums in BUILTINS.items()])
def test_builtin_tables_have_the_generators_bytes(name: str, md5: str, sha256: str) -> None:
    table = PartitionTable.builtin(name)
    data = table.to_bytes()
    assert data[32 * len(table) :][16:32].hex() == md5
    assert hashlib.sha256(data).hexdigest() == sha256


def test_every_table_in_the_folder_is_compiled_in() -> None:
    files = Path(__file__).parents[2].joinpath("partitions").glob("*.csv")
    assert PartitionTable.builtin_names() == sorted(path.stem for path in files) == sorted(BUILTINS)


@pytest.mark.parametrize(("name", "rows"), [("singleapp", SINGLEAPP_ROWS), ("two_ota", TWO_OTA_ROWS)])
def test_whole_tables_byte_for_byte(name: str, rows: str) -> None:
    assert PartitionTable.builtin(name).to_bytes() == bytes_of(rows, BUILTINS[name][0])


def test_an_empty_table_has_the_md5_of_nothing() -> None:
    data = PartitionTable.from_csv("").to_bytes()
    assert data[16:32].hex() == EMPTY[0]
    assert hashlib.sha256(data).hexdigest() == EMPTY[1]


def test_two_ota_as_csv() -> None:
    assert PartitionTable.builtin("two_ota").to_csv() == TWO_OTA_CSV


@pytest.mark.parametrize(("text", "start", "flags", "md5"), ONE_ROW)
def test_single_rows(text: str, start: str, flags: int, md5: str) -> None:
    data = PartitionTable.from_csv(text).to_bytes()
    assert data[:12].hex() == start
    assert int.from_bytes(data[28:32], "little") == flags
    assert data[48:64].hex() == md5


def test_labels_fill_16_bytes_without_an_end() -> None:
    for text, label in [
        ("abcdefghijklmnopqrst,data,nvs,,16K", b"abcdefghijklmnop"),
        ("phy_инит_,data,phy,,4K", bytes.fromhex("7068795fd0b8d0bdd0b8d1825f000000")),
    ]:
        assert PartitionTable.from_csv(text).to_bytes()[12:28] == label


def test_a_row_that_no_rule_would_allow_still_has_its_bytes() -> None:
    data = PartitionTable([Partition("first", 0x30, 0xEE, 0x100400, 0x300000)]).to_bytes()
    assert data[48:64].hex() == "43033f334087575169839b4061b12726"


def test_types_and_subtypes_without_a_name() -> None:
    rows = [
        Partition("factory", 0, 0, 0x10000, 0x100000),
        Partition("data", 1, 0x20, 0x110000, 0x200),
        Partition("second", 0x10, 0, 0x150000, 0x1000),
    ]
    data = PartitionTable(rows).to_bytes()
    assert data[112:128].hex() == "f9bd061b45686f86571a2cd52a1da65b"
    assert list(PartitionTable.from_bytes(data)) == rows


def test_bootloader_and_table_rows_take_their_place_from_the_options() -> None:
    table = PartitionTable.from_csv(
        FULL_CSV, table_offset=0x9000, primary_bootloader_offset=0x1000, recovery_bootloader_offset=0x200000
    )
    assert table.to_bytes() == bytes_of(FULL_ROWS, "5c220f036e656824f49e908cd64949d2")
    sha256 = "d5aa0102e5868d179ca18b73f9f73309471a015b7d21bf5fda872b7f4fff1f82"
    assert hashlib.sha256(table.to_bytes()).hexdigest() == sha256


@pytest.mark.parametrize(
    ("csv", "table_offset", "places"),
    [
        ("a,app,factory,0x10000,-2M\nb,data,nvs,,16K", 0x8000, [(0x10000, 0x1F0000), (0x200000, 0x4000)]),
        ("a,data,nvs,,16K\nb,app,factory,,1M", 0x10000, [(0x11000, 0x4000), (0x20000, 0x100000)]),
        ("a,data,fat,,0x1800\nb,data,phy,,4K", 0x8000, [(0x9000, 0x1800), (0xB000, 0x1000)]),
        ("a,data,fat,,0\nb,data,phy,,4K", 0x8000, [(0x9000, 0), (0x9000, 0x1000)]),
        ("a,data,fat,0xFFFFF000,8K", 0x8000, [(0xFFFFF000, 0x2000)]),
    ],
)
def test_placement(csv: str, table_offset: int, places: list[tuple[int, int]]) -> None:
    table = PartitionTable.from_csv(csv, table_offset=table_offset)
    assert [(row.offset, row.size) for row in table] == places
