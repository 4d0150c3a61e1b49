"""A second reading of NVS pages that shares nothing with the core: every CRC, code, span and padding is checked.

It takes only what a finished, undamaged partition may hold, and says what is wrong with anything else.
"""

from __future__ import annotations

import struct
from zlib import crc32

SCALARS = {
    0x01: "<B",
    0x11: "<b",
    0x02: "<H",
    0x12: "<h",
    0x04: "<I",
    0x14: "<i",
    0x08: "<Q",
    0x18: "<q",
    0x24: "<f",
    0x28: "<d",
}
STATES = {0xFFFFFFFE: "ACTIVE", 0xFFFFFFFC: "FULL", 0xFFFFFFF8: "FREEING"}


def crc(data: bytes) -> int:
    return crc32(data, 0xFFFFFFFF)


def parse(image: bytes, *, damaged: bool = False) -> dict[tuple[str, str], int | float | str | bytes]:
    """All values by namespace and key. Raises ``AssertionError`` for whatever is not as it should be.

    ``damaged``: a page whose header a power cut spoiled is passed over, as it is on the device.
    """
    items = []
    sequence = set()
    for start in range(0, len(image), 4096):
        page = image[start : start + 4096]
        state, seq, version = struct.unpack_from("<IIB", page)
        header_crc = struct.unpack_from("<I", page, 28)[0]
        if page == b"\xff" * 4096 or (damaged and header_crc != crc(page[4:28])):
            continue
        assert state in STATES, f"page state {state:08x}"
        assert version in {0xFE, 0xFF}
        assert page[9:28] == b"\xff" * 19
        assert header_crc == crc(page[4:28])
        assert seq not in sequence
        sequence.add(seq)
        items += _items(page)
    return _values(items)


def _items(page: bytes):
    codes = [page[32 + i // 4] >> 2 * (i % 4) & 3 for i in range(128)]
    assert codes[126:] == [3, 3]
    i = 0
    while i < 126:
        entry = page[64 + 32 * i : 96 + 32 * i]
        if codes[i] == 3:
            assert entry == b"\xff" * 32, f"entry {i} is not free"
        if codes[i] != 2:
            assert codes[i] in {0, 3}
            i += 1
            continue
        ns, kind, span, chunk, stored = struct.unpack_from("<BBBBI", entry)
        key, data = entry[8:24], entry[24:]
        assert stored == crc(entry[:4] + entry[8:]), f"entry {i}"
        name = key.split(b"\0")[0]
        assert key == name.ljust(16, b"\0")
        assert len(name) < 16
        body = page[96 + 32 * i : 64 + 32 * (i + span)]
        if kind in {0x21, 0x41, 0x42}:
            size, pad, data_crc = struct.unpack("<HHI", data)
            assert pad == 0xFFFF
            assert span == 1 + -(-size // 32)
            assert codes[i : i + span] == [2] * span
            assert body[size:] == b"\xff" * (len(body) - size)
            assert data_crc == crc(body[:size])
            data = body[:size]
        else:
            assert span == 1
        assert (chunk != 0xFF) == (kind == 0x42)
        yield ns, kind, name.decode(), chunk, data
        i += span


def _values(items):
    names = {data[0]: key for ns, kind, key, _, data in items if ns == 0}
    chunks = {(ns, key, chunk): data for ns, kind, key, chunk, data in items if kind == 0x42}
    values = {}
    for ns, kind, key, _, data in items:
        if ns == 0:
            assert kind == 1
            assert data[1:] == b"\xff" * 7
            continue
        if kind == 0x42:
            continue
        where = names[ns], key
        assert where not in values, f"{where} twice"
        if kind == 0x48:
            size, count, start, pad = struct.unpack("<IBBH", data)
            assert pad == 0xFFFF
            assert start in {0, 0x80}
            values[where] = b"".join(chunks.pop((ns, key, start + n)) for n in range(count))
            assert len(values[where]) == size
        elif kind == 0x21:
            assert data.endswith(b"\0")
            values[where] = data[:-1].decode()
        elif kind == 0x41:
            values[where] = data
        else:
            width = struct.calcsize(SCALARS[kind])
            assert data[width:] == b"\xff" * (8 - width)
            values[where] = struct.unpack(SCALARS[kind], data[:width])[0]
    assert not chunks, "chunks without an index"
    return values
