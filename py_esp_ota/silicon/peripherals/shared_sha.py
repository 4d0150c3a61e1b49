"""The SHA accelerator of the ESP32, whose state and message share one memory (``components/esp_hal_security/esp32``).

SHA-256 only, which is what ROM and bootloader use.
"""

from __future__ import annotations

from collections.abc import Callable

from py_esp_ota._core import sha256_compress
from py_esp_ota.silicon.peripherals.registers import Registers

_BLOCK, _DIGEST = 64, 32
#: What each of the four hashes is told to do, behind the memory: start, continue, load and busy; SHA-256 is the second.
_COMMANDS = range(0x80, 0xC0, 4)
_BUSY = 0x0C
_START, _CONTINUE, _LOAD = 0x90, 0x94, 0x98
_INITIAL = bytes.fromhex("6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19")
#: The state that it keeps to itself, beside the registers: none has such an address.
_STATE = 0x101


class SharedSha:
    """The accelerator at ``base``: the state is put where the message was, and only when it is asked for.

    Words are big-endian. ``trap`` is told of what it does not do.
    """

    def __init__(self, base: int, registers: Registers, trap: Callable[[str], None]) -> None:
        self._base = base
        self._registers = registers
        for command in _COMMANDS:
            if command & _BUSY != _BUSY:
                registers.on_write[base + command] = lambda _value: trap("the SHA accelerator does SHA-256 only here")
        registers.on_write[base + _START] = lambda _value: self._next(_INITIAL)
        registers.on_write[base + _CONTINUE] = lambda _value: self._next(self._words(_STATE, _DIGEST))
        registers.on_write[base + _LOAD] = lambda _value: self._put(0, self._words(_STATE, _DIGEST))

    def _next(self, state: bytes) -> None:
        self._put(_STATE, sha256_compress(state, self._words(0, _BLOCK)))

    def _words(self, offset: int, length: int) -> bytes:
        return self._registers.values.bytes_at(self._base + offset, length, big=True)

    def _put(self, offset: int, data: bytes) -> None:
        self._registers.values.put_bytes_at(self._base + offset, data, big=True)
