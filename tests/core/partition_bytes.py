"""Partition tables for the judge's own tests, right or wrong at will, from the format's description alone."""

from __future__ import annotations

import hashlib
import struct

from py_esp_ota._core import Flash, PartitionTable
from py_esp_ota.errors import PartitionTableError

ROW = struct.Struct("<HBBII16sI")
END = b"\xff" * 32
TABLE_SIZE = 0xC00
OFFSET = 0x8000


def row(
    label: str | bytes = "a",
    type_: int = 1,
    subtype: int = 2,
    offset: int = 0x9000,
    size: int = 0x4000,
    *,
    flags: int = 0,
    magic: int = 0x50AA,
) -> bytes:
    name = label.encode() if isinstance(label, str) else label
    return ROW.pack(magic, type_, subtype, offset, size, name, flags)


def md5_row(rows: bytes, *, fill: bytes = b"\xff") -> bytes:
    return b"\xeb\xeb" + fill * 14 + hashlib.md5(rows).digest()


def padded(data: bytes) -> bytes:
    return data.ljust(TABLE_SIZE, b"\xff")


def flash_with(data: bytes, *, offset: int = OFFSET) -> Flash:
    """A flash that holds a table and nothing else."""
    return Flash.from_bytes(b"\xff" * offset + data, size=0x400000)


def refusal(csv: str, **placement: int) -> PartitionTableError:
    """The error for a CSV that has to be refused."""
    try:
        made = PartitionTable.from_csv(csv, **placement)
    except PartitionTableError as error:
        return error
    raise AssertionError(f"accepted: {made.to_csv()}")
