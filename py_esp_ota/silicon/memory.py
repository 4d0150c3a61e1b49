"""Memory that two buses show at two addresses, and the flash as the cache shows it through the MMU."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypedDict

from py_esp_ota._core import Flash, ShownPages
from py_esp_ota.silicon.chips.soc import READ, WRITE, Memory, MmuItems, MmuTable, Soc
from py_esp_ota.silicon.engines.engine import Bus, Engine
from py_esp_ota.silicon.words import of_words, to_word, words


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
        invalid = self._table.invalid
        return [None if value & invalid else value & (invalid - 1) for value in words(self.save())]

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
        return of_words(self._words)

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
        self._pages = soc.mmu.pages
        self._registers = registers
        self.mmu: Mmu = ItemMmu(registers, soc.mmu) if isinstance(soc.mmu, MmuItems) else TableMmu(engine, soc.mmu)
        self._engine = engine
        #: Which bytes of all that the MMU maps each window shows, and from which addresses on.
        self._parts = [
            (range(first, first + memory.size), tuple(base for base, _access in memory.windows))
            for first, memory in soc.flash_windows
        ]
        for _first, memory in soc.flash_windows:
            engine.add_window(memory)
        self._shown = ShownPages(
            [(bytes_of.start, bytes_of.stop) for bytes_of, _bases in self._parts], soc.mmu.entries, **_rule(soc.mmu)
        )

    @property
    def page_size(self) -> int:
        """The size of a page as the MMU is set now, bytes."""
        register = self._pages.register
        return self._pages.size(0 if register is None else self._registers.stored(register))

    def reset(self) -> None:
        """Nothing is mapped, nothing is shown."""
        self.mmu.reset()
        self._engine.show(self._shown.reset())

    def restore(self, mmu: bytes, history: Sequence[int]) -> None:
        """The MMU and what was shown so far as they were; the next ``sync`` shows everything anew."""
        self.mmu.restore(mmu)
        self._shown.restore(history)

    def flash_at(self, address: int, length: int) -> Iterator[tuple[int, int]]:
        """The pieces of the flash that the cache shows at these addresses: address in flash, and bytes."""
        size = self._shown.size
        for bytes_of, base in self._windows():
            low, high = max(address, base), min(address + length, base + len(bytes_of))
            while low < high:
                entry, offset = divmod(low - base + bytes_of.start, size)
                piece = min(size - offset, high - low)
                place = self._shown.place(entry)
                if place is not None:
                    yield place + offset, piece
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
        for bytes_of, bases in self._parts:
            for base in bases:
                yield bytes_of, base

    def sync(self, flash: Flash) -> int:
        """Show what the MMU maps, and say how many pages that are. Raises ``PowerLoss``.

        An address beyond the chip comes round again.
        """
        self._engine.show(self._shown.sync(self.mmu.save(), self.page_size, flash.size), flash)
        return self._shown.mapped

    def history(self) -> list[int]:
        """The places in flash of the pages that were shown since the reset, the latest first."""
        return self._shown.history()

    def forget(self, address: int, length: int) -> None:
        """These bytes of the flash have changed: the next ``sync`` reads their pages again."""
        self._shown.forget(address, length)


class _Rule(TypedDict):
    bit: int
    set: bool
    mask: int


def _rule(mmu: MmuTable | MmuItems) -> _Rule:
    """When a word of the MMU shows a page, and which."""
    if isinstance(mmu, MmuItems):
        return {"bit": mmu.valid, "set": True, "mask": mmu.mask}
    return {"bit": mmu.invalid, "set": False, "mask": mmu.invalid - 1}
