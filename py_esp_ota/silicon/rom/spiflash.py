"""The rest of ROM's flash driver: what older releases, other modes and other sizes ask of it."""

from __future__ import annotations

from collections.abc import Mapping

from py_esp_ota.errors import FlashError
from py_esp_ota.silicon.report import FlashWrite
from py_esp_ota.silicon.rom.functions import Calls, Function, chip_size, constant
from py_esp_ota.silicon.words import to_word

_OK, _ERR = 0, 1
_SECTOR, _BLOCK = 0x1000, 0x10000


def _erase(cpu: Calls, address: int, length: int) -> int:
    if address + length > chip_size(cpu):
        return _ERR
    try:
        cpu.chip.flash.erase(address, length)
    except FlashError:
        return _ERR
    cpu.writes.append(FlashWrite("erase", address, length))
    cpu.flash_changed(address, length)
    return _OK


def erase_sector(cpu: Calls) -> int:
    """``esp_rom_spiflash_erase_sector``."""
    return _erase(cpu, cpu.arg(0) * _SECTOR, _SECTOR)


def erase_block(cpu: Calls) -> int:
    """``esp_rom_spiflash_erase_block``: 64 KiB."""
    return _erase(cpu, cpu.arg(0) * _BLOCK, _BLOCK)


def erase_chip(cpu: Calls) -> int:
    """``esp_rom_spiflash_erase_chip``."""
    return _erase(cpu, 0, chip_size(cpu))


def erase_area(cpu: Calls) -> int:
    """``SPIEraseArea``: whole sectors only."""
    address, length = cpu.arg(0), cpu.arg(1)
    if (address | length) % _SECTOR:
        return _ERR
    return _erase(cpu, address, length)


def read_status(cpu: Calls) -> int:
    """``esp_rom_spiflash_read_status`` and its like: idle, and nothing is protected."""
    cpu.store(cpu.arg(1), to_word(0))
    return _OK


def read_user_cmd(cpu: Calls) -> int:
    """``esp_rom_spiflash_read_user_cmd``: the same; where, and which command."""
    cpu.store(cpu.arg(0), to_word(0))
    return _OK


def encrypted(cpu: Calls) -> int:
    """``esp_rom_spiflash_write_encrypted``."""
    raise ValueError(f"flash encryption is not here, and 0x{cpu.arg(0):x} is to be written with it")


SPIFLASH: Mapping[str, Function] = {
    "esp_rom_spiflash_erase_sector": erase_sector,
    "esp_rom_spiflash_erase_block": erase_block,
    "esp_rom_spiflash_erase_chip": erase_chip,
    "SPIEraseArea": erase_area,
    "esp_rom_spiflash_read_status": read_status,
    "esp_rom_spiflash_read_statushigh": read_status,
    "esp_rom_spiflash_read_user_cmd": read_user_cmd,
    "esp_rom_spiflash_write_encrypted": encrypted,
    **dict.fromkeys((
        "esp_rom_spiflash_unlock", "esp_rom_spiflash_write_status", "esp_rom_spiflash_write_disable",
        "esp_rom_spiflash_config_readmode", "SPI_write_enable",
    ), constant(_OK)),
    **dict.fromkeys((
        "esp_rom_spiflash_attach", "esp_rom_spiflash_select_qio_pins", "esp_rom_spiflash_write_encrypted_enable",
        "esp_rom_spiflash_write_encrypted_disable", "SetSpiDrvs", "SelectSpiFunction",
    ), constant(None)),
}  # fmt: skip
