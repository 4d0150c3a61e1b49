"""Memory that two buses show at two addresses, and the flash as the cache shows it through the MMU."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Protocol

from py_esp_ota._core import Flash
from py_esp_ota.silicon.chips.soc import READ, WRITE, Memory, MmuItems, MmuTable, Soc
from py_esp_ota.silicon.engines.engine import Bus, Engine
from py_esp_ota.silicon.words import to_word, words


class Mmu(Protocol):
    """The entries of an MMU: which page of the flash each shows, ``None`` for one that shows nothing."""

    def reset(self) -> None:
        """Nothing is mapped."""

    def read(self) -> list[int | None]:
        """All entries."""

    def write(self, entry: int, page: int | None) -> None:
        """One entry."""

    def save(self) -> bytes:
        """What ``restore`` takes."""

    def restore(self, saved: bytes) -> None:
        """As it was at ``save``."""


class TableMmu:
    """Entries that are words in memory, which code fills without our help."""

    def __init__(self, engine: Engine, table: MmuTable) -> None:
        self._table = table
        self._words = engine.add(Memory(0x1000, ((table.address, READ | WRITE),)))

    def reset(self) -> None:
        """Nothing is mapped."""
        self.restore(to_word(self._table.invalid) * self._table.entries)

    def read(self) -> list[int | None]:
        """All entries."""
        return list(_pages(self.save(), self._table.invalid))

    def write(self, entry: int, page: int | None) -> None:
        """One entry."""
        value = self._table.invalid if page is None else page & (self._table.invalid - 1)
        self._words.put(4 * entry, to_word(value))

    def save(self) -> bytes:
        """What ``restore`` takes."""
        return self._words.get(0, 4 * self._table.entries)

    def restore(self, saved: bytes) -> None:
        """As it was at ``save``."""
        self._words.put(0, saved)


@lru_cache(maxsize=256)
def _pages(table: bytes, invalid: int) -> tuple[int | None, ...]:
    """The entries of a table: a bootloader fills it the same way each time."""
    return tuple(None if value & invalid else value & (invalid - 1) for value in words(table))


class ItemMmu:
    """Entries behind two registers of the flash controller: code says which one, then reads or writes it."""

    def __init__(self, registers: Bus, items: MmuItems) -> None:
        self._items = items
        self._registers = registers
        self._words = [0] * items.entries
        registers.on_read[items.content] = lambda: self._words[self._number()]
        registers.on_write[items.content] = self._put

    def reset(self) -> None:
        """Nothing is mapped."""
        self._words = [0] * self._items.entries

    def read(self) -> list[int | None]:
        """All entries."""
        valid, mask = self._items.valid, self._items.mask
        return [value & mask if value & valid else None for value in self._words]

    def write(self, entry: int, page: int | None) -> None:
        """One entry."""
        self._words[entry] = 0 if page is None else page & self._items.mask | self._items.valid

    def save(self) -> bytes:
        """What ``restore`` takes."""
        return b"".join(map(to_word, self._words))

    def restore(self, saved: bytes) -> None:
        """As it was at ``save``."""
        self._words = list(words(saved))

    def _number(self) -> int:
        return self._registers.stored(self._items.index) % self._items.entries

    def _put(self, value: int) -> None:
        self._words[self._number()] = value


class FlashWindow:
    """The pages of the flash as the cache shows them through the MMU.

    The MMU is looked at when the cache is switched on, not at each of the hundred stores that fill it.
    """

    def __init__(self, engine: Engine, soc: Soc, registers: Bus) -> None:
        self._soc = soc
        self._registers = registers
        self.mmu: Mmu = ItemMmu(registers, soc.mmu) if isinstance(soc.mmu, MmuItems) else TableMmu(engine, soc.mmu)
        #: The windows: which bytes of all that the MMU maps each shows, at which addresses, and the memory behind it.
        self._parts = [
            (
                range(first, first + memory.size),
                tuple(base for base, _access in memory.windows),
                engine.add_window(memory),
            )
            for first, memory in soc.flash_windows
        ]
        #: The page that each entry showed when the cache was last switched on; ``None``: none, or one that is old now.
        self._shown: list[int | None] = [None] * soc.mmu.entries
        #: The MMU as it was then, nothing when a page is old now; and how many pages it mapped.
        self._synced, self._mapped = b"", 0
        #: The size of those pages, bytes.
        self._size = self.page_size
        #: The place in flash of every page that was shown since the reset, in the order of its last time.
        self._history: dict[int, None] = {}

    @property
    def page_size(self) -> int:
        """The size of a page as the MMU is set now, bytes."""
        pages = self._soc.mmu.pages
        return pages.size(0 if pages.register is None else self._registers.stored(pages.register))

    def reset(self) -> None:
        """Nothing is mapped, nothing is shown."""
        self.mmu.reset()
        self._hide()
        self._history = {}

    def restore(self, mmu: bytes, history: tuple[int, ...]) -> None:
        """The MMU and what was shown so far as they were; the next ``sync`` shows everything anew."""
        self.reset()
        self.mmu.restore(mmu)
        self._history = dict.fromkeys(history)

    def flash_at(self, address: int, length: int) -> Iterator[tuple[int, int]]:
        """The pieces of the flash that the cache shows at these addresses: address in flash, and bytes."""
        size = self._size
        for bytes_of, base in self._windows():
            low, high = max(address, base), min(address + length, base + len(bytes_of))
            while low < high:
                entry, offset = divmod(low - base + bytes_of.start, size)
                piece = min(size - offset, high - low)
                page = self._shown[entry] if entry < len(self._shown) else None
                if page is not None:
                    yield page * size + offset, piece
                low += piece

    def map(self, entry: int, page: int | None) -> None:
        """Write one entry of the MMU."""
        self.mmu.write(entry, page)

    def maps(self, address: int) -> bool:
        """Whether the MMU maps the page of ``address``; true for an address outside of the windows."""
        entry = self.entry_at(address)
        return entry is None or (entry < self._soc.mmu.entries and self.mmu.read()[entry] is not None)

    def entry_at(self, address: int) -> int | None:
        """The number that the MMU's entry for ``address`` has, be there one or not; ``None`` outside of the windows."""
        for bytes_of, base in self._windows():
            if base <= address < base + len(bytes_of):
                return (address - base + bytes_of.start) // self.page_size
        return None

    def _windows(self) -> Iterator[tuple[range, int]]:
        """Which bytes of all that the MMU maps are seen, and from which address on."""
        for bytes_of, bases, _block in self._parts:
            for base in bases:
                yield bytes_of, base

    def sync(self, flash: Flash) -> int:
        """Show what the MMU maps, and say how many pages that are. Raises ``PowerLoss``.

        An address beyond the chip comes round again.
        """
        if self.page_size != self._size:
            self._hide()
        table = self.mmu.save()
        if table == self._synced:
            return self._mapped
        size, mapped = self._size, self.mmu.read()
        for entry, count, page in _runs(self._shown, mapped, flash.size // size):
            self._show(entry * size, count * size, flash, page)
            for place in () if page is None else range(page * size, (page + count) * size, size):
                self._history.pop(place, None)
                self._history[place] = None
        self._shown = mapped
        self._synced, self._mapped = table, len(mapped) - mapped.count(None)
        return self._mapped

    def history(self) -> list[int]:
        """The places in flash of the pages that were shown since the reset, the latest first."""
        return list(reversed(self._history))

    def forget(self, address: int, length: int) -> None:
        """These bytes of the flash have changed: the next ``sync`` reads their pages again."""
        first, last = address // self._size, (address + max(length, 1) - 1) // self._size
        for entry, page in enumerate(self._shown):
            if page is not None and first <= page <= last:
                self._shown[entry] = -1
                self._synced = b""

    def _show(self, at: int, length: int, flash: Flash | None, page: int | None) -> None:
        """Pages of what the MMU maps, from ``page`` on, as far as windows show them; without a page nothing."""
        for bytes_of, _bases, memory in self._parts:
            begin, end = max(at, bytes_of.start), min(at + length, bytes_of.stop)
            if begin >= end:
                continue
            if flash is None or page is None:
                memory.blank(begin - bytes_of.start, end - begin)
            else:
                place = (page * self._size + begin - at) % flash.size
                memory.show(begin - bytes_of.start, end - begin, flash, place)

    def _hide(self) -> None:
        for entry, page in enumerate(self._shown):
            if page is not None:
                self._show(entry * self._size, self._size, None, None)
        self._shown = [None] * self._soc.mmu.entries
        self._synced = b""
        self._size = self.page_size


def _runs(shown: list[int | None], mapped: list[int | None], pages: int) -> Iterator[tuple[int, int, int | None]]:
    """What has changed, as runs of entries: the first, how many, and the page of the first; pages follow each other.

    ``pages`` is how many the flash has: no run goes beyond its end.
    """
    first, count, page = 0, 0, None
    for entry, new in enumerate(mapped):
        if new == shown[entry]:
            continue
        follows = new is None if page is None else new == page + count and new % pages != 0
        if count and entry == first + count and follows:
            count += 1
            continue
        if count:
            yield first, count, page
        first, count, page = entry, 1, new
    if count:
        yield first, count, page
