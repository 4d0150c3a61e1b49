"""The CPU core of this package as the engine of a chip: ``rust/esp-cpu``, bound by ``rust/py-esp-ota/src/cpu.rs``.

What runs often is there; here is what puts it together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Self, cast

from py_esp_ota import _core
from py_esp_ota._core import CpuMemory, CpuState
from py_esp_ota.silicon.chips.soc import Memory
from py_esp_ota.silicon.engines.engine import Block, Bus, Context, Frozen


class CoreBlock:
    """One block of a core's memory."""

    def __init__(self, core: Core, memory: Memory) -> None:
        self.size = memory.size
        self.windows = tuple(range(base, base + memory.size) for base, _access in memory.windows)
        self._core = core
        self._number = core.add_memory(memory.size, list(memory.windows))

    def clear(self) -> None:
        """Fill it with zeros."""
        self._core.clear(self._number)

    def save(self) -> bytes:
        """Its content."""
        return self.get(0, self.size)

    def get(self, offset: int, length: int) -> bytes:
        """Bytes at ``offset``, which the caller knows to be there."""
        return self._core.get(self._number, offset, length)

    def put(self, offset: int, data: bytes) -> None:
        """Bytes at ``offset``, which the caller knows to fit."""
        self._core.put(self._number, offset, data)


class Core(_core.Cpu):
    """One core."""

    name = "core"
    counts = True
    arguments = 8
    returns = b"\x82\x80"  # c.jr ra
    jumps = b"\x82\x82"  # c.jr t0

    def __new__(cls, chip: str, bus: Bus) -> Self:
        """The first core of ``chip``. Raises ``ValueError`` for one that is not here."""
        return super().__new__(cls, chip, bus.values, bus.on_read, bus.on_write)

    def add(self, memory: Memory) -> CoreBlock:
        """Memory, full of zeros."""
        return CoreBlock(self, memory)

    def add_window(self, memory: Memory) -> None:
        """What the cache shows of a flash: zeros at first. A page comes when it is touched, as it was when shown."""
        self.add_flash(memory.size, list(memory.windows))

    def forget_code(self, address: int | None = None) -> None:
        """Nothing: it sees for itself when code changes."""

    @contextmanager
    def watched(self, *, loads: Callable[[int, int], None] | None, steps: Callable[[], None] | None) -> Iterator[None]:
        """Call back for the pages of the flash that are loaded from, when they come; ``steps`` are counted anyhow."""
        del steps
        self.set_loads(loads)
        try:
            yield
        finally:
            self.set_loads(None)

    def save(self) -> Context:
        """All registers as they are."""
        return Context(self.save_registers())

    def restore(self, context: Context) -> None:
        """All registers as they were at ``save``."""
        self.restore_registers(cast("CpuState", context))

    def freeze(self, _blocks: Sequence[Block]) -> Frozen:
        """All memory as it is."""
        return Frozen(self.save_memory())

    def thaw(self, _blocks: Sequence[Block], memory: Frozen) -> None:
        """As it was at ``freeze``."""
        self.restore_memory(cast("CpuMemory", memory))
