"""What a chip does with bytes in hardware and ROM: words from memory, SHA-256, MD5, CRC.

The one place of this room that takes bytes apart. The hashes are Python's and not the core's on purpose: this room is a
second opinion on the core, so it may not share its arithmetic.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Sequence
from zlib import crc32

_SINGLE = 4
_WORD = 0xFFFFFFFF
_SHA_1 = 0x5A827999, 0x6ED9EBA1, 0x8F1BBCDC, 0xCA62C1D6

__all__ = [
    "bits_of_float",
    "crc32_le",
    "float_of_bits",
    "md5",
    "of_words",
    "sha1_compress",
    "sha256",
    "signed",
    "to_word",
    "word",
    "words",
]


def word(data: bytes | bytearray, at: int = 0) -> int:
    """The little-endian 32-bit word at ``at``; what lies beyond the end is zero."""
    return int.from_bytes(data[at : at + 4], "little")


def words(data: bytes | bytearray) -> tuple[int, ...]:
    """All words, in order; what lies beyond the end is zero."""
    whole = data + bytes(-len(data) % 4)
    return struct.unpack(f"<{len(whole) // 4}I", whole)


def of_words(values: Sequence[int]) -> bytes:
    """The same the other way round; higher bits are lost."""
    return struct.pack(f"<{len(values)}I", *[value & _WORD for value in values])


def to_word(value: int) -> bytes:
    """A word as it lies in memory; higher bits are lost."""
    return (value & 0xFFFFFFFF).to_bytes(4, "little")


def signed(value: int, bits: int = 32) -> int:
    """A register's content read as a signed number."""
    return value - (1 << bits) if value >> (bits - 1) & 1 else value


def sha256(data: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(data).digest()


def sha1_compress(state: bytes, data: bytes) -> bytes:
    """What SHA-1 makes of its state, 20 bytes, with the whole 64-byte blocks of ``data`` (FIPS 180-4)."""
    whole = list(struct.unpack(">5I", state))
    for at in range(0, len(data), 64):
        schedule = list(struct.unpack(">16I", data[at : at + 64]))
        for index in range(16, 80):
            mixed = schedule[index - 3] ^ schedule[index - 8] ^ schedule[index - 14] ^ schedule[index - 16]
            schedule.append(_turned(mixed, 1))
        a, b, c, d, e = whole
        for index, value in enumerate(schedule):
            choice = (b & c | ~b & d, b ^ c ^ d, b & c | b & d | c & d, b ^ c ^ d)[index // 20]
            e, d, c, b, a = d, c, _turned(b, 30), a, _turned(a, 5) + choice + e + _SHA_1[index // 20] + value & _WORD
        whole = [one + other & _WORD for one, other in zip(whole, (a, b, c, d, e), strict=True)]
    return struct.pack(">5I", *whole)


def _turned(value: int, by: int) -> int:
    return (value << by | value >> 32 - by) & _WORD


def md5(data: bytes) -> bytes:
    """MD5, as the partition table carries it."""
    return hashlib.md5(data, usedforsecurity=False).digest()


def crc32_le(crc: int, data: bytes) -> int:
    """``esp_rom_crc32_le``."""
    return crc32(data, crc)


def float_of_bits(bits: int, size: int) -> float:
    """The IEEE 754 number of ``size`` bytes, 4 or 8."""
    (value,) = struct.unpack("<f" if size == _SINGLE else "<d", (bits & (1 << 8 * size) - 1).to_bytes(size, "little"))
    return float(value)


def bits_of_float(value: float, size: int) -> int:
    """The same the other way round: rounded to the nearest, too large a number to infinity."""
    try:
        data = struct.pack("<f" if size == _SINGLE else "<d", value)
    except OverflowError:
        data = struct.pack("<f", math.copysign(math.inf, value))
    return int.from_bytes(data, "little")
