"""One chip's CPU: an engine with the chip's memory around it, the calls into ROM, and what the code is granted.

Nothing here knows what the code is for. Whoever runs it gives a ``Watcher``, which is asked whenever the code does
something that ordinary code does not: an exception, a fault of the memory, a call into ROM where no function is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from py_esp_ota.silicon.chips.soc import READ, Memory, MmuTable, Soc
from py_esp_ota.silicon.engines.engine import Bus, Engine, Watcher
from py_esp_ota.silicon.memory import FlashWindow
from py_esp_ota.silicon.rom.real import RomImage
from py_esp_ota.silicon.words import to_word, word

#: Between the jump at the beginning of every ROM and its chip id lie twelve bytes that no ROM uses. They are ours: apps
#: have the CPU's memory protection forbid code anywhere else.
_UNUSED = 4
_NO_TEXT = b"unknown\0"
_CALLS_KEPT = 8
_BYTES_PER_EFFORT = 64


class Cpu:
    """The CPU with its memory. ``go`` runs it; the callbacks of ``Watcher`` and ``Bus`` come from inside of that.

    All that ``engine`` does is its business alone; what stands here is the same whatever executes the code.
    """

    def __init__(self, soc: Soc, bus: Bus, engine: Engine) -> None:
        self._soc = soc
        self._bus = bus
        self.engine = engine
        #: Take from the grant: a loop through Python must end as one without it does. Called too often for a detour.
        self.charge: Callable[[int], bool] = engine.charge
        self.ram = [engine.add(memory) for memory in soc.ram]
        self._rom = engine.add(soc.rom)
        if soc.rom_start is None:
            self._rom.put(0, engine.returns * (soc.rom.size // len(engine.returns)))
        #: Where code of the app returns to when a ROM function called it.
        self.callback_return = soc.rom.windows[0][0] + _UNUSED
        #: A text for what only a real ROM could say.
        self.no_text = self.callback_return + 4
        if soc.rom_start is None:
            self._put_ours()
        self.window = FlashWindow(engine, soc, bus)
        if soc.rom_data is not None:
            self._rom_data = engine.add(Memory(soc.rom_data.size, ((soc.rom_data.base, READ),)))
        self._map_registers()
        self.rom_range = range(soc.rom.windows[0][0], soc.rom.windows[0][0] + soc.rom.size)
        for address, value in soc.rom_words.items():
            self._put_rom(address, to_word(value))
        self._rom_watch = engine.watch_rom(self.rom_range.start, self.rom_range.stop) if soc.rom_start is None else None
        #: The last ROM functions called, by address, the newest last.
        self.calls: deque[int] = deque(maxlen=_CALLS_KEPT)
        self._granted = 0
        self._loads: Callable[[int, int], None] | None = None

    def use_rom(self, image: RomImage, kept: Iterable[int]) -> None:
        """Let ROM's own code run, but for the functions at ``kept``, which ``Watcher.rom_call`` is asked for."""
        for address, part in image.parts:
            self._put_rom(address, part)
        if self._rom_watch is None:
            return
        self.unwatch(self._rom_watch)
        self._put_ours()
        for address in kept:
            self._put_rom(address, self.engine.returns)
        for address in (*kept, self.callback_return):
            self.engine.watch_rom(address, address + 1)

    def _put_ours(self) -> None:
        base = self._soc.rom.windows[0][0]
        self.lets_call_back(self.callback_return)
        self._rom.put(self.no_text - base, _NO_TEXT)

    def _put_rom(self, address: int, data: bytes) -> None:
        """Into ROM, or its data where that is seen at another place; what goes to RAM is another's business."""
        window = self._soc.rom_data
        if address in self.rom_range:
            self._rom.put(address - self.rom_range.start, data)
        elif window is not None and window.base <= address < window.base + window.size:
            self._rom_data.put(address - window.base, data)

    # --------------------------------------------------------------------------------------------------------- running

    @property
    def watcher(self) -> Watcher | None:
        """Who is asked."""
        return self.engine.watcher

    @watcher.setter
    def watcher(self, watcher: Watcher) -> None:
        self.engine.watcher = watcher

    def go(self, pc: int, count: int) -> int | None:
        """Run from ``pc`` for ``count`` instructions, or until something calls ``stop``; how many, if that is known.

        Raises ``PowerLoss``, and ``KeyboardInterrupt`` after ``interrupt``.
        """
        return self.engine.run(pc, count)

    def stop(self) -> None:
        """No instruction more, from inside of a callback."""
        self.engine.stop()

    def interrupt(self) -> None:
        """No instruction more, and ``go`` raises ``KeyboardInterrupt``; from anywhere, as a signal comes."""
        self.engine.interrupt()

    def grant(self, effort: int) -> None:
        """What Python may do for the code from now on: calls, letters, pieces of memory."""
        self.engine.effort = self._granted = effort

    @property
    def effort(self) -> int:
        """What is left of the grant."""
        return self.engine.effort

    @property
    def exhausted(self) -> bool:
        """Whether the grant is spent."""
        return self.engine.effort < 0

    @property
    def spent(self) -> int:
        """What is spent of the grant; nothing when the code has used the CPU and its memory alone."""
        return self._granted - self.engine.effort

    @property
    def instructions(self) -> int:
        """Instructions since the reset, when they are counted."""
        return self.engine.instructions

    @instructions.setter
    def instructions(self, count: int) -> None:
        self.engine.instructions = count

    def forget_code(self, address: int | None = None) -> None:
        """Code came in past the CPU, there or anywhere: what was made of it is old."""
        self.engine.forget_code(address)

    def watch_blocks(self, callback: Callable[[int], None], begin: int, end: int) -> int:
        """Call back for every block of code that begins from ``begin`` to ``end``; the number to end it with."""
        return self.engine.watch(callback, begin, end + 1)

    def unwatch(self, number: int) -> None:
        """The end of ``watch_blocks``."""
        self.engine.unwatch(number)

    @contextmanager
    def watched(self, *, loads: Callable[[int, int], None] | None, steps: Callable[[], None] | None) -> Iterator[None]:
        """Call back for every load, by code (address, length) or through ``load``, or for every instruction: slow."""
        self._loads = loads
        try:
            with self.engine.watched(loads=loads, steps=steps):
                yield
        finally:
            self._loads = None

    # ------------------------------------------------------------------------------------------------------- registers

    @property
    def pc(self) -> int:
        """Where it runs."""
        return self.engine.pc

    @pc.setter
    def pc(self, address: int) -> None:
        self.engine.pc = address

    @property
    def ra(self) -> int:
        """Where the function that runs returns to."""
        return self.engine.ra

    @property
    def sp(self) -> int:
        """The stack pointer."""
        return self.engine.sp

    def reset(self, stack_top: int) -> None:
        """Registers and memory as after power-on; translated code stays."""
        self.instructions = 0
        self.calls.clear()
        for block in self.ram:
            block.clear()
        self.window.reset()
        self.engine.reset(stack_top)

    # ----------------------------------------------------------------------------- memory, and calls as C makes them

    def arg(self, index: int) -> int:
        """Argument ``index``, from registers and then from the stack."""
        engine = self.engine
        if index < engine.arguments:
            return engine.argument(index)
        return word(self.load(engine.sp + 4 * (index - engine.arguments), 4))

    def lets_call_back(self, address: int) -> None:
        """The ROM function at ``address`` uses ``call`` and ``return_to``."""
        self._rom.put(address - self._soc.rom.windows[0][0], self.engine.jumps)

    def call(self, function: int, *args: int) -> None:
        """From inside of ``rom_call``: ROM goes on in ``function``, which returns to ``callback_return``."""
        for index, value in enumerate(args):
            self.engine.set_argument(index, value)
        self.engine.ra = self.callback_return
        self.engine.go_to(function)

    def return_to(self, address: int) -> None:
        """From inside of ``rom_call``: ROM's code there returns to ``address``."""
        self.engine.ra = address
        self.engine.go_to(address)

    def result(self, value: int, *, wide: bool = False) -> None:
        """What the ROM function returns, a ``wide`` one of 64 bits."""
        self.engine.result(value, wide=wide)

    def peek(self, address: int, length: int) -> bytes:
        """Memory only. Raises ``MemoryFault`` where none is."""
        return self.engine.peek(address, length)

    def load(self, address: int, length: int) -> bytes:
        """Memory or registers. Raises ``MemoryFault`` where neither is."""
        if length >= _BYTES_PER_EFFORT:
            self.charge(length // _BYTES_PER_EFFORT)
        if self._loads is not None:
            self._loads(address, length)
        if not self._are_registers(address):
            return self.engine.peek(address, length)
        first = address & ~3
        count = (address + length - first + 3) // 4
        data = b"".join(to_word(self._bus.read(first + 4 * index)) for index in range(count))
        return data[address - first : address - first + length]

    def store(self, address: int, data: bytes) -> None:
        """Into memory. Raises ``MemoryFault`` where none is."""
        if len(data) >= _BYTES_PER_EFFORT:
            self.charge(len(data) // _BYTES_PER_EFFORT)
        self.engine.poke(address, data)

    # --------------------------------------------------------------------------------------------------------- the bus

    def _map_registers(self) -> None:
        hole = self._table()
        for start, stop in self._soc.registers:
            for begin, end in ((start, min(stop, hole.start)), (max(start, hole.stop), stop)):
                if begin < end:
                    self.engine.add_registers(begin, end)
        for alias in self._soc.aliases:
            self.engine.add_alias(*alias)
        self.engine.add_random(self._soc.rng)

    def _are_registers(self, address: int) -> bool:
        return address not in self._table() and any(start <= address < stop for start, stop in self._soc.registers)

    def _table(self) -> range:
        """The MMU's table, which is memory among the registers on some chips."""
        mmu = self._soc.mmu
        return range(mmu.address, mmu.address + 0x1000) if isinstance(mmu, MmuTable) else range(0)
