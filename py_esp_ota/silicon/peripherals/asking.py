"""The four interrupt registers that most devices have: what happened, what of it is asked about, enable, clear."""

from __future__ import annotations

from py_esp_ota.silicon.peripherals.registers import Registers


class Asking:
    """Those of one device, by their addresses."""

    def __init__(self, registers: Registers, *, raw: int, masked: int, enable: int, clear: int) -> None:
        self._registers = registers
        self._raw, self._enable = raw, enable
        registers.on_read[masked] = self._masked
        registers.on_write[clear] = self._clear
        registers.on_write[enable] = self._let

    def happened(self, bits: int) -> None:
        """Events, by their bits."""
        self._registers.values[self._raw] = self._registers.stored(self._raw) | bits
        self._registers.changed()

    def asks(self) -> bool:
        """Whether the device wants an interrupt."""
        return bool(self._masked())

    def _masked(self) -> int:
        return self._registers.stored(self._raw) & self._registers.stored(self._enable)

    def _clear(self, bits: int) -> None:
        self._registers.values[self._raw] = self._registers.stored(self._raw) & ~bits
        self._registers.changed()

    def _let(self, bits: int) -> None:
        self._registers.values[self._enable] = bits
        self._registers.changed()
