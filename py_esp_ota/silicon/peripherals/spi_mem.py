"""The controller through which code talks to the flash chip by hand (SPI1), and the flash chip that answers.

ESP-IDF's driver sends every command as a user command (``components/spi_flash/memspi_host_driver.c``,
``components/hal/<chip>/include/hal/spimem_flash_ll.h``); the commands that hardware makes by itself are taken too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from py_esp_ota._core import Flash
from py_esp_ota.errors import FlashError
from py_esp_ota.silicon.chips.soc import NEWER, SpiLayout
from py_esp_ota.silicon.peripherals.registers import Registers
from py_esp_ota.silicon.report import FlashWrite
from py_esp_ota.silicon.words import to_word, word

_CMD, _ADDR = 0x00, 0x04
_USR, _FLASH_CE, _FLASH_BE, _FLASH_SE, _FLASH_PP, _FLASH_RDSR = 1 << 18, 1 << 22, 1 << 23, 1 << 24, 1 << 25, 1 << 27
_FLASH_WRSR, _FLASH_RDID, _FLASH_WRDI, _FLASH_WREN, _FLASH_READ = 1 << 26, 1 << 28, 1 << 29, 1 << 30, 1 << 31
#: What the flash chip itself keeps, beside the registers: no register has such an address.
_LATCH, _STATUS_2 = 0x01, 0x02
_BUFFER = 64
_24_BITS = 0xFFFFFF
#: Commands of a serial flash chip.
_WRITE_STATUS, _WRITE_STATUS_2 = 0x01, 0x31
_PAGE_PROGRAM, _READ, _WRITE_DISABLE, _READ_STATUS, _WRITE_ENABLE, _FAST_READ = 0x02, 0x03, 0x04, 0x05, 0x06, 0x0B
_SECTOR_ERASE, _READ_STATUS_2, _READ_STATUS_3, _READ_SFDP, _BLOCK_ERASE, _READ_ID = 0x20, 0x35, 0x15, 0x5A, 0xD8, 0x9F
_CHIP_ERASE, _DUAL_READ, _DUAL_IO_READ, _QUAD_READ, _QUAD_IO_READ = 0xC7, 0x3B, 0xBB, 0x6B, 0xEB
_READS = frozenset({_READ, _FAST_READ, _DUAL_READ, _DUAL_IO_READ, _QUAD_READ, _QUAD_IO_READ})
_SECTOR, _BLOCK = 0x1000, 0x10000
_WINBOND = 0x40EF
_WRITE_ENABLED = 0x02
_BY_HARDWARE = {
    _FLASH_SE: _SECTOR_ERASE,
    _FLASH_BE: _BLOCK_ERASE,
    _FLASH_CE: _CHIP_ERASE,
    _FLASH_PP: _PAGE_PROGRAM,
    _FLASH_WRSR: _WRITE_STATUS,
    _FLASH_RDSR: _READ_STATUS,
    _FLASH_READ: _READ,
    _FLASH_RDID: _READ_ID,
    _FLASH_WREN: _WRITE_ENABLE,
    _FLASH_WRDI: _WRITE_DISABLE,
}


class Owner(Protocol):
    """Whose flash it is."""

    def flash(self) -> Flash:
        """The flash."""

    def wrote(self, write: FlashWrite) -> None:
        """The flash has changed."""


class SpiMem:
    """SPI1 at ``base``, its registers as ``layout`` has them."""

    def __init__(self, base: int, registers: Registers, owner: Owner, layout: SpiLayout = NEWER) -> None:
        self._base = base
        self._registers = registers
        self._owner = owner
        self._at = layout
        #: How many bytes the command sends and receives.
        self._length = self._received = 0
        self._by_user = False
        registers.on_write[base + _CMD] = self._command
        self._do: dict[int, Callable[[], None]] = {
            _WRITE_STATUS: lambda: self._write_status(1),
            _WRITE_STATUS_2: lambda: self._write_status(0),
            _PAGE_PROGRAM: self._program,
            _SECTOR_ERASE: lambda: self._erase(_SECTOR),
            _BLOCK_ERASE: lambda: self._erase(_BLOCK),
            _CHIP_ERASE: lambda: self._erase(owner.flash().size),
            _WRITE_ENABLE: lambda: self._set(_LATCH, _WRITE_ENABLED),
            _WRITE_DISABLE: lambda: self._set(_LATCH, 0),
            _READ_STATUS: self._read_status,
            _READ_STATUS_2: lambda: self._set(layout.data, self._word(_STATUS_2)),
            _READ_STATUS_3: lambda: self._set(layout.data, 0),
            _READ_SFDP: lambda: self._answer(b"\xff" * _BUFFER),
            _READ_ID: lambda: self._set(layout.data, _WINBOND | (owner.flash().size.bit_length() - 1) << 16),
            **dict.fromkeys(_READS, self._read),
        }

    def _word(self, offset: int) -> int:
        return self._registers.values.get(self._base + offset, 0)

    def _set(self, offset: int, value: int) -> None:
        self._registers.values[self._base + offset] = value

    def _answer(self, data: bytes) -> None:
        for at in range(0, len(data), 4):
            self._set(self._at.data + at, word(data, at))

    def _command(self, value: int) -> None:
        """A store into CMD starts what its bits say; it is done, and CMD reads zero, at once."""
        self._by_user = bool(value & _USR)
        if self._by_user:
            opcode = self._word(self._at.user2) & 0xFF
            self._length, self._received = self._bytes(self._at.sent), self._bytes(self._at.received)
        else:
            opcode = next((code for bit, code in _BY_HARDWARE.items() if value & bit), -1)
            self._length = self._received = self._word(_ADDR) >> 24
        do = self._do.get(opcode)
        if do is not None:  # what changes nothing that we know of is taken and forgotten
            do()
        self._set(_CMD, 0)

    def _address(self) -> int:
        """Commands that hardware makes by itself carry the length above a 24-bit address."""
        address = self._word(_ADDR)
        if self._by_user and self._at.address_above:
            address >>= 31 - (self._word(self._at.user1) >> 26)
        return address & _24_BITS

    def _bytes(self, register: int) -> int:
        return (self._word(register) & 0x3FF) // 8 + 1

    def _read_status(self) -> None:
        self._set(self._at.data if self._by_user else self._at.status, self._word(_LATCH))

    def _write_status(self, index: int) -> None:
        """Status register 2 is byte ``index`` of what is sent. Nothing of register 1 can be set for good here."""
        if self._word(_LATCH):
            sent = self._word(self._at.data if self._by_user else self._at.status)
            if self._length > index or not self._by_user:
                self._set(_STATUS_2, sent >> 8 * index & 0xFF)
            self._set(_LATCH, 0)

    def _read(self) -> None:
        flash = self._owner.flash()
        length = min(self._received, _BUFFER)
        address = self._address() % flash.size
        data = flash.mmap(address, min(length, flash.size - address))
        self._answer(data.ljust(length + -length % 4, b"\xff"))

    def _erase(self, length: int) -> None:
        if not self._word(_LATCH):
            return
        flash = self._owner.flash()
        address = self._address() % flash.size // length * length
        flash.erase(address, length)
        self._set(_LATCH, 0)
        self._owner.wrote(FlashWrite("erase", address, length))

    def _program(self) -> None:
        if not self._word(_LATCH):
            return
        flash = self._owner.flash()
        address = self._address() % flash.size
        length = min(self._length, _BUFFER, flash.size - address)
        data = b"".join(to_word(self._word(self._at.data + at)) for at in range(0, length, 4))[:length]
        self._set(_LATCH, 0)
        try:
            flash.program(address, data)
        except FlashError:
            # A strict flash refuses what would need an erase first. The chip could not say so either.
            return
        self._owner.wrote(FlashWrite("program", address, length))
