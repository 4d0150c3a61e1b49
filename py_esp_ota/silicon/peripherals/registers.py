"""The peripheral bus: the last value written, nearly everywhere, and the registers that a device answers for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from py_esp_ota._core import Handlers, Kept, Words
from py_esp_ota.chip import Chip
from py_esp_ota.silicon.chips.soc import Soc

_LCG = 1664525, 1013904223


class Registers:
    """The registers of one chip. A device puts itself into ``on_read`` and ``on_write`` under its addresses."""

    def __init__(self, soc: Soc) -> None:
        self._soc = soc
        self._aliases = soc.aliases
        self.values = Words()
        self.on_read: Handlers[[], int] = Handlers()
        self.on_write: Handlers[[int], None] = Handlers()
        self.on_read[soc.rng] = self._draw
        #: Called when a device may want, or no longer want, an interrupt; not while code reads, which would read twice.
        self.changed: Callable[[], None] = lambda: None
        for address in soc.ready.keys() | soc.taken.keys():
            ready, taken = soc.ready.get(address, 0), soc.taken.get(address, 0)
            self.on_read[address] = Kept(self.values, address, ones=ready, zeros=taken)
        for address, (cause, effect) in soc.follows.items():
            self.on_read[address] = self._following(address, cause, effect)
        for address in soc.fleeting:
            self.on_read[address] = self._gone(address)

    def power_on(self, chip: Chip) -> None:
        """Everything as after a reset of ``chip``. Raises ``ValueError`` for eFuses without their hardware."""
        begins = {**self._soc.reset_values, **efuse_words(self._soc, chip), self._soc.rng: 1}
        for address, bit in self._soc.reset_reasons:
            begins[address] = begins.get(address, 0) | int(chip.reset_reason) << bit
        self.values.begin_with(begins)

    def save(self) -> Words:
        """What ``restore`` takes."""
        return self.values.copy()

    def restore(self, saved: Words) -> None:
        """Everything as it was at ``save``."""
        self.values.become_copy_of(saved)

    def stored(self, address: int) -> int:
        """The word written last, whatever a load would see."""
        return self.values.get(self._real(address), 0)

    def read(self, address: int) -> int:
        """The word that a load sees."""
        if self._aliases:
            address = self._real(address)
        device = self.on_read.get(address)
        return self.values.get(address, 0) if device is None else device()

    def write(self, address: int, value: int) -> None:
        """A store of one word."""
        if self._aliases:
            address = self._real(address)
        device = self.on_write.get(address)
        if device is None:
            self.values[address] = value
        else:
            device(value)

    def _real(self, address: int) -> int:
        """Where the register is that the bus shows at ``address``."""
        for begin, end, there in self._aliases:
            if begin <= address < end:
                return address - begin + there
        return address

    def _following(self, address: int, cause: int, effect: int) -> Callable[[], int]:
        def read() -> int:
            value = self.values.get(address, 0)
            return value | effect if value & cause else value & ~effect

        return read

    def _gone(self, address: int) -> Callable[[], int]:
        def read() -> int:
            value, self.values[address] = self.values.get(address, 0), 0
            return value

        return read

    def _draw(self) -> int:
        """Never zero, never twice the same: the verifier draws until it has something to hide words in RAM with.

        An engine may draw by itself, from the word there in the same way.
        """
        state = (self.values.get(self._soc.rng, 0) * _LCG[0] + _LCG[1]) & 0xFFFFFFFF
        self.values[self._soc.rng] = state
        return state | 1


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
    codes = soc.major_codes
    if codes:
        major = codes[min(major, len(codes) - 1)]
    fields = {
        "disable_wafer_version_major": int(fuses.disable_wafer_version_major),
        "disable_blk_version_major": int(fuses.disable_blk_version_major),
        "wafer_version_minor": minor,
        "wafer_version_major": major,
        "blk_version_minor": block_minor,
        "blk_version_major": block_major,
    }
    words: dict[int, int] = {}
    for name, value in fields.items():
        rest = value
        for register, bit, width in soc.efuses.get(name, ()):
            words[register] = words.get(register, 0) | (rest & ((1 << width) - 1)) << bit
            rest >>= width
    return words
