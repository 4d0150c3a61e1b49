"""A bootloader as ROM finds it in flash: judged as ROM judges it, and taken apart into what goes where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from py_esp_ota._core import inspect_image
from py_esp_ota.silicon.chips.soc import EXECUTE, Soc
from py_esp_ota.silicon.words import to_word, word

_MAGIC = 0xE9
_HEADER, _SEGMENT, _HASH_APPENDED, _DIGEST = 24, 8, 23, 32
_SECTOR = 0x1000
#: csrr rd, csr: mask, and what is left of it.
_READS_CSR = 0x000FF07F, 0x00002073
_NOT_CSR = 0x000FFFFF


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes for block ``block`` of the RAM at ``offset``, and the addresses at which they can be executed."""

    block: int
    offset: int
    data: bytes
    code: range


@dataclass(frozen=True, slots=True)
class Program:
    """A bootloader ready to be copied into RAM."""

    entry: int
    parts: tuple[Part, ...]


def extent(data: bytes) -> int:
    """How many bytes, in whole sectors, the image at the beginning of ``data`` takes; no more than there are."""
    at = _HEADER
    for _segment in range(data[1]):
        at += _SEGMENT + word(data, at + 4)
        if at >= len(data):
            return len(data)
    at = (at // 16 + 1) * 16 + (_DIGEST if data[_HASH_APPENDED] == 1 else 0)
    return min(-(-at // _SECTOR) * _SECTOR, len(data))


@lru_cache(maxsize=8)
def load(data: bytes, soc: Soc) -> Program | str:
    """The bootloader at the beginning of ``data``, or the sentence that says why ROM would not start it."""
    info = inspect_image(data)
    header = info.header
    if header is None or header.magic != _MAGIC:
        return f"no bootloader: the first byte is 0x{data[0]:02x}, expected 0xe9"
    if info.checksum_stored is None or info.checksum_stored != info.checksum_calculated:
        return "no bootloader that ROM would start: its segments or its checksum are wrong"
    parts = []
    for segment in info.segments:
        content = data[segment.offset : segment.offset + segment.length]
        part = place(soc, segment.load_addr, _with_our_clock(content, soc.standard_counters))
        if part is None:
            return f"no bootloader: segment {segment.index} goes to 0x{segment.load_addr:08x}, which is no RAM"
        parts.append(part)
    return Program(header.entry_addr, tuple(parts))


def _with_our_clock(code: bytes, counters: Mapping[int, int]) -> bytes:
    """Let the instructions that read ``counters`` read others, which are ours to count."""
    if not counters:
        return code
    changed, at = bytearray(code), 0
    while at + 4 <= len(code):
        instruction = word(code, at)
        ours = counters.get(instruction >> 20)
        if ours is not None and instruction & _READS_CSR[0] == _READS_CSR[1]:
            changed[at : at + 4] = to_word(instruction & _NOT_CSR | ours << 20)
        at += 2
    return bytes(changed)


def place(soc: Soc, address: int, data: bytes) -> Part | None:
    """Which RAM ``data`` goes to when its address is ``address``; ``None`` when that is none, or not all of it fits."""
    for block, memory in enumerate(soc.ram):
        for base, access in memory.windows:
            if base <= address and address + len(data) <= base + memory.size:
                code = range(address, address + len(data)) if access & EXECUTE else range(0)
                return Part(block, address - base, data, code)
    return None
