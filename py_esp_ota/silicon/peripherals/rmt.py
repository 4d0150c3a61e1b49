"""The remote control peripheral, by which programs set coloured LEDs: what it sends is sent at once, to nobody.

(ESP32-C3 TRM, chapter "Remote Control Peripheral"; ``components/soc/<chip>/register/soc/rmt_reg.h``.)
"""

from __future__ import annotations

from collections.abc import Callable

from py_esp_ota.silicon.peripherals.asking import Asking
from py_esp_ota.silicon.peripherals.registers import Registers

_CONF0, _INT_RAW, _INT_ST, _INT_ENA, _INT_CLR = 0x10, 0x38, 0x3C, 0x40, 0x44
_SENDERS = range(2)
_TX_START, _READ_RESET, _TX_STOP, _UPDATE = 1 << 0, 1 << 1, 1 << 7, 1 << 24
_TAKEN = _TX_START | _READ_RESET | _TX_STOP | _UPDATE


class Rmt:
    """The peripheral at ``base``. Nothing is received."""

    def __init__(self, base: int, registers: Registers) -> None:
        self._registers = registers
        self.interrupts = Asking(
            registers, raw=base + _INT_RAW, masked=base + _INT_ST, enable=base + _INT_ENA, clear=base + _INT_CLR
        )
        for channel in _SENDERS:
            registers.on_write[base + _CONF0 + 4 * channel] = self._sending(base + _CONF0 + 4 * channel, channel)

    def _sending(self, address: int, channel: int) -> Callable[[int], None]:
        def write(value: int) -> None:
            self._registers.values[address] = value & ~_TAKEN
            if value & _TX_START:
                self.interrupts.happened(1 << channel)

        return write
