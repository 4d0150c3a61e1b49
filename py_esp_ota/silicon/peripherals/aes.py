"""The AES accelerator: block by block, or by DMA in the modes that ESP-IDF asks for.

(ESP32-C3 TRM, chapter "AES Accelerator"; ``components/esp_hal_security/<chip>/include/hal/aes_ll.h``.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from py_esp_ota.silicon.peripherals.aes_cipher import decrypted, encrypted
from py_esp_ota.silicon.peripherals.gdma import Gdma
from py_esp_ota.silicon.peripherals.registers import Registers
from py_esp_ota.silicon.words import to_word, word

_KEY, _TEXT_IN, _TEXT_OUT, _MODE, _TRIGGER, _STATE, _IV = 0x00, 0x20, 0x30, 0x40, 0x48, 0x4C, 0x50
_DMA_ENABLE, _BLOCK_MODE, _BLOCKS, _INT_CLEAR, _INT_ENA, _DMA_EXIT = 0x90, 0x94, 0x98, 0xAC, 0xB0, 0xB8
_IDLE, _DONE = 0, 2
_DECRYPTS = 4
_KEY_LENGTHS = {0: 16, 1: 24, 2: 32}
_BLOCK = 16
_DMA_NUMBER = 6
_ECB, _CBC, _OFB, _CTR, _CFB8, _CFB128 = range(6)


class Aes:
    """The accelerator at ``base``. ``trap`` is told of what it does not do."""

    def __init__(self, base: int, registers: Registers, dma: Gdma, trap: Callable[[str], None]) -> None:
        self._base = base
        self._registers = registers
        self._dma = dma
        self._trap = trap
        registers.on_write[base + _TRIGGER] = self._start
        registers.on_write[base + _INT_CLEAR] = self._clear
        registers.on_write[base + _DMA_EXIT] = lambda _value: self._set(_STATE, to_word(_IDLE))
        self._asked = base + _INT_CLEAR

    def asks(self) -> bool:
        """Whether it wants an interrupt."""
        return bool(self._word(_INT_ENA) and self._registers.stored(self._asked))

    def _start(self, _value: int) -> None:
        key_length = _KEY_LENGTHS.get(self._word(_MODE) & ~_DECRYPTS)
        mode = self._word(_BLOCK_MODE)
        if key_length is None or (self._word(_DMA_ENABLE) and mode not in _MODES):
            self._trap(f"the AES accelerator does not do mode {self._word(_MODE)}, {mode} here")
            return
        key, decrypts = self._get(_KEY, key_length), bool(self._word(_MODE) & _DECRYPTS)
        if not self._word(_DMA_ENABLE):
            block = self._get(_TEXT_IN, _BLOCK)
            self._set(_TEXT_OUT, (decrypted if decrypts else encrypted)(key, block))
            return
        data = self._dma.taken(_DMA_NUMBER, _BLOCK * self._word(_BLOCKS))
        made, left = _MODES[mode](key, self._get(_IV, _BLOCK), data, decrypts)
        self._set(_IV, left)
        self._dma.give(_DMA_NUMBER, made)
        self._set(_STATE, to_word(_DONE))
        self._registers.values[self._asked] = 1
        self._registers.changed()

    def _clear(self, _value: int) -> None:
        self._registers.values[self._asked] = 0
        self._registers.changed()

    def _word(self, offset: int) -> int:
        return self._registers.stored(self._base + offset)

    def _get(self, offset: int, length: int) -> bytes:
        return b"".join(to_word(self._word(offset + at)) for at in range(0, length, 4))

    def _set(self, offset: int, data: bytes) -> None:
        for at in range(0, len(data), 4):
            self._registers.values[self._base + offset + at] = word(data, at)


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _blocks(data: bytes) -> list[bytes]:
    return [data[at : at + _BLOCK] for at in range(0, len(data), _BLOCK)]


def _ecb(key: bytes, iv: bytes, data: bytes, decrypts: bool) -> tuple[bytes, bytes]:
    return b"".join((decrypted if decrypts else encrypted)(key, block) for block in _blocks(data)), iv


def _cbc(key: bytes, iv: bytes, data: bytes, decrypts: bool) -> tuple[bytes, bytes]:
    made = b""
    for block in _blocks(data):
        one = _xor(decrypted(key, block), iv) if decrypts else encrypted(key, _xor(block, iv))
        iv = block if decrypts else one
        made += one
    return made, iv


def _ofb(key: bytes, iv: bytes, data: bytes, _decrypts: bool) -> tuple[bytes, bytes]:
    made = b""
    for block in _blocks(data):
        iv = encrypted(key, iv)
        made += _xor(block, iv)
    return made, iv


def _ctr(key: bytes, iv: bytes, data: bytes, _decrypts: bool) -> tuple[bytes, bytes]:
    """``aes_ll_set_inc``: the lowest 32 bits count."""
    made = b""
    for block in _blocks(data):
        made += _xor(block, encrypted(key, iv))
        iv = iv[:-4] + (to_word(word(iv[:-5:-1]) + 1))[::-1]
    return made, iv


def _cfb128(key: bytes, iv: bytes, data: bytes, decrypts: bool) -> tuple[bytes, bytes]:
    made = b""
    for block in _blocks(data):
        one = _xor(block, encrypted(key, iv))
        iv = block if decrypts else one
        made += one
    return made, iv


def _cfb8(key: bytes, iv: bytes, data: bytes, decrypts: bool) -> tuple[bytes, bytes]:
    made = bytearray()
    for letter in data:
        one = letter ^ encrypted(key, iv)[0]
        iv = iv[1:] + bytes([letter if decrypts else one])
        made.append(one)
    return bytes(made), iv


_MODES: Mapping[int, Callable[[bytes, bytes, bytes, bool], tuple[bytes, bytes]]] = {
    _ECB: _ecb, _CBC: _cbc, _OFB: _ofb, _CTR: _ctr, _CFB8: _cfb8, _CFB128: _cfb128,
}  # fmt: skip
