"""Flashes drawn from a seed: tables, otadata in every state, and apps that are sound, damaged or strange."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

from board import entry, slots, table

from py_esp_ota import PartitionTable
from py_esp_ota._core import Flash
from py_esp_ota.firmware import Firmware, app_desc, flipped, image, merge, rehashed, resealed, rewritten

FLASH_SIZE = 0x400000
TABLE_AT, OTADATA_AT, SECTOR = 0x8000, 0xD000, 0x1000
DROM, IROM, DRAM, IRAM, RTC = 0x3C000000, 0x42000000, 0x3FC88000, 0x40380000, 0x50000000
_STATES = ("NEW", "PENDING_VERIFY", "VALID", "INVALID", "ABORTED", "UNDEFINED", "7", "0x80000002")
_WORDS = (0, 1, 3, 4, 0x20, 0xFFFC, 0x10000, 0xFFFFFF, 0xFFFFFFFC, 0xFFFFFFFF)

Change = Callable[[random.Random, bytes], bytes]


def app(rng: random.Random) -> bytes:
    """A small app as a build makes it."""
    return Firmware("bench", str(rng.randrange(1000)), size=16 * rng.randrange(0x28, 0x60)).to_bytes()


def strange(rng: random.Random) -> bytes:
    """Segments that no linker would make, with the sums made right."""
    segments: list[tuple[int, bytes]] = []
    at = 24
    for index in range(rng.randrange(1, 7)):
        at += 8
        length = 4 * rng.choice([0, 1, 2, 4, 17, 64, rng.randrange(200)])
        data = rng.randbytes(length)
        if index == 0 and rng.random() < 0.8:
            data = app_desc("bench", "strange") + data
        kind = rng.random()
        if kind < 0.6:
            crooked = rng.choice([0, 0, 0, 0, 0, 0, 4, 0x1000])
            address = rng.choice([DROM, IROM]) + rng.randrange(4) * 0x10000 + at % 0x10000 + crooked
        elif kind < 0.9:
            address = rng.choice([DRAM, IRAM, RTC]) + 4 * rng.randrange(0x400)
        else:
            address = rng.choice(
                [0, 0x3FCDE000, 0x403CBF10, 0x3FCD5820, 0x3FCA0000, 0x4037C000, 0x3FC7FFFC, 0x50001FFC]
            )
        segments.append((address, data))
        at += len(data)
    return image(segments, entry_addr=_entry(rng), hash_appended=rng.random() < 0.8)


def _entry(rng: random.Random) -> int:
    return rng.choice([IRAM, IRAM, IRAM + 0x10, IROM + 0x10020, IROM + 0x7FFFF0, DRAM, DROM, 0x12345678, 0])


def _words_in_header(rng: random.Random, data: bytes) -> bytes:
    field, values = rng.choice(
        [
            ("magic", [0, 0xE8, 0xFF]),
            ("segment_count", [0, 1, 2, 3, 5, 16, 17, 255]),
            ("chip_id", [0, 4, 6, 13, 0xFFFF]),
            ("min_chip_rev_full", [0, 3, 4, 5, 99, 100, 199, 0xFFFF]),
            ("max_chip_rev_full", [0, 3, 4, 5, 99, 199, 0xFFFF]),
            ("hash_appended", [0, 1, 2, 255]),
        ]
    )
    return rewritten(data, **{field: rng.choice(values)})


def _words_in_segments(rng: random.Random, data: bytes) -> bytes:
    field = rng.choice(["load_addr", "data_len"])
    return rewritten(data, **{field: {rng.randrange(data[1]): rng.choice([*_WORDS, rng.getrandbits(32)])}})


def _bits(rng: random.Random, data: bytes) -> bytes:
    return flipped(data, *(rng.randrange(len(data)) for _ in range(rng.choice([1, 1, 2, 5]))))


def _entry_address(rng: random.Random, data: bytes) -> bytes:
    return data[:4] + struct.pack("<I", _entry(rng)) + data[8:]


def _cut(rng: random.Random, data: bytes) -> bytes:
    return data[: rng.randrange(24, len(data))]


def _sound(_rng: random.Random, data: bytes) -> bytes:
    return data


_CHANGES: tuple[Change, ...] = (
    _sound, _sound, _words_in_header, _words_in_segments, _bits, _entry_address, _cut,
)  # fmt: skip


def any_app(rng: random.Random) -> bytes:
    """What a slot may hold."""
    made = strange(rng) if rng.random() < 0.35 else app(rng)
    changed = rng.choice(_CHANGES)(rng, made)
    for again in (resealed, rehashed):
        if rng.random() < 0.4:
            try:
                changed = again(changed)
            except ValueError:
                continue
    return changed


def _entries(rng: random.Random) -> tuple[str, str]:
    def one() -> str:
        if rng.random() < 0.15:
            return "-"
        seq = rng.choice([0, 1, 2, 3, 4, 5, 6, 7, 0xFFFFFFFE, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000])
        return f"{seq}/{rng.choice(_STATES)}" + "!" * (rng.random() < 0.1)

    return one(), one()


def _table(rng: random.Random) -> tuple[PartitionTable, bytes]:
    kind = rng.random()
    if kind < 0.75:
        rows = slots(rng.randrange(0 if kind < 0.1 else 1, 4), factory=rng.random() < 0.5, test=rng.random() < 0.1)
    else:
        names = [("nvs", 1, 2, 0x9000, 0x4000), ("otadata", 1, 0, OTADATA_AT, rng.choice([0x1000, 0x2000, 0x3000]))]
        names += [
            (f"app{index}", 0, rng.choice([0, 0x10, 0x11, 0x12, 0x1F, 0x20]), 0x10000 * rng.randrange(1, 6), size)
            for index, size in enumerate(rng.choices([0, 0x200, 0x1000, 0x10000, 0x400000], k=3))
        ]
        rows = table(*names)
    data = rows.to_bytes(md5=rng.random() < 0.95)
    return rows, flipped(data, rng.randrange(0xC0)) if rng.random() < 0.05 else data


def drawn(rng: random.Random, bootloader: bytes) -> Flash:
    """One flash of 4 MB."""
    rows, data = _table(rng)
    parts = {0: bootloader, TABLE_AT: data}
    for index, text in enumerate(_entries(rng)):
        parts[OTADATA_AT + index * SECTOR] = entry(text)
    for offset in sorted({row.offset for row in rows if row.type == 0}):
        if rng.random() < 0.9:
            parts[offset] = any_app(rng)
    return Flash.from_bytes(merge(parts), size=FLASH_SIZE)
