"""The verifier once more, in the plainest Python: the second opinion that the Rust one is compared with.

Written from the decision table of components/bootloader_support/src/esp_image_format.c, for builds without signatures
and anti-rollback. It knows nothing of logs and fields: a code and a length are its whole answer.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

OK, FAIL, INVALID_ARG, INVALID, FLASH_OP_FAIL = 0, -1, 0x102, 0x2002, 0x6001


@dataclass(frozen=True)
class ModelChip:
    chip_id: int
    bootloader: int
    mapped: tuple[tuple[int, int], ...]
    configurable: bool
    wide: bool
    window: int
    iram: tuple[int, int]
    dram: tuple[int, int]
    others: tuple[tuple[int, int], ...]
    alias: tuple[int, int, int]  # instruction side, data side, length
    stack: int
    text: tuple[int, int]
    data: tuple[int, int]
    inverted: bool = False


MODEL_CHIPS = {
    "esp32": ModelChip(
        0,
        0x1000,
        ((0x3F400000, 0x3F800000), (0x400D0000, 0x40400000)),
        configurable=False,
        wide=False,
        window=0x320000,
        iram=(0x40080000, 0x400AA000),
        dram=(0x3FFAE000, 0x40000000),
        others=((0x400C0000, 0x400C2000), (0x3FF80000, 0x3FF82000), (0x50000000, 0x50002000)),
        alias=(0x400A0000, 0x3FFE0000, 0x20000),
        stack=0x3FFE3F20,
        text=(0x40078000, 0x40080000),
        data=(0x3FFF0000, 0x3FFF6000),
        inverted=True,
    ),
    "esp32c3": ModelChip(
        5,
        0,
        ((0x3C000000, 0x3C800000), (0x42000000, 0x42800000)),
        configurable=False,
        wide=False,
        window=0x800000,
        iram=(0x4037C000, 0x403E0000),
        dram=(0x3FC80000, 0x3FCE0000),
        others=((0x50000000, 0x50002000),),
        alias=(0x40380000, 0x3FC80000, 0x60000),
        stack=0x3FCDE710,
        text=(0x403CE710, 0x403D5710),
        data=(0x3FCD5710, 0x3FCDA710),
    ),
    "esp32c6": ModelChip(
        13,
        0,
        ((0x42000000, 0x43000000),),
        configurable=True,
        wide=False,
        window=0x1000000,
        iram=(0x40800000, 0x40880000),
        dram=(0x40800000, 0x40880000),
        others=((0x50000000, 0x50004000),),
        alias=(0x40800000, 0x40800000, 0x80000),
        stack=0x4087E610,
        text=(0x4086E610, 0x40875610),
        data=(0x40875610, 0x4087A610),
    ),
    "esp32p4": ModelChip(
        18,
        0x2000,
        ((0x40000000, 0x44000000), (0x48000000, 0x4C000000)),
        configurable=False,
        wide=True,
        window=0x4000000,
        iram=(0x4FF00000, 0x4FFC0000),
        dram=(0x4FF00000, 0x4FFC0000),
        others=((0x50108000, 0x50110000), (0x30100000, 0x30102000)),
        alias=(0x4FF00000, 0x4FF00000, 0xC0000),
        stack=0x4FFBCFC0,
        text=(0x4FFADFC0, 0x4FFB5FC0),
        data=(0x4FFB5FC0, 0x4FFBAFC0),
    ),
}


class Refused(Exception):
    """The answer is no; the code is its argument."""


def need(holds: bool, code: int) -> None:
    if not holds:
        raise Refused(code)


def within(spans: tuple[tuple[int, int], ...], address: int) -> bool:
    return any(low <= address < high for low, high in spans)


def meets(a: tuple[int, int], low: int, high: int) -> bool:
    return a[0] < high and low < a[1]


def loadable(chip: ModelChip, low: int, high: int, *, again: bool = True) -> bool:
    def inside(span: tuple[int, int]) -> bool:
        return span[0] <= low and high <= span[1]

    iram, dram, length = chip.alias
    if low >= high:
        return False
    if inside(chip.dram):
        # the stack in use is this package's own assumption: 0x400 bytes
        if meets((chip.stack - 0x8400, chip.stack), low, high) or meets(chip.data, low, high):
            return False
        here, there = dram, iram
    elif inside(chip.iram):
        if meets(chip.text, low, high):
            return False
        here, there = iram, dram
    else:
        return any(inside(span) for span in chip.others)
    if not again or not meets((here, here + length), low, high):
        return True
    ends = [max(low, here) - here, min(high, here + length) - here]
    if chip.inverted:
        ends = [length - end - 4 for end in reversed(ends)]
    return loadable(chip, there + ends[0], there + ends[1], again=False)


def verify(
    flash: bytes,
    offset: int,
    size: int,
    chip: ModelChip,
    *,
    bootloader_build: bool = False,
    load: bool = False,
    revision: int = 0,
    block_revision: int = 0,
) -> tuple[int, int]:
    """The code and ``image_len``."""
    beyond_the_chip = FLASH_OP_FAIL if bootloader_build else INVALID_ARG
    try:
        length = _image_load(
            flash,
            offset,
            size,
            chip,
            beyond=beyond_the_chip,
            load=load,
            revision=revision,
            block_revision=block_revision,
        )
    except Refused as refused:
        return refused.args[0], 0
    return OK, length


def _image_load(
    flash: bytes,
    offset: int,
    size: int,
    chip: ModelChip,
    *,
    beyond: int,
    load: bool,
    revision: int,
    block_revision: int,
) -> int:
    limit = 0xFFFFFFFF if chip.wide else 0x1000000
    reach = len(flash) if chip.wide else min(len(flash), 0x1000000)

    def read(at: int, length: int) -> bytes:
        need(at + length <= len(flash), beyond)
        return flash[at : at + length]

    need(size <= limit, INVALID_ARG)
    head = read(offset, 24)
    chip_id, _, min_rev, max_rev, appended = struct.unpack("<HBHH4xB", head[12:])
    is_bootloader = offset == chip.bootloader
    need(head[0] == 0xE9, INVALID)
    need(chip_id == chip.chip_id, FAIL)
    need(revision >= min_rev, FAIL)
    need(is_bootloader or max_rev in {0, 0xFFFF} or revision <= max_rev, FAIL)
    need(head[1] <= 16, INVALID)
    at, page, total = offset + 24, 0x10000, 0xEF
    for index in range(head[1]):
        address, length = struct.unpack("<II", read(at, 8))
        data = at + 8
        need(length % 4 == 0 and length < limit, INVALID)
        if index == 0 and not is_bootloader:
            need(length >= 256, INVALID)
            if chip.configurable:
                need(data + 256 <= len(flash) and flash[data : data + 4] == b"\x32\x54\xcd\xab", FAIL)
                if 13 <= flash[data + 180] <= 18:
                    page = 1 << flash[data + 180]
        mapped = within(chip.mapped, address)
        need(not mapped or data % page == address % page, INVALID)
        if load and not mapped and address >= 0x10000000 and length:
            need(loadable(chip, address, (address + length) % 2**32), INVALID)
        first = min(length, chip.window - (0x10000 if data % 0x10000 else 0))
        need(data + first <= reach or not length, FAIL)
        if index == 0 and not is_bootloader and chip.chip_id:
            least, most = struct.unpack("<HH", flash[data + 176 : data + 180])
            need(least in {0, 0xFFFF} or block_revision >= least, FAIL)
            need(most in {0, 0xFFFF} or block_revision <= most, FAIL)
        need(data + length <= reach or not length, FAIL)
        for byte in flash[data : data + length]:
            total ^= byte
        at = data + length
    end = at + 16 - (at - offset) % 16
    need(read(at, end - at)[-1] == total, INVALID)
    if appended:
        stored = read(end, 32)
        end += 32
    need(end - offset <= size, INVALID)
    if appended and not is_bootloader:
        need(hashlib.sha256(flash[offset : end - 32]).digest() == stored, INVALID)
    return end - offset
