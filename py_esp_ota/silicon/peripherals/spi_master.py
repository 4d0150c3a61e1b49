"""The general purpose SPI controller (SPI2), with nothing on its bus: what it reads are the ones of an idle line.

(ESP32-C3 TRM, chapter "SPI Controller"; ``components/soc/<chip>/register/soc/spi_reg.h``.)
"""

from __future__ import annotations

from py_esp_ota.silicon.peripherals.asking import Asking
from py_esp_ota.silicon.peripherals.gdma import Gdma
from py_esp_ota.silicon.peripherals.registers import Registers

_CMD, _USER, _LENGTH, _DMA_CONF, _W0 = 0x00, 0x10, 0x1C, 0x30, 0x98
_INT_ENA, _INT_CLR, _INT_RAW, _INT_ST, _INT_SET = 0x34, 0x38, 0x3C, 0x40, 0x44
_USR, _USR_MISO, _TRANS_DONE = 1 << 24, 1 << 28, 1 << 12
_DMA_RX, _BITS, _DMA_NUMBER = 1 << 27, 0x3FFFF, 0
_WORDS = range(16)


class SpiMaster:
    """The controller at ``base``: a transfer is done at once."""

    def __init__(self, base: int, registers: Registers, dma: Gdma) -> None:
        self._base = base
        self._registers = registers
        self._dma = dma
        self.interrupts = Asking(
            registers, raw=base + _INT_RAW, masked=base + _INT_ST, enable=base + _INT_ENA, clear=base + _INT_CLR
        )
        registers.on_write[base + _CMD] = self._command
        registers.on_write[base + _INT_SET] = self.interrupts.happened

    def _word(self, offset: int) -> int:
        return self._registers.stored(self._base + offset)

    def _command(self, value: int) -> None:
        """The register itself reads zero: settings are taken over and transfers are done at once."""
        if not value & _USR:
            return
        if self._word(_USER) & _USR_MISO:
            for index in _WORDS:
                self._registers.values[self._base + _W0 + 4 * index] = 0xFFFFFFFF
            if self._word(_DMA_CONF) & _DMA_RX:
                self._dma.give(_DMA_NUMBER, b"\xff" * ((self._word(_LENGTH) & _BITS) // 8 + 1))
        self.interrupts.happened(_TRANS_DONE)
