"""The general DMA controller, as far as a device asks it for bytes or gives it some: nothing moves by itself.

(ESP32-C3 TRM, chapter "GDMA Controller"; ``components/soc/<chip>/register/soc/gdma_reg.h``; descriptors as in
``dma_descriptor_t``.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from py_esp_ota.silicon.chips.peripherals import Dma
from py_esp_ota.silicon.peripherals.registers import Registers
from py_esp_ota.silicon.words import to_word, word

_CHANNELS, _STRIDE, _RAW_STRIDE, _CLEAR = range(3), 0xC0, 0x10, 0x0C
_IN_PERIPHERAL, _OUT_PERIPHERAL = 0xA0, 0x100
_NOBODY = 0x3F
_DESCRIPTOR = 12
_LENGTH = 0xFFF
_LAST, _OWNER = 1 << 30, 1 << 31
#: Descriptors may lead round in a circle.
_MOST = 4096


class Memory(Protocol):
    """What the bus shows. Both raise ``MemoryFault`` where there is nothing."""

    def load(self, address: int, length: int) -> bytes:
        """Bytes of it."""

    def store(self, address: int, data: bytes) -> None:
        """Into it."""


class Gdma:
    """The controller ``at``."""

    def __init__(self, at: Dma, registers: Registers, memory: Memory) -> None:
        self._at = at
        self._registers = registers
        self._memory = memory
        for channel in _CHANNELS:
            for raw in {at.in_raw, at.out_raw}:
                address = at.base + raw + _RAW_STRIDE * channel
                registers.on_write[address + _CLEAR] = self._clearing(address)

    def taken(self, peripheral: int, length: int) -> bytes:
        """What memory sends to the device of this number, so many bytes at most; zeros where it sends too little."""
        data = b""
        for channel in self._channels(peripheral, _OUT_PERIPHERAL):
            for _descriptor, control, buffer in self._chain(channel, self._at.out_link):
                data += self._memory.load(buffer, min(control >> 12 & _LENGTH, length - len(data)))
                if len(data) >= length or control & _LAST:
                    break
            self._set(channel, self._at.out_raw, self._at.out_done)
        return data.ljust(length, b"\0")

    def give(self, peripheral: int, data: bytes) -> None:
        """The device of this number sends this to memory."""
        for channel in self._channels(peripheral, _IN_PERIPHERAL):
            left = data
            for descriptor, control, buffer in self._chain(channel, self._at.in_link):
                part, left = left[: control & _LENGTH], left[control & _LENGTH :]
                self._memory.store(buffer, part)
                filled = control & ~(_LENGTH << 12 | _OWNER | _LAST) | len(part) << 12 | (0 if left else _LAST)
                self._memory.store(descriptor, to_word(filled))
                if not left:
                    break
            self._set(channel, self._at.in_raw, self._at.in_done)

    def _channels(self, peripheral: int, register: int) -> Iterator[int]:
        values = self._registers.values
        for channel in _CHANNELS:
            address = self._at.base + register + _STRIDE * channel
            if address in values and values[address] & _NOBODY == peripheral:
                yield channel

    def _chain(self, channel: int, link: int) -> Iterator[tuple[int, int, int]]:
        """Address, control word and buffer of each descriptor."""
        first = self._registers.stored(self._at.base + link + self._at.stride * channel) & self._at.mask
        at = self._at.memory | first if first else 0
        for _ in range(_MOST):
            if not at:
                return
            data = self._memory.load(at, _DESCRIPTOR)
            yield at, word(data), word(data, 4)
            at = word(data, 8)

    def _set(self, channel: int, raw: int, bits: int) -> None:
        address = self._at.base + raw + _RAW_STRIDE * channel
        self._registers.values[address] = self._registers.stored(address) | bits

    def _clearing(self, address: int) -> Callable[[int], None]:
        def write(bits: int) -> None:
            self._registers.values[address] = self._registers.stored(address) & ~bits

        return write
