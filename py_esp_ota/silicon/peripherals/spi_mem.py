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

_CMD, _ADDR, _CTRL, _KEPT = 0x00, 0x04, 0x08, 0xFFC
_USR, _FLASH_CE, _FLASH_BE, _FLASH_SE, _FLASH_PP, _FLASH_RDSR = 1 << 18, 1 << 22, 1 << 23, 1 << 24, 1 << 25, 1 << 27
_FLASH_WRSR, _WRSR_2B = 1 << 26, 1 << 22
_FLASH_RDID, _FLASH_WRDI, _FLASH_WREN, _FLASH_READ = 1 << 28, 1 << 29, 1 << 30, 1 << 31
_BUFFER = 64
_24_BITS = 0xFFFFFF
#: Commands of a serial flash chip.
_PAGE_PROGRAM, _READ, _WRITE_DISABLE, _READ_STATUS, _WRITE_ENABLE, _FAST_READ = 0x02, 0x03, 0x04, 0x05, 0x06, 0x0B
_SECTOR_ERASE, _READ_STATUS_2, _READ_STATUS_3, _READ_SFDP, _BLOCK_ERASE, _READ_ID = 0x20, 0x35, 0x15, 0x5A, 0xD8, 0x9F
_WRITE_STATUS, _WRITE_STATUS_2, _WRITE_STATUS_3, _VOLATILE_WRITE_ENABLE = 0x01, 0x31, 0x11, 0x50
_CHIP_ERASE, _DUAL_READ, _DUAL_IO_READ, _QUAD_READ, _QUAD_IO_READ = 0xC7, 0x3B, 0xBB, 0x6B, 0xEB
_READ_STATUSES = (_READ_STATUS, _READ_STATUS_2, _READ_STATUS_3)
_WRITE_STATUSES = (_WRITE_STATUS, _WRITE_STATUS_2, _WRITE_STATUS_3)
_READS = frozenset({_READ, _FAST_READ, _DUAL_READ, _DUAL_IO_READ, _QUAD_READ, _QUAD_IO_READ})
_SECTOR, _BLOCK = 0x1000, 0x10000
_WINBOND = 0x40EF
_WRITE_ENABLED = 0x02
#: Busy, and the latch: no write changes them.
_NOT_WRITTEN = 0x03
_BY_HARDWARE = {
    _FLASH_SE: _SECTOR_ERASE,
    _FLASH_BE: _BLOCK_ERASE,
    _FLASH_CE: _CHIP_ERASE,
    _FLASH_PP: _PAGE_PROGRAM,
    _FLASH_RDSR: _READ_STATUS,
    _FLASH_WRSR: _WRITE_STATUS,
    _FLASH_RDID: _READ_ID,
    _FLASH_WREN: _WRITE_ENABLE,
    _FLASH_WRDI: _WRITE_DISABLE,
    _FLASH_READ: _READ,
}


class Owner(Protocol):
    """Whose flash it is."""

    def flash(self) -> Flash:
        """The flash."""

    def wrote(self, write: FlashWrite) -> None:
        """The flash has changed."""


class SpiMem:
    """SPI1 at ``base``, its registers as ``layout`` has them.

    The flash chip's three status registers are kept as one word where no register is.
    """

    def __init__(self, base: int, registers: Registers, owner: Owner, layout: SpiLayout = NEWER) -> None:
        self._base = base
        self._registers = registers
        self._owner = owner
        self._at = layout
        #: How many bytes the command programs, and whether code has put it together.
        self._length = 0
        self._by_user = False
        registers.on_write[base + _CMD] = self._command
        self._do: dict[int, Callable[[], None]] = {
            _PAGE_PROGRAM: self._program,
            _SECTOR_ERASE: lambda: self._erase(_SECTOR),
            _BLOCK_ERASE: lambda: self._erase(_BLOCK),
            _CHIP_ERASE: lambda: self._erase(owner.flash().size),
            _WRITE_ENABLE: lambda: self._enable(on=True),
            _VOLATILE_WRITE_ENABLE: lambda: self._enable(on=True),
            _WRITE_DISABLE: lambda: self._enable(on=False),
            **{command: self._telling(number) for number, command in enumerate(_READ_STATUSES)},
            **{command: self._keeping(number) for number, command in enumerate(_WRITE_STATUSES)},
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
        if value & _USR:
            opcode = self._word(self._at.user2) & 0xFF
        else:
            opcode = next((code for bit, code in _BY_HARDWARE.items() if value & bit), -1)
        self._by_user = bool(value & _USR)
        self._length = self._bytes(self._at.sent) if self._by_user else self._word(_ADDR) >> 24
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

    def _enable(self, *, on: bool) -> None:
        """The write enable latch, a bit of the first status register."""
        self._set(_KEPT, self._word(_KEPT) & ~_WRITE_ENABLED | (_WRITE_ENABLED if on else 0))

    def _telling(self, number: int) -> Callable[[], None]:
        """Read a status register: into the buffer, by hardware's own command into the register that is made for it."""
        return lambda: self._set(
            self._at.data if self._by_user else self._at.status, self._word(_KEPT) >> 8 * number & 0xFF
        )

    def _keeping(self, number: int) -> Callable[[], None]:
        """Write a status register, with two bytes the next one too: the bit for four data lines is in the second."""

        def write() -> None:
            status = self._word(_KEPT)
            if not status & _WRITE_ENABLED:
                return
            value = self._word(self._at.data if self._by_user else self._at.status)
            both = self._length > 1 if self._by_user else self._word(_CTRL) & _WRSR_2B
            mask = (0xFFFF if both else 0xFF) << 8 * number & ~_NOT_WRITTEN
            self._set(_KEPT, status & ~mask | value << 8 * number & mask)
            self._enable(on=False)

        return write

    def _read(self) -> None:
        flash = self._owner.flash()
        length = min(self._bytes(self._at.received) if self._by_user else self._length, _BUFFER)
        address = self._address() % flash.size
        data = flash.mmap(address, min(length, flash.size - address))
        self._answer(data.ljust(length + -length % 4, b"\xff"))

    def _erase(self, length: int) -> None:
        if not self._word(_KEPT) & _WRITE_ENABLED:
            return
        flash = self._owner.flash()
        address = self._address() % flash.size // length * length
        flash.erase(address, length)
        self._enable(on=False)
        self._owner.wrote(FlashWrite("erase", address, length))

    def _program(self) -> None:
        if not self._word(_KEPT) & _WRITE_ENABLED:
            return
        flash = self._owner.flash()
        address = self._address() % flash.size
        length = min(self._length, _BUFFER, flash.size - address)
        data = b"".join(to_word(self._word(self._at.data + at)) for at in range(0, length, 4))[:length]
        self._enable(on=False)
        try:
            flash.program(address, data)
        except FlashError:
            # A strict flash refuses what would need an erase first. The chip could not say so either.
            return
        self._owner.wrote(FlashWrite("program", address, length))
