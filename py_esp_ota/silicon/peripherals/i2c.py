"""The I2C controller as a master on a bus where nobody answers.

(ESP32-C3 TRM, chapter "I2C Controller"; ``components/esp_hal_i2c/<chip>/include/hal/i2c_ll.h``.)
"""

from __future__ import annotations

from py_esp_ota.silicon.peripherals.asking import Asking
from py_esp_ota.silicon.peripherals.registers import Registers

_CTR, _INT_RAW, _INT_CLR, _INT_ENA, _INT_ST, _COMMANDS, _SCL_SP_CONF = 0x04, 0x20, 0x24, 0x28, 0x2C, 0x58, 0x80
_TRANS_START, _FSM_RST, _CONF_UPDATE = 1 << 5, 1 << 10, 1 << 11
_SCL_RST_SLV_EN = 1 << 0
_END_DETECT, _TRANS_COMPLETE, _NACK = 1 << 3, 1 << 7, 1 << 10
_WRITE, _STOP, _READ, _END = 1, 2, 3, 4
_ACK_CHECKED, _COMMAND_DONE = 1 << 8, 1 << 31


class I2c:
    """The controller at ``base``: its commands are done at once, up to the first byte that somebody should take."""

    def __init__(self, base: int, registers: Registers) -> None:
        self._base = base
        self._registers = registers
        self.interrupts = Asking(
            registers, raw=base + _INT_RAW, masked=base + _INT_ST, enable=base + _INT_ENA, clear=base + _INT_CLR
        )
        registers.on_write[base + _CTR] = self._control
        registers.on_write[base + _SCL_SP_CONF] = self._free_bus

    def _control(self, value: int) -> None:
        self._registers.values[self._base + _CTR] = value & ~(_TRANS_START | _FSM_RST | _CONF_UPDATE)
        if value & _TRANS_START:
            self._go()

    def _free_bus(self, value: int) -> None:
        """The clock pulses that free a bus are over at once."""
        self._registers.values[self._base + _SCL_SP_CONF] = value & ~_SCL_RST_SLV_EN

    def _go(self) -> None:
        for at in range(self._base + _COMMANDS, self._base + _SCL_SP_CONF, 4):
            command = self._registers.stored(at)
            self._registers.values[at] = command | _COMMAND_DONE
            kind = command >> 11 & 7
            if kind == _WRITE and command & _ACK_CHECKED:
                self.interrupts.happened(_NACK)
                return
            if kind in {_STOP, _END}:
                self.interrupts.happened(_TRANS_COMPLETE if kind == _STOP else _END_DETECT)
                return
