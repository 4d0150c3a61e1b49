"""The SHA accelerator (ESP32-C3 TRM, chapter "SHA Accelerator"; ``components/esp_hal_security/sha_hal.c``).

Block by block, or by DMA. mbedTLS in the app pads and counts. The arithmetic of SHA-224 and SHA-256 is the core's.
"""

from __future__ import annotations

from collections.abc import Callable

from py_esp_ota._core import sha256_compress
from py_esp_ota.silicon.peripherals.gdma import Gdma
from py_esp_ota.silicon.peripherals.registers import Registers
from py_esp_ota.silicon.words import sha1_compress

_MODE, _BLOCKS, _START, _CONTINUE, _H, _M = 0x00, 0x0C, 0x10, 0x14, 0x40, 0x80
_DMA_START, _DMA_CONTINUE = 0x1C, 0x20
_DMA_NUMBER = 7
_BLOCK = 64
_SHA_1 = 0
#: The state before the first block, as FIPS 180-4 has it, by the number of the mode.
_INITIAL = {
    _SHA_1: bytes.fromhex("67452301efcdab8998badcfe10325476c3d2e1f0"),
    1: bytes.fromhex("c1059ed8367cd5073070dd17f70e5939ffc00b316858151164f98fa7befa4fa4"),
    2: bytes.fromhex("6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19"),
}


class Sha:
    """The accelerator at ``base``; without ``dma`` it takes blocks only. ``trap`` is told of what it does not do."""

    def __init__(self, base: int, registers: Registers, dma: Gdma | None, trap: Callable[[str], None]) -> None:
        self._base = base
        self._registers = registers
        self._dma = dma
        self._trap = trap
        registers.on_write[base + _START] = lambda _value: self._do(self._get(_M, _BLOCK), first=True)
        registers.on_write[base + _CONTINUE] = lambda _value: self._do(self._get(_M, _BLOCK), first=False)
        registers.on_write[base + _DMA_START] = lambda _value: self._do(self._sent(), first=True)
        registers.on_write[base + _DMA_CONTINUE] = lambda _value: self._do(self._sent(), first=False)

    def _sent(self) -> bytes:
        if self._dma is None:
            self._trap("the SHA accelerator takes no data by DMA here")
            return b""
        return self._dma.taken(_DMA_NUMBER, _BLOCK * self._registers.stored(self._base + _BLOCKS))

    def _do(self, data: bytes, *, first: bool) -> None:
        """What it does with whole blocks."""
        mode = self._registers.stored(self._base + _MODE)
        initial = _INITIAL.get(mode)
        if initial is None:
            self._trap(f"the SHA accelerator does not do mode {mode} here, only SHA-1, SHA-224 and SHA-256")
            return
        state = initial if first else self._get(_H, len(initial))
        self._put((sha1_compress if mode == _SHA_1 else sha256_compress)(state, data))

    def _get(self, offset: int, length: int) -> bytes:
        return self._registers.values.bytes_at(self._base + offset, length)

    def _put(self, state: bytes) -> None:
        self._registers.values.put_bytes_at(self._base + _H, state)
