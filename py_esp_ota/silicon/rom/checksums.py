"""Checksums that ROM carries besides ``crc32_le``."""

from __future__ import annotations

from collections.abc import Mapping

from py_esp_ota.silicon.rom.functions import Calls, Function, block_length

_BYTE = 8


def _high_first(polynomial: int, width: int) -> Function:
    """``crc<width>_be``: crc, data, length; the highest bit of a byte goes first."""
    mask = (1 << width) - 1

    def step(value: int) -> int:
        value <<= width - _BYTE
        for _ in range(_BYTE):
            value = (value << 1 ^ (polynomial if value >> width - 1 else 0)) & mask
        return value

    table = [step(byte) for byte in range(1 << _BYTE)]

    def crc(cpu: Calls) -> int:
        value = ~cpu.arg(0) & mask
        for byte in cpu.load(cpu.arg(1), block_length(cpu, 2)):
            value = (value << _BYTE & mask) ^ table[value >> width - _BYTE ^ byte]
        return ~value & mask

    return crc


def _low_first_table(polynomial: int) -> list[int]:
    def step(value: int) -> int:
        for _ in range(_BYTE):
            value = value >> 1 ^ (polynomial if value & 1 else 0)
        return value

    return [step(byte) for byte in range(1 << _BYTE)]


def _low_first(polynomial: int, width: int) -> Function:
    """``crc<width>_le``: crc, data, length; the lowest bit of a byte goes first."""
    mask, table = (1 << width) - 1, _low_first_table(polynomial)

    def crc(cpu: Calls) -> int:
        value = ~cpu.arg(0) & mask
        for byte in cpu.load(cpu.arg(1), block_length(cpu, 2)):
            value = value >> _BYTE ^ table[(value ^ byte) & 0xFF]
        return ~value & mask

    return crc


_MAXIM = _low_first_table(0x8C)


def mac_crc(cpu: Calls) -> int:
    """``esp_crc8``: data, length; the checksum of a MAC address in the eFuses."""
    value = 0
    for byte in cpu.load(cpu.arg(0), block_length(cpu, 1)):
        value = _MAXIM[value ^ byte]
    return value


CHECKSUMS: Mapping[str, Function] = {
    "crc32_be": _high_first(0x04C11DB7, 32),
    "crc16_be": _high_first(0x1021, 16),
    "crc16_le": _low_first(0x8408, 16),
    "crc8_be": _high_first(0x07, 8),
    "crc8_le": _low_first(0xE0, 8),
    "esp_crc8": mac_crc,
}
