"""Images made wrong in one or more ways, from a seed: what the verifier and esptool are asked about alike."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator

from py_esp_ota.firmware import Firmware, bootloader, image, resealed

CHIPS = (
    "esp32",
    "esp32s2",
    "esp32c3",
    "esp32s3",
    "esp32c2",
    "esp32c6",
    "esp32h2",
    "esp32p4",
    "esp32c61",
    "esp32c5",
    "esp32h21",
    "esp32h4",
    "esp32s31",
)
_SMALLEST = 0x240

Mutation = Callable[[random.Random, bytearray], bytearray]


def _flip_header(rng: random.Random, data: bytearray) -> bytearray:
    data[rng.randrange(24)] ^= 1 << rng.randrange(8)
    return data


def _flip_anywhere(rng: random.Random, data: bytearray) -> bytearray:
    if data:
        data[rng.randrange(len(data))] ^= rng.randrange(1, 256)
    return data


def _segment_count(rng: random.Random, data: bytearray) -> bytearray:
    data[1] = rng.choice([0, 1, 3, 5, 16, 17, 255])
    return data


def _segment_length(rng: random.Random, data: bytearray) -> bytearray:
    value = rng.choice([0, 1, 2, 4, 0x100, 0xFFFFFC, 0x1000000, 0xFFFFFFFC, 0xFFFFFFFF, rng.randrange(0x400)])
    data[28:32] = struct.pack("<I", value)
    return data


def _load_address(rng: random.Random, data: bytearray) -> bytearray:
    data[24:28] = struct.pack("<I", rng.choice([0, 4, 0xFFFFFFFF, rng.getrandbits(32)]))
    return data


def _truncate(rng: random.Random, data: bytearray) -> bytearray:
    return data[: rng.randrange(len(data) + 1)]


def _append(rng: random.Random, data: bytearray) -> bytearray:
    return data + rng.randbytes(rng.randrange(1, 80))


def _hash_byte(rng: random.Random, data: bytearray) -> bytearray:
    data[23] = rng.choice([0, 1, 2, 255])
    return data


def _reseal(rng: random.Random, data: bytearray) -> bytearray:
    try:
        return bytearray(resealed(bytes(data)))
    except ValueError:
        return data


MUTATIONS: tuple[Mutation, ...] = (
    _flip_header,
    _flip_anywhere,
    _segment_count,
    _segment_length,
    _load_address,
    _truncate,
    _append,
    _hash_byte,
    _reseal,
)


def _sound(rng: random.Random, chip: str) -> bytes:
    kind = rng.randrange(4)
    if kind == 0:
        return bootloader(chip=chip)
    if kind == 1:
        segments = [(rng.getrandbits(32), rng.randbytes(4 * rng.randrange(70))) for _ in range(rng.randrange(17))]
        return image(segments, chip=chip, hash_appended=rng.random() < 0.8)
    size = _SMALLEST + 16 * rng.randrange(40)
    return Firmware("lamp", f"1.{rng.randrange(99)}", chip=chip, size=size, hash_appended=rng.random() < 0.9).to_bytes()


def images(seed: int, numbers: range) -> Iterator[tuple[str, bytes]]:
    """The images of these numbers, of all chips in turn, a tenth of them sound; each the same for the same seed."""
    for number in numbers:
        rng = random.Random(f"{seed}/{number}")
        chip = CHIPS[number % len(CHIPS)]
        data = bytearray(_sound(rng, chip))
        for _ in range(rng.choice([0, 1, 1, 1, 1, 2, 2, 3, 1, 1])):
            if len(data) >= 32:
                data = rng.choice(MUTATIONS)(rng, data)
        yield chip, bytes(data)
