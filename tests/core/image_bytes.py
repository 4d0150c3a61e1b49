"""Images for the judge's own tests, right or wrong at will, from the format's description alone."""

from __future__ import annotations

import hashlib
import struct
from functools import reduce
from operator import xor

from py_esp_ota._core import Flash, Verdict, verify_image

CHIP_IDS = {
    "esp32": 0,
    "esp32s2": 2,
    "esp32c3": 5,
    "esp32s3": 9,
    "esp32c2": 12,
    "esp32c6": 13,
    "esp32h2": 16,
    "esp32p4": 18,
    "esp32c61": 20,
    "esp32c5": 23,
    "esp32h21": 25,
    "esp32h4": 28,
    "esp32s31": 32,
}
MMU_CONFIGURABLE = {"esp32c2", "esp32c6", "esp32c61", "esp32h2", "esp32h21", "esp32h4", "esp32s31"}
MAP_32BIT = {"esp32s3", "esp32c5", "esp32c61", "esp32h4", "esp32p4", "esp32s31"}

# One address in mapped flash, congruent to the data of segment 0, and one in plain RAM that no bootloader uses.
DROM = {
    "esp32": 0x3F400020,
    "esp32s2": 0x3F000020,
    "esp32c3": 0x3C000020,
    "esp32s3": 0x3C000020,
    "esp32c2": 0x3C000020,
    "esp32p4": 0x40000020,
    "esp32s31": 0x40000020,
}
RAM = {
    "esp32": 0x3FFB0000,
    "esp32s2": 0x3FFC0000,
    "esp32c3": 0x3FC88000,
    "esp32s3": 0x3FC98000,
    "esp32c2": 0x3FCA8000,
    "esp32h4": 0x40818000,
    "esp32p4": 0x4FF08000,
    "esp32s31": 0x2F008000,
}


def drom(chip: str) -> int:
    return DROM.get(chip, 0x42000020)


def ram(chip: str) -> int:
    return RAM.get(chip, 0x40808000)


def app_desc(
    *,
    magic: int = 0xABCD5432,
    secure_version: int = 0,
    version: bytes = b"1.0.0",
    project: bytes = b"proj",
    idf_ver: bytes = b"v5.5",
    min_blk: int = 0,
    max_blk: int = 99,
    mmu: int = 16,
    mode: int = 3,
) -> bytes:
    head = struct.pack("<II8x32s32s", magic, secure_version, version, project)
    text = struct.pack("<16s16s32s32x", b"12:00:00", b"Jan 01 2025", idf_ver)
    return head + text + struct.pack("<HHBB74x", min_blk, max_blk, mmu, mode)


def bootloader_desc(*, idf_ver: bytes = b"v6.1", date_time: bytes = b"Jan  1 2026 12:00:00") -> bytes:
    return struct.pack("<BxxBI32s24s16x", 0x50, 0, 1, idf_ver, date_time)


def header(
    count: int,
    *,
    magic: int = 0xE9,
    chip_id: int = 5,
    min_rev: int = 0,
    max_rev: int = 199,
    hash_appended: int = 1,
    entry: int = 0x40380000,
) -> bytes:
    lead = struct.pack("<BBBBIB3x", magic, count, 2, 0x20, entry, 0xEE)
    return lead + struct.pack("<HBHH4xB", chip_id, 0, min_rev, max_rev, hash_appended)


def image(
    segments: list[tuple[int, bytes]] | None = None,
    *,
    lengths: dict[int, int] | None = None,
    count: int | None = None,
    checksum: int | None = None,
    digest: bytes | None = None,
    fill: bytes = b"\0",
    **fields: int,
) -> bytes:
    """An image with these segments (default: one with a descriptor); the keywords tell where it lies.

    ``lengths`` replaces the length in a segment header, ``checksum`` and ``digest`` replace the right ones, and the
    rest are header fields.
    """
    if segments is None:
        segments = [(0x3C000020, app_desc())]
    out = header(len(segments) if count is None else count, **fields)
    for index, (address, data) in enumerate(segments):
        out += struct.pack("<II", address, (lengths or {}).get(index, len(data))) + data
    total = reduce(xor, (byte for _, data in segments for byte in data), 0xEF)
    out += fill * (15 - len(out) % 16) + bytes([total if checksum is None else checksum])
    if fields.get("hash_appended", 1):
        out += hashlib.sha256(out).digest() if digest is None else digest
    return out


def sample(chip: str, **fields: int) -> bytes:
    """A sound app for any revision of ``chip``: descriptor, RAM, padding."""
    fields.setdefault("max_rev", 0)
    segments = [(drom(chip), app_desc()), (ram(chip), bytes(range(256))), (0, b"\x55" * 40)]
    return image(segments, chip_id=CHIP_IDS[chip], **fields)


def bootloader(chip: str, **fields: int) -> bytes:
    """A sound bootloader image for any revision of ``chip``."""
    fields.setdefault("max_rev", 0)
    return image(
        [(ram(chip), bootloader_desc()), (ram(chip) + 0x100, b"\x13\0\0\0" * 64)], chip_id=CHIP_IDS[chip], **fields
    )


def flash_with(data: bytes, offset: int = 0x10000, *, size: int = 0x400000, after: bytes = b"") -> Flash:
    flash = Flash(size)
    flash.program(offset, data + after)
    return flash


def judge(data: bytes, chip: str = "esp32c3", *, offset: int = 0x10000, size: int = 0x100000, **how: object) -> Verdict:
    """Put an image into an otherwise erased flash and verify it there."""
    return verify_image(flash_with(data, offset), offset, size, chip=chip, **how)  # type: ignore[arg-type]


def lines(verdict: Verdict) -> list[str]:
    """The console, level and tag included."""
    return [f"{line.level} {line.tag}: {line.text}" for line in verdict.log]
