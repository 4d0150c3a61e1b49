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
