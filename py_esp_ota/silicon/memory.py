"""Memory that two buses show at two addresses, and the flash as the cache shows it through the MMU."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

from unicorn import UC_PROT_EXEC, UC_PROT_READ, UC_PROT_WRITE, Uc

from py_esp_ota._core import Flash
from py_esp_ota.silicon.soc import EXECUTE, READ, WRITE, Memory, Soc
from py_esp_ota.silicon.words import to_word, words

_RIGHTS = {READ: UC_PROT_READ, WRITE: UC_PROT_WRITE, EXECUTE: UC_PROT_EXEC}


class Block:
    """One block of host memory, shown at each of its windows."""

    def __init__(self, uc: Uc, memory: Memory) -> None:
        self.size = memory.size
        self.windows = tuple(range(base, base + memory.size) for base, _access in memory.windows)
        self._bytes = ctypes.create_string_buffer(memory.size)
        self.address = ctypes.addressof(self._bytes)
        for base, access in memory.windows:
            rights = sum(right for bit, right in _RIGHTS.items() if access & bit)
            uc.mem_map_ptr(base, memory.size, rights, self.address)

    def clear(self) -> None:
        """Fill it with zeros."""
        ctypes.memset(self.address, 0, self.size)

    def save(self) -> bytes:
        """Its content."""
        return self._bytes.raw

    def get(self, offset: int, length: int) -> bytes:
        """Bytes at ``offset``, which the caller knows to be there."""
        return ctypes.string_at(self.address + offset, length)

    def put(self, offset: int, data: bytes) -> None:
        """Bytes at ``offset``, which the caller knows to fit."""
        ctypes.memmove(self.address + offset, data, len(data))


class FlashWindow:
    """The MMU's table in memory, and behind it the pages of the flash.

    The table is looked at when the cache is switched on, not at each of the hundred stores that fill it.
    """

    def __init__(self, uc: Uc, soc: Soc) -> None:
        self._soc = soc
        self.pages = Block(uc, soc.flash_window)
        #: The table in memory, where code writes it.
        self.table = Block(uc, Memory(0x1000, ((soc.mmu_table, READ | WRITE),)))
        #: The page that each entry showed when the cache was last switched on; ``None``: none, or one that is old now.
        self._shown: list[int | None] = [None] * soc.mmu_entries
        self._nothing = bytes(soc.mmu_page)
        #: Every page that was shown since the reset, in the order of its last time.
        self._history: dict[int, None] = {}

    def reset(self) -> None:
        """Nothing is mapped, nothing is shown."""
        self.table.put(0, to_word(self._soc.mmu_invalid) * self._soc.mmu_entries)
        for entry, page in enumerate(self._shown):
            if page is not None:
                self.pages.put(entry * self._soc.mmu_page, self._nothing)
        self._shown = [None] * self._soc.mmu_entries
        self._history = {}

    def restore(self, table: bytes, history: tuple[int, ...]) -> None:
        """The MMU's table and what was shown so far as they were; the next ``sync`` shows everything anew."""
        self.reset()
        self.table.put(0, table)
        self._history = dict.fromkeys(history)

    def flash_at(self, address: int, length: int) -> Iterator[tuple[int, int]]:
        """The pieces of the flash that the cache shows at these addresses: address in flash, and bytes."""
        size = self._soc.mmu_page
        for base, _access in self._soc.flash_window.windows:
            low, high = max(address, base), min(address + length, base + self._soc.flash_window.size)
            while low < high:
                entry, offset = divmod(low - base, size)
                piece = min(size - offset, high - low)
                page = self._shown[entry]
                if page is not None:
                    yield page * size + offset, piece
                low += piece

    def map(self, entry: int, page: int | None) -> None:
        """Write one entry of the table."""
        value = self._soc.mmu_invalid if page is None else page & (self._soc.mmu_invalid - 1)
        self.table.put(4 * entry, to_word(value))

    def mapped(self) -> list[int | None]:
        """The flash page of each entry, ``None`` for an invalid one."""
        invalid = self._soc.mmu_invalid
        table = words(self.table.get(0, 4 * self._soc.mmu_entries))
        return [None if value & invalid else value & (invalid - 1) for value in table]

    def sync(self, flash: Flash) -> None:
        """Show what the table maps. An address beyond the chip comes round again. Raises ``PowerLoss``."""
        size, shown, mapped = self._soc.mmu_page, self._shown, self.mapped()
        if mapped == shown:
            return
        for entry, page in enumerate(mapped):
            if page != shown[entry]:
                data = self._nothing if page is None else flash.mmap(page * size % flash.size, size)
                self.pages.put(entry * size, data)
                shown[entry] = page
                if page is not None:
                    self._history.pop(page, None)
                    self._history[page] = None

    def history(self) -> list[int]:
        """The flash pages that were shown since the reset, the latest first."""
        return list(reversed(self._history))

    def forget(self, address: int, length: int) -> None:
        """These bytes of the flash have changed: the next ``sync`` reads their pages again."""
        first, last = address // self._soc.mmu_page, (address + max(length, 1) - 1) // self._soc.mmu_page
        for entry, page in enumerate(self._shown):
            if page is not None and first <= page <= last:
                self._shown[entry] = -1
