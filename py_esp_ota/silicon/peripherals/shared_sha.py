"""The SHA accelerator of the ESP32, whose state and message share one memory (``components/esp_hal_security/esp32``).

SHA-256 only, which is what ROM and bootloader use.
"""

from __future__ import annotations

from collections.abc import Callable

from py_esp_ota._core import Compression
from py_esp_ota.silicon.peripherals.registers import Registers

_DIGEST = 32
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
        registers.on_write[base + _START] = self._compression(_INITIAL)
        registers.on_write[base + _CONTINUE] = self._compression(None)
        registers.on_write[base + _LOAD] = self._load

    def _compression(self, initial: bytes | None) -> Compression:
        return Compression(self._registers.values, message=self._base, state=self._base + _STATE, initial=initial)

    def _load(self, _value: int) -> None:
        values = self._registers.values
        values.put_bytes_at(self._base, values.bytes_at(self._base + _STATE, _DIGEST, big=True), big=True)
