"""The two readers on the device: what the bootloader's verifier and the app's loader make of the same bytes."""

from __future__ import annotations

import pytest
from partition_bytes import END, OFFSET, flash_with, md5_row, padded, row

from py_esp_ota._core import Flash, LogLine, Partition, PartitionTable, verify_partition_table
from py_esp_ota.errors import EspErr, FlashError, PartitionTableError, PowerLoss

FLASH_SIZE = 0x400000
A = row("a")
B = row("b", offset=0xD000)
NOT_FOUND, STATE, SIZE = EspErr.ESP_ERR_NOT_FOUND, EspErr.ESP_ERR_INVALID_STATE, EspErr.ESP_ERR_INVALID_SIZE


def rows(count: int) -> bytes:
    return b"".join(row(f"p{i}", offset=0x9000 + 0x1000 * i, size=0x1000) for i in range(count))


# Bytes, what the verifier says (a count of rows or an error), what the loader says (likewise).
TABLES: dict[str, tuple[bytes, int | EspErr, int | EspErr]] = {
    "all FF": (END, STATE, NOT_FOUND),
    "an MD5 row only": (md5_row(b"") + END, 0, 0),
    "no MD5 row": (A + B + END, 2, NOT_FOUND),
    "rows and MD5": (A + B + md5_row(A + B) + END, 2, 2),
    "wrong MD5": (A + md5_row(B) + END, STATE, STATE),
    "two MD5 rows": (A + md5_row(A) * 2 + END, STATE, 1),
    "two MD5 rows, the second over the first": (A + md5_row(A) + md5_row(A + md5_row(A)) + END, STATE, 1),
    "MD5 row in the middle": (A + md5_row(A) + B + END, 2, 1),
    "MD5 row with other fill": (A + md5_row(A, fill=b"\x00") + END, 1, 1),
    "end row with garbage": (A + md5_row(A) + b"\xff\xff\xff\xff" + b"x" * 28, 1, 1),
    "row FF FF 00 FF": (A + b"\xff\xff\x00\xff" + b"\xff" * 28, STATE, NOT_FOUND),
    "row FF FF FF 00": (A + b"\xff\xff\xff\x00" + b"\xff" * 28, STATE, NOT_FOUND),
    "bad magic": (A + row("b", magic=0xAA50) + END, STATE, NOT_FOUND),
    "bad magic after the MD5 row": (A + md5_row(A) + row("b", magic=0), STATE, 1),
    "95 rows and an end": (rows(95) + END, 95, NOT_FOUND),
    "96 rows": (rows(96), STATE, NOT_FOUND),
    "94 rows, MD5 and an end": (rows(94) + md5_row(rows(94)) + END, 94, 94),
    "95 rows and MD5": (rows(95) + md5_row(rows(95)), STATE, 95),
    "100 rows and MD5": (rows(100) + md5_row(rows(100)), STATE, 100),
    "128 rows": (rows(128), STATE, NOT_FOUND),
    "a row to the very end of the flash": (row(offset=0x3FF000, size=0x1000) + END, 1, NOT_FOUND),
    "a row that wraps": (row(offset=0xFFFFF000, size=0x2000) + END, SIZE, NOT_FOUND),
    "one byte past the end": (row(offset=0x3FF000, size=0x1001) + END, SIZE, NOT_FOUND),
    "past the end, with MD5": (A + B[:8] + b"\xff" * 24 + md5_row(A + B[:8] + b"\xff" * 24) + END, SIZE, 2),
    "empty at the end of the flash": (row(offset=FLASH_SIZE, size=0) + END, 1, NOT_FOUND),
    "empty past the end of the flash": (row(offset=FLASH_SIZE + 1, size=0) + END, SIZE, NOT_FOUND),
    "size wrong before magic wrong": (row(size=0x400000) + row("b", magic=0) + END, SIZE, NOT_FOUND),
    "overlap, duplicates, misalignment": (A + A + row("a", 0, 0, 0x9001, 1) + END, 3, NOT_FOUND),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_bootloaders_verifier(name: str) -> None:
    data, expected, _ = TABLES[name]
    verdict = verify_partition_table(padded(data)[:0xC00], FLASH_SIZE)
    if isinstance(expected, EspErr):
        assert verdict.err == expected
        assert verdict.rows == []
        assert verdict.fault is not None
        assert verdict.fault.err == expected
        assert [(line.level, line.tag) for line in verdict.log] == [("E", "flash_parts")]
    else:
        assert (verdict.err, verdict.fault, verdict.log) == (EspErr.ESP_OK, None, [])
        assert len(verdict.rows) == expected


@pytest.mark.parametrize("name", TABLES)
def test_the_apps_loader(name: str) -> None:
    data, _, expected = TABLES[name]
    flash = flash_with(data)
    if isinstance(expected, EspErr):
        with pytest.raises(PartitionTableError) as caught:
            PartitionTable.load(flash)
        assert caught.value.err == expected
    else:
        assert len(PartitionTable.load(flash)) == expected


@pytest.mark.parametrize(
    ("data", "line", "field", "offset"),
    [
        (END, "partition 0 invalid magic number 0xffff", "row 0: magic number", 0),
        (A + row(magic=0x1234) + END, "partition 1 invalid magic number 0x1234", "row 1: magic number", 32),
        (A + b"\xff\xff\x00\xff", "partition table has no terminating entry, not valid", "end of table", 32),
        (
            A + row("b", offset=0x3FF000, size=0x2000) + END,
            "partition 1 invalid - offset 0x3ff000 size 0x2000 exceeds flash chip size 0x400000",
            "row 1: position of b",
            32,
        ),
        (A + md5_row(B) + END, "Incorrect MD5 checksum", "row 1: MD5", 32),
        (A + md5_row(A) * 2 + END, "Only one MD5 checksum is allowed", "row 2: MD5", 64),
        (rows(96), "partition table has no terminating entry, not valid", "end of table", 0xC00),
        (b"", "partition table has no terminating entry, not valid", "end of table", 0),
    ],
)
def test_the_verifier_prints_and_names_the_first_fault(data: bytes, line: str, field: str, offset: int) -> None:
    verdict = verify_partition_table(data, FLASH_SIZE)
    (said,) = verdict.log
    assert isinstance(said, LogLine)
    assert (said.level, said.tag, said.text) == ("E", "flash_parts", line)
    assert verdict.fault is not None
    assert (verdict.fault.field, verdict.fault.offset, verdict.fault.err) == (field, offset, verdict.err)
    assert verdict.fault.found
    assert verdict.fault.expected


def test_the_verifier_hands_on_an_md5_row_in_the_middle() -> None:
    first, second = verify_partition_table(padded(A + md5_row(A) + B), FLASH_SIZE).rows
    assert (first.label, first.type, first.subtype) == ("a", 1, 2)
    assert (second.type, second.subtype, second.offset) == (0xFF, 0xFF, 0xFFFFFFFF)


def test_rows_as_the_verifier_reads_them() -> None:
    data = row(b"0123456789abcdef", 0, 0x10, 0x10000, 0x1000, flags=3) + row(b"\xffx\0y", 0x40, 7, 0, 0) + END
    first, second = verify_partition_table(data, FLASH_SIZE).rows
    assert first == Partition("0123456789abcdef", 0, 0x10, 0x10000, 0x1000, encrypted=True, readonly=True)
    assert (second.label, second.type, second.subtype, second.offset, second.size) == ("\ufffdx", 0x40, 7, 0, 0)


@pytest.mark.parametrize("flash_size", [0, 0x200000, 0x400000, 0xFFFFFFFF])
def test_the_flash_size_is_the_only_measure(flash_size: int) -> None:
    verdict = verify_partition_table(PartitionTable.builtin("two_ota").to_bytes(), flash_size)
    assert verdict.err == (EspErr.ESP_OK if flash_size >= 0x310000 else SIZE)


# ----------------------------------------------------------------------------------------------------------- the loader


def test_the_loader_reads_one_sector_once() -> None:
    flash = flash_with(PartitionTable.builtin("two_ota").to_bytes())
    assert PartitionTable.load(flash) == PartitionTable.builtin("two_ota")
    assert (flash.stats.reads, flash.stats.read_bytes) == (1, 4096)


def test_the_table_may_lie_elsewhere() -> None:
    flash = flash_with(PartitionTable.builtin("singleapp").to_bytes(), offset=0x10000)
    assert PartitionTable.load(flash, 0x10000) == PartitionTable.builtin("singleapp")
    with pytest.raises(PartitionTableError):
        PartitionTable.load(flash, OFFSET)


@pytest.mark.parametrize(
    ("data", "count"),
    [(END, 0), (A + B + END, 2), (A + md5_row(B) + B, 1), (A + row(magic=0) + B, 1), (rows(128), 128)],
)
def test_without_md5_the_first_other_row_ends_the_scan(data: bytes, count: int) -> None:
    assert len(PartitionTable.load(flash_with(data), md5=False)) == count


def test_the_loader_says_what_is_missing() -> None:
    for data, err, found in [
        (A + END, NOT_FOUND, "ffff"),
        (rows(128), NOT_FOUND, "the end of the sector"),
        (A + md5_row(B), STATE, md5_row(B)[16:].hex()),
    ]:
        with pytest.raises(PartitionTableError) as caught:
            PartitionTable.load(flash_with(data))
        assert (caught.value.err, caught.value.fact["found"]) == (err, found)
        assert "MD5" in str(caught.value)


def test_nothing_is_encrypted_while_flash_encryption_is_off() -> None:
    data = row("keys", 1, 4, flags=1) + row("a", 1, 2, 0xD000, flags=3)
    table = PartitionTable.load(flash_with(data + md5_row(data)))
    assert [(part.encrypted, part.readonly) for part in table] == [(False, False), (False, True)]


def test_outside_the_flash_there_is_no_table() -> None:
    flash = Flash()
    for offset in (flash.size - 0xC00, flash.size, 0xFFFFFFFF):
        with pytest.raises(FlashError) as caught:
            PartitionTable.load(flash, offset)
        assert caught.value.err == EspErr.ESP_ERR_INVALID_ARG


def test_a_dead_device_loads_nothing() -> None:
    flash = flash_with(A + md5_row(A))
    flash.power_off()
    with pytest.raises(PowerLoss):
        PartitionTable.load(flash)
