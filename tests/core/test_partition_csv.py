"""Reading and writing partition tables as text, by gen_esp32part.py's rules."""

from __future__ import annotations

import pytest
from partition_bytes import refusal

from py_esp_ota._core import Partition, PartitionTable
from py_esp_ota.errors import EspErr, PartitionTableError

NVS = "a,data,nvs,,16K"


def only(csv: str) -> Partition:
    (row,) = PartitionTable.from_csv(csv)
    return row


# ---------------------------------------------------------------------------------------------------------------- lines


@pytest.mark.parametrize(
    "csv",
    [
        f"{NVS}\n",
        f"\n \t\n{NVS}",
        f"# a comment\n   # another\n{NVS}",
        f"#{NVS}\r\n{NVS}\r\n",
        f"# old Mac\r{NVS}\r",
        f"#\x0b{NVS}",
        f"#\x0c{NVS}",
        f"#\x1c{NVS}",
        f"#\x85{NVS}",
        f"#\u2028{NVS}\u2029#",
        f"\xa0{NVS}\u3000",
        f"\x1f{NVS}\x1f",
        "a,data,nvs,,16K,,x,y,z",
    ],
)
def test_lines_that_say_the_same(csv: str) -> None:
    assert PartitionTable.from_csv(csv) == PartitionTable.from_csv(NVS)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x0b", "\u2028"])
def test_an_error_names_its_line_whatever_ends_lines(end: str) -> None:
    error = refusal(end.join(["# one", "", NVS, "b,data,phy,,4K,unknown"]))
    assert (error.fact["offset"], str(error.fact["field"])) == (4, "line 4: flags")


def test_an_inline_comment_is_part_of_the_last_field() -> None:
    assert refusal(f"{NVS},# the keys").fact["found"] == '"# the keys"'
    assert refusal("a,data,nvs,,16K # 16 KiB").fact["field"] == "line 1: size"


def test_quotes_are_part_of_a_name() -> None:
    assert only('"a",data,nvs,,16K').label == '"a"'
    assert refusal('"a,b",data,nvs,,16K').fact["field"] == "line 1: type"


@pytest.mark.parametrize(
    ("line", "variable"),
    [("$FOO", "FOO"), ("$FOO_1,data,nvs,,16K", "FOO_1"), ("$_x y", "_x"), ("#\n$FOO", "FOO")],
)
def test_a_line_that_starts_with_a_variable_names_it(line: str, variable: str) -> None:
    error = refusal(line)
    assert error.fact["found"] == variable
    assert "unknown variable" in str(error)


@pytest.mark.parametrize("name", ["a$FOO", "$1", "$", "${FOO}"])
def test_a_dollar_elsewhere_is_itself(name: str) -> None:
    assert only(f"{name},data,nvs,,16K").label == name


# --------------------------------------------------------------------------------------------------------------- fields


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("0x1000", 4096),
        ("0X1000", 4096),
        ("0o10000", 4096),
        ("0b1000000000000", 4096),
        ("4_096", 4096),
        ("0x_1000", 4096),
        ("+4096", 4096),
        ("4k", 4096),
        ("4K", 4096),
        ("0x10K", 16384),
        ("1KK", 1 << 20),
        ("1m", 1 << 20),
        ("1MK", 1 << 30),
        ("4 K", 4096),
        ("0", 0),
        ("00", 0),
        ("-64K", 0x10000 - 0x9000),
        ("0xFFFFFFFF", 0xFFFFFFFF),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert only(f"a,data,fat,,{text}").size == size


@pytest.mark.parametrize(
    "text",
    ["K", "M", "010", "1.5M", "1e3", "0x", "0b2", "1__0", "_1", "1_", "- 1", "--1", "4KB", "4 096", "N/A", "twelve"],
)
def test_what_is_no_number(text: str) -> None:
    for field, csv in [("size", f"a,data,fat,,{text}"), ("offset", f"a,data,fat,{text},4K")]:
        error = refusal(csv)
        assert error.err == EspErr.ESP_ERR_INVALID_ARG
        assert error.fact["field"] == f"line 1: {field}"
        assert text in str(error)


@pytest.mark.parametrize("text", ["0x100000000", "4096M", "9" * 5000, "1" + "M" * 5000])
def test_a_number_beyond_32_bits_is_refused(text: str) -> None:
    assert refusal(f"a,data,fat,,{text}").fact["field"] == "line 1: size"
    assert refusal(f"a,data,fat,{text},4K").fact["field"] == "line 1: offset"


@pytest.mark.parametrize(
    ("type_", "subtype", "numbers"),
    [
        ("app", "factory", (0, 0)),
        ("APP", "OTA_15", (0, 0x1F)),
        ("app", "test", (0, 0x20)),
        ("app", "tee_1", (0, 0x31)),
        ("0", "0x10", (0, 0x10)),
        ("appK", "factory", (0, 0)),
        ("data", "ota", (1, 0)),
        ("Data", "Phy", (1, 1)),
        ("data", "coredump", (1, 3)),
        ("data", "", (1, 6)),
        ("data", "efuse", (1, 5)),
        ("data", "littlefs", (1, 0x83)),
        ("data", "tee_ota", (1, 0x90)),
        ("0x40", "", (0x40, 6)),
        ("64", "254", (0x40, 0xFE)),
        ("255", "255", (0xFF, 0xFF)),
        ("partition_table", "", (3, 6)),
        ("partition_table", "ota", (3, 1)),
    ],
)
def test_types_and_subtypes(type_: str, subtype: str, numbers: tuple[int, int]) -> None:
    row = only(f"a,{type_},{subtype},0x10000,0x2000")
    assert (row.type, row.subtype) == numbers


@pytest.mark.parametrize(
    ("csv", "field", "found"),
    [
        ("a", "type", "nothing"),
        ("a,,nvs,,16K", "type", "nothing"),
        ("a,dat,nvs,,16K", "type", "dat"),
        ("a,256,nvs,,16K", "type", "256"),
        ("a,-1,nvs,,16K", "type", "-1"),
        ("a,datak,nvs,,16K", "type", "datak"),
        ("a,app,,,1M", "App partition cannot have an empty subtype", "nothing"),
        ("a,app,nvs,,1M", "subtype", "nvs"),
        ("a,app,ota_16,,1M", "subtype", "ota_16"),
        ("a,data,factory,,1M", "subtype", "factory"),
        ("a,data,256,,1M", "subtype", "256"),
        ("a,0x40,nvs,,1M", "subtype", "nvs"),
        ("a,data,nvs", "size", "nothing"),
        ("a,data,nvs,,", "size", "nothing"),
        ("a,data,nvs,,16K,Encrypted", "flags", "Encrypted"),
        ("a,data,nvs,,16K,encrypted: readonly", "flags", '" readonly"'),
        ("a,data,nvs,,16K,encrypted;readonly", "flags", '"encrypted;readonly"'),
        ("a,bootloader,ota,N/A,", "offset", '"N/A"'),
        ("a,bootloader,ota,,", "size", "no address"),
        ("a,bootloader,primary,,", "offset", "no address"),
        ("a,bootloader,recovery,0x10000,", "offset", "no address"),
        ("a,bootloader,,,4K", "size", "no address"),
    ],
)
def test_field_errors(csv: str, field: str, found: str) -> None:
    error = refusal(f"# a comment\n{csv}\n")
    assert error.err == EspErr.ESP_ERR_INVALID_ARG
    assert (error.fact["field"], error.fact["offset"], error.fact["found"]) == (f"line 2: {field}", 2, found)


def test_the_first_wrong_field_of_the_first_wrong_line_is_named() -> None:
    assert refusal("a,,,x,y,z\nb").fact["field"] == "line 1: type"
    assert refusal("a,data,x,y,z,f").fact["field"] == "line 1: subtype"
    assert refusal("a,data,nvs,y,z,f").fact["field"] == "line 1: offset"
    assert refusal("a,data,nvs,,z,f").fact["field"] == "line 1: size"


def test_a_missing_option_is_named() -> None:
    assert "--primary-bootloader-offset" in str(refusal("a,bootloader,primary,,"))
    recovery = refusal("a,bootloader,recovery,,", primary_bootloader_offset=0)
    assert "--recovery-bootloader-offset" in str(recovery)


@pytest.mark.parametrize("offset", [0x8000, 0x9000])
def test_the_bootloader_lies_below_the_table(offset: int) -> None:
    assert "--primary-bootloader-offset" in str(refusal(NVS, primary_bootloader_offset=offset))


def test_flags() -> None:
    for text, flags in [
        ("", (False, False)),
        ("encrypted", (True, False)),
        ("readonly", (False, True)),
        ("readonly:encrypted", (True, True)),
        (":readonly::", (False, True)),
    ]:
        row = only(f"a,data,fat,,16K,{text}")
        assert (row.encrypted, row.readonly) == flags


def test_a_long_field_is_cut_in_the_message() -> None:
    error = refusal(f"a,{'x' * 100_000},nvs,,16K")
    assert error.fact["found"] == "x" * 40 + "..."


# ------------------------------------------------------------------------------------------------------------ placement


@pytest.mark.parametrize(
    ("csv", "message"),
    [
        ("a,data,nvs,0x8000,16K", "0x9000 or higher, where the partition table ends"),
        ("a,data,nvs,-1,16K", "offset -0x1, expected 0x9000 or higher"),
        ("a,data,nvs,,16K\nb,data,phy,0xC000,4K", "0xd000 or higher, where line 1 ends"),
        ("a,data,nvs,0x20000,16K\nb,data,phy,0x10000,4K", "0x24000 or higher, where line 1 ends"),
        ("a,data,nvs,,16K\n\nb,app,factory,,1M\nc,data,phy,0x20000,4K", "0x110000 or higher, where line 3 ends"),
    ],
)
def test_addresses_ascend_without_overlap(csv: str, message: str) -> None:
    error = refusal(csv)
    assert "overlap" in str(error)
    assert message in str(error)
    assert error.fact["offset"] == len(csv.splitlines())


def test_automatic_offsets_are_aligned_by_type() -> None:
    csv = "n,data,nvs,,0x3100\nf,app,factory,,1M\np,data,phy,,4K\no,app,ota_0,,1M\nx,0x40,,,1"
    assert [row.offset for row in PartitionTable.from_csv(csv)] == [0x9000, 0x10000, 0x110000, 0x120000, 0x220000]


def test_a_negative_size_is_the_address_of_the_end() -> None:
    table = PartitionTable.from_csv("a,data,nvs,,-0x10000\nb,app,factory,,-2M")
    assert [(row.offset, row.size) for row in table] == [(0x9000, 0x7000), (0x10000, 0x1F0000)]
    error = refusal("a,data,nvs,0x20000,-64K")
    assert (error.fact["field"], error.fact["found"]) == ("line 1: size", "an end at 0x10000")


def test_primary_rows_do_not_move_the_others() -> None:
    table = PartitionTable.from_csv(
        "a,data,nvs,,16K\nt,partition_table,primary,ignored,ignored\nb,bootloader,primary,N/A,N/A\nc,data,phy,,4K",
        primary_bootloader_offset=0x1000,
    )
    assert [(row.offset, row.size) for row in table] == [
        (0x9000, 0x4000),
        (0x8000, 0x1000),
        (0x1000, 0x7000),
        (0xD000, 0x1000),
    ]


# --------------------------------------------------------------------------------------------------------------- output


@pytest.mark.parametrize(
    ("row", "line"),
    [
        (Partition("a", 0, 0x1F, 0x10000, 3 << 20), "a,app,ota_15,0x10000,3M,"),
        (Partition("a", 1, 2, 0x9000, 0x4000, encrypted=True), "a,data,nvs,0x9000,16K,encrypted"),
        (Partition("a", 1, 2, 0x9000, 0x400, readonly=True), "a,data,nvs,0x9000,1K,readonly"),
        (
            Partition("a", 1, 2, 0x9000, 0x4001, encrypted=True, readonly=True),
            "a,data,nvs,0x9000,0x4001,encrypted:readonly",
        ),
        (Partition("a", 1, 0x99, 0, 0), "a,data,153,0x0,0M,"),
        (Partition("", 0x40, 0, 0xFFFFF000, 0xFFFFFFFF), ",64,0,0xfffff000,0xffffffff,"),
        (Partition("a", 2, 0, 0x1000, 0x7000), "a,bootloader,primary,0x1000,28K,"),
        (Partition("a", 3, 1, 0x1000, 0x1000), "a,partition_table,ota,0x1000,4K,"),
        (Partition("a", 3, 2, 0x1000, 0x1000), "a,partition_table,2,0x1000,4K,"),
    ],
)
def test_rows_as_text(row: Partition, line: str) -> None:
    header = "# ESP-IDF Partition Table\n# Name, Type, SubType, Offset, Size, Flags\n"
    assert PartitionTable([row]).to_csv() == f"{header}{line}\n"


def test_an_error_says_everything_in_one_sentence() -> None:
    error = refusal("a,data,nvs,,16K\nota_1,app,ota_1,,0x100800")
    assert isinstance(error, PartitionTableError)
    assert str(error) == (
        "ESP_ERR_INVALID_ARG (0x102): line 2: size of ota_1 is not aligned: "
        "found 0x100800, expected a multiple of 0x1000"
    )
