"""Memory under Unicorn: blocks of the host that it is shown."""

from __future__ import annotations

import ctypes

from unicorn import UC_PROT_EXEC, UC_PROT_READ, UC_PROT_WRITE, Uc

from py_esp_ota.silicon.chips.soc import EXECUTE, READ, WRITE, Memory

_RIGHTS = {READ: UC_PROT_READ, WRITE: UC_PROT_WRITE, EXECUTE: UC_PROT_EXEC}


class UnicornBlock:
    """One block of host memory."""

    def __init__(self, uc: Uc, memory: Memory) -> None:
        self.size = memory.size
        self.windows = tuple(range(base, base + memory.size) for base, _access in memory.windows)
        #: Those that show code which code cannot change.
        self.code_only = tuple(
            window
            for window, (_base, access) in zip(self.windows, memory.windows, strict=True)
            if access == READ | EXECUTE
        )
        self._bytes = ctypes.create_string_buffer(memory.size)
        self._address = ctypes.addressof(self._bytes)
        for base, access in memory.windows:
            rights = sum(right for bit, right in _RIGHTS.items() if access & bit)
            uc.mem_map_ptr(base, memory.size, rights, self._address)

    def clear(self) -> None:
        """Fill it with zeros."""
        ctypes.memset(self._address, 0, self.size)

    def save(self) -> bytes:
        """Its content."""
        return self._bytes.raw

    def get(self, offset: int, length: int) -> bytes:
        """Bytes at ``offset``, which the caller knows to be there."""
        return ctypes.string_at(self._address + offset, length)

    def put(self, offset: int, data: bytes) -> None:
        """Bytes at ``offset``, which the caller knows to fit."""
        ctypes.memmove(self._address + offset, data, len(data))


def without_zeros(data: bytes) -> tuple[int, bytes]:
    """All but the zeros at both ends: where they begin, and the bytes."""
    start = len(data) - len(data.lstrip(b"\0"))
    return start, data[start:].rstrip(b"\0")
