"""What answers on the peripheral bus: the last value written, nearly everywhere, and the few registers that matter."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from py_esp_ota.chip import Chip
from py_esp_ota.silicon.soc import Soc

_CMD, _USER2, _W0 = 0x00, 0x20, 0x58
_USR = 1 << 18
_READ_ID = 0x9F
_READ_STATUS = frozenset({0x05, 0x35, 0x15})
_READ_SFDP = 0x5A
_WINBOND = 0x40EF
_SW_SYS_RST = 1 << 31
_LCG = 1664525, 1013904223


class Registers:
    """The registers of one chip. ``printed`` gets each letter written to a console, ``reset`` the wish for a reset."""

    def __init__(self, soc: Soc, printed: Callable[[str], None], reset: Callable[[], None]) -> None:
        self._soc = soc
        self._printed = printed
        self._reset = reset
        self._flash_size = 0
        self._random = 1
        self.values: dict[int, int] = {}

    def power_on(self, chip: Chip) -> None:
        """Everything as after a reset of ``chip``."""
        self._flash_size = chip.flash.size
        self._random = 1
        self.values = {**self._soc.reset_values, **efuse_words(self._soc, chip)}

    def save(self) -> tuple[dict[int, int], int]:
        """What ``restore`` takes."""
        return dict(self.values), self._random

    def restore(self, saved: tuple[dict[int, int], int]) -> None:
        """Everything as it was at ``save``."""
        values, self._random = saved
        self.values = dict(values)

    def stored(self, address: int) -> int:
        """The word written last, whatever a load would see."""
        return self.values.get(address, 0)

    def read(self, address: int) -> int:
        """The word that a load sees."""
        if address == self._soc.rng:
            # Never zero, never twice the same: the verifier draws until it has something to hide words in RAM with.
            self._random = (self._random * _LCG[0] + _LCG[1]) & 0xFFFFFFFF
            return self._random | 1
        return self.values.get(address, 0)

    def write(self, address: int, value: int) -> None:
        """A store of one word."""
        soc = self._soc
        if address in soc.consoles:
            self._printed(chr(value & 0xFF))
        elif address == soc.spi1 + _CMD:
            if value & _USR:
                self._command(self.values.get(soc.spi1 + _USER2, 0) & 0xFF)
        elif address == soc.rtc_options0 and value & _SW_SYS_RST:
            self._reset()
        else:
            self.values[address] = value

    def _command(self, opcode: int) -> None:
        """A command sent by hand to the flash chip. What changes nothing we know of is taken and forgotten."""
        answer = self._soc.spi1 + _W0
        if opcode == _READ_ID:
            self.values[answer] = _WINBOND | (self._flash_size.bit_length() - 1) << 16
        elif opcode in _READ_STATUS:
            self.values[answer] = 0
        elif opcode == _READ_SFDP:
            self.values[answer] = 0xFFFFFFFF


def efuse_words(soc: Soc, chip: Chip) -> Mapping[int, int]:
    """The eFuse registers of ``chip``.

    Raises ``ValueError`` when secure boot or flash encryption is on: the hardware behind them is not here.
    """
    fuses = chip.efuse
    for name, on in (("secure boot", fuses.secure_boot_en), ("flash encryption", fuses.flash_encryption_enabled)):
        if on:
            raise ValueError(f"machine code runs on chips without {name}; this one has it on in its eFuses")
    major, minor = divmod(fuses.chip_revision, 100)
    block_major, block_minor = divmod(fuses.block_revision, 100)
    fields = {
        "disable_wafer_version_major": int(fuses.disable_wafer_version_major),
        "disable_blk_version_major": int(fuses.disable_blk_version_major),
        "wafer_version_minor_lo": minor & 7,
        "wafer_version_minor_hi": minor >> 3,
        "wafer_version_major": major,
        "blk_version_minor": block_minor,
        "blk_version_major": block_major,
    }
    words: dict[int, int] = {}
    for name, value in fields.items():
        register, bit, width = soc.efuses[name]
        words[register] = words.get(register, 0) | (value & ((1 << width) - 1)) << bit
    return words
