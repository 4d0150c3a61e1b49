"""What a tool that flashes chips knows besides the images: each chip's numbers, and the files it passes on.

The numbers are esptool's, and so is every byte of the files (``merge-bin --format``). Part of the forge: nothing here
asks the judge.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Mapping

#: ``SPI_MODE_*`` of an image header.
MODES = {"qio": 0, "qout": 1, "dio": 2, "dout": 3}
#: ``ESP_IMAGE_FLASH_SIZE_*`` of an image header.
SIZES = {f"{1 << code}MB": code for code in range(8)}

_FIRST_CHIPS = {"80m": 0xF, "40m": 0, "26m": 1, "20m": 2}
_RISC_V = {"80m": 0xF, "40m": 0, "20m": 2}
#: The codes of ``--flash-freq``: each chip divides its own clock.
_FREQUENCIES = {
    "esp32": _FIRST_CHIPS,
    "esp32s2": _FIRST_CHIPS,
    "esp32s3": _FIRST_CHIPS,
    "esp32c3": _FIRST_CHIPS,
    "esp32p4": _FIRST_CHIPS,
    "esp32c2": {"60m": 0xF, "30m": 0, "20m": 1, "15m": 2},
    "esp32c5": _RISC_V,
    "esp32c61": _RISC_V,
    "esp32s31": _RISC_V,
    "esp32c6": {"80m": 0, "40m": 0, "20m": 2},  # its ROM would divide 80m wrongly
    "esp32h2": {"48m": 0xF, "24m": 0, "16m": 1, "12m": 2},
    "esp32h21": {"48m": 0xF, "24m": 0},
    "esp32h4": {"48m": 0xF, "24m": 0},
}
_FAMILIES = {
    "esp32": 0x1C5F21B0,
    "esp32s2": 0xBFDD4EEE,
    "esp32s3": 0xC47E5767,
    "esp32c2": 0x2B88D29C,
    "esp32c3": 0xD42BA06C,
    "esp32c5": 0xF71C0343,
    "esp32c6": 0x540DDF62,
    "esp32c61": 0x77D850C4,
    "esp32h2": 0x332726F6,
    "esp32h21": 0xB6DD00AF,
    "esp32h4": 0x9E0BAA8A,
    "esp32p4": 0x3D308E94,
    "esp32s31": 0x3101F7C1,
}
#: Every word that some chip knows.
FREQUENCIES = tuple(
    sorted({word for codes in _FREQUENCIES.values() for word in codes}, key=lambda word: -int(word[:-1]))
)

_UF2_START = struct.Struct("<8I")
_UF2_MAGIC = (0x0A324655, 0x9E5D5157)
_UF2_END = struct.pack("<I", 0x0AB16F30)
_UF2_DATA = 476
_UF2_FAMILY, _UF2_MD5 = 0x2000, 0x4000
_MD5_PART = 24

_HEX_BYTES = 16
_HEX_PAGE = 1 << 16


def frequency_code(chip: str, word: str) -> int:
    """The code of ``--flash-freq`` for this chip. Raises ``ValueError`` when it has no such frequency."""
    codes = _FREQUENCIES[chip]
    if word not in codes:
        raise ValueError(f"{chip} has no flash frequency {word}; it has {', '.join(codes)}")
    return codes[word]


def uf2(parts: Mapping[int, bytes], *, chip: str, chunk_size: int | None = None, md5: bool = True) -> bytes:
    """The parts as UF2: blocks of 512 bytes, each with its address; with ``md5`` each with its sum.

    Every part counts its blocks from zero. ``chunk_size`` is how many bytes of data a block has: as many as it can hold
    when not given. Raises ``ValueError`` when it holds fewer.
    """
    room = _UF2_DATA - (_MD5_PART if md5 else 0)
    size = room if chunk_size is None else chunk_size
    if not 0 < size <= room:
        raise ValueError(f"a UF2 block holds 1 to {room} bytes, not {size}")
    flags = _UF2_FAMILY | (_UF2_MD5 if md5 else 0)
    file = bytearray()
    for start, data in sorted(parts.items()):
        count = -(-len(data) // size)
        for number in range(count):
            address, chunk = start + number * size, data[number * size : (number + 1) * size]
            block = _UF2_START.pack(*_UF2_MAGIC, flags, address, len(chunk), number, count, _FAMILIES[chip]) + chunk
            if md5:
                block += struct.pack("<II", address, len(chunk)) + hashlib.md5(chunk, usedforsecurity=False).digest()
            file += block.ljust(_UF2_START.size + _UF2_DATA, b"\0") + _UF2_END
    return bytes(file)


def intel_hex(parts: Mapping[int, bytes]) -> bytes:
    """The parts as Intel HEX: records of 16 bytes, none across 64 KiB, and nothing for what lies between parts."""
    runs = list(_runs(parts))
    far = bool(runs) and runs[-1][0] + len(runs[-1][1]) > _HEX_PAGE
    lines, page = [], None
    for start, data in runs:
        at = start
        while at < start + len(data):
            if far and at // _HEX_PAGE != page:
                page = at // _HEX_PAGE
                lines.append(_record(0, 4, page.to_bytes(2, "big")))
            size = min(_HEX_BYTES, _HEX_PAGE - at % _HEX_PAGE)
            piece = data[at - start : at - start + size]
            lines.append(_record(at % _HEX_PAGE, 0, piece))
            at += len(piece)
    return "".join([*lines, _record(0, 1, b"")]).encode()


def _record(address: int, kind: int, data: bytes) -> str:
    body = struct.pack(">BHB", len(data), address, kind) + data
    return f":{body.hex().upper()}{-sum(body) & 0xFF:02X}\n"


def _runs(parts: Mapping[int, bytes]) -> Iterator[tuple[int, bytes]]:
    """Parts that touch are one run."""
    start, run = 0, b""
    for offset, data in sorted(parts.items()):
        if run and offset == start + len(run):
            run += data
            continue
        if run:
            yield start, run
        start, run = offset, data
    if run:
        yield start, run
