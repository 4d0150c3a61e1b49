"""The SHA accelerator, block by block (ESP32-C3 TRM, chapter "SHA Accelerator"; ``components/hal/sha_hal.c``).

SHA-256 and SHA-224. Their arithmetic is the core's; mbedTLS in the app pads and counts.
"""

from __future__ import annotations

from collections.abc import Callable

from py_esp_ota._core import sha256_compress
from py_esp_ota.silicon.peripherals.registers import Registers
from py_esp_ota.silicon.words import to_word, word

_MODE, _START, _CONTINUE, _H, _M = 0x00, 0x10, 0x14, 0x40, 0x80
_DMA_START, _DMA_CONTINUE = 0x1C, 0x20
_BLOCK, _DIGEST = 64, 32
#: Of the ESP32: what SHA-256 is told to do, behind the memory of the message.
_OLD_START, _OLD_CONTINUE, _OLD_LOAD = 0x90, 0x94, 0x98
_OLD_COMMANDS = range(0x80, 0xC0, 4)
_OLD_BUSY = 0x0C
#: The eight words of the state that it keeps to itself, beside the registers.
_OLD_STATE = 0x101
#: The state before the first block, as FIPS 180-4 has it, by the number of the mode.
_INITIAL = {
    1: "c1059ed8367cd5073070dd17f70e5939ffc00b316858151164f98fa7befa4fa4",
    2: "6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19",
}


class Sha:
    """The accelerator at ``base``. ``trap`` is told of what it does not do."""

    def __init__(self, base: int, registers: Registers, trap: Callable[[str], None]) -> None:
        self._base = base
        self._registers = registers
        self._trap = trap
        registers.on_write[base + _START] = lambda _value: self._first()
        registers.on_write[base + _CONTINUE] = lambda _value: self._next()
        for register in (_DMA_START, _DMA_CONTINUE):
            registers.on_write[base + register] = lambda _value: trap("the SHA accelerator takes no data by DMA here")

    def _first(self) -> None:
        mode = self._registers.values.get(self._base + _MODE, 0)
        initial = _INITIAL.get(mode)
        if initial is None:
            self._trap(f"the SHA accelerator does not do mode {mode} here, only 1 (SHA-224) and 2 (SHA-256)")
            return
        self._put(bytes.fromhex(initial))
        self._next()

    def _next(self) -> None:
        self._put(sha256_compress(self._get(_H, _DIGEST), self._get(_M, _BLOCK)))

    def _get(self, offset: int, length: int) -> bytes:
        values = self._registers.values
        return b"".join(to_word(values.get(self._base + offset + at, 0)) for at in range(0, length, 4))

    def _put(self, state: bytes) -> None:
        for at in range(0, _DIGEST, 4):
            self._registers.values[self._base + _H + at] = word(state, at)


class SharedSha:
    """The accelerator of the ESP32 at ``base``: the state is put where the message was, and only when it is asked for.

    Its words are big-endian (``components/esp_hal_security/esp32/include/hal/sha_ll.h``). SHA-256 only.
    """

    def __init__(self, base: int, registers: Registers, trap: Callable[[str], None]) -> None:
        self._base = base
        self._registers = registers
        for command in _OLD_COMMANDS:
            if command & 0xC != _OLD_BUSY:
                registers.on_write[base + command] = lambda _value: trap("the SHA accelerator does SHA-256 only here")
        registers.on_write[base + _OLD_START] = lambda _value: self._next(bytes.fromhex(_INITIAL[2]))
        registers.on_write[base + _OLD_CONTINUE] = lambda _value: self._next(self._words(_OLD_STATE, _DIGEST))
        registers.on_write[base + _OLD_LOAD] = lambda _value: self._put(0, self._words(_OLD_STATE, _DIGEST))

    def _next(self, state: bytes) -> None:
        self._put(_OLD_STATE, sha256_compress(state, self._words(0, _BLOCK)))

    def _words(self, offset: int, length: int) -> bytes:
        values = self._registers.values
        return b"".join(to_word(values.get(self._base + offset + at, 0))[::-1] for at in range(0, length, 4))

    def _put(self, offset: int, data: bytes) -> None:
        for at in range(0, len(data), 4):
            self._registers.values[self._base + offset + at] = word(data[at : at + 4][::-1], 0)
