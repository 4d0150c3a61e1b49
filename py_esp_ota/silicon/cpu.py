"""One chip's CPU under Unicorn: memory, registers, the calls into ROM, and what stops it.

Nothing here knows what the code is for. Whoever runs it gives a ``Watcher``, which is asked whenever the code does
something that ordinary code does not: an exception, a fault of the memory, a call into ROM where no function is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import NewType, Protocol

from unicorn import (
    UC_ARCH_RISCV,
    UC_HOOK_BLOCK,
    UC_HOOK_CODE,
    UC_HOOK_INTR,
    UC_HOOK_MEM_READ,
    UC_MODE_RISCV32,
    Uc,
    UcError,
)
from unicorn.riscv_const import UC_RISCV_REG_A0, UC_RISCV_REG_PC, UC_RISCV_REG_RA, UC_RISCV_REG_SP, UC_RISCV_REG_X0

from py_esp_ota.silicon.chips.soc import READ, Memory, MmuTable, Soc
from py_esp_ota.silicon.memory import Block, FlashWindow, Hooks
from py_esp_ota.silicon.rom.real import RomImage
from py_esp_ota.silicon.words import to_word, word

ILLEGAL_INSTRUCTION = 2

_RETURN = b"\x82\x80"  # c.jr ra
_JUMP = b"\x82\x82"  # c.jr t0
#: Between the jump at the beginning of every ROM and its chip id lie twelve bytes that no ROM uses. They are ours: apps
#: have the CPU's memory protection forbid code anywhere else.
_UNUSED = 4
_NO_TEXT = b"unknown\0"
_CALLS_KEPT = 8
_A7 = 7
_T0 = UC_RISCV_REG_X0 + 5
_BYTES_PER_EFFORT = 64
_SYSTEM = 0x73
_NEVER = 0xFFFFFFFE  # no instruction lies there

#: All registers of the CPU, as Unicorn keeps them.
Context = NewType("Context", object)


class Bus(Hooks, Protocol):
    """What answers where no memory is."""

    def read(self, address: int) -> int:
        """The word that a load sees."""

    def write(self, address: int, value: int) -> None:
        """A store of one word."""


class Watcher(Protocol):
    """Who is asked when code leaves the ordinary way; each answer may end the run, or change where it goes on."""

    def rom_call(self, address: int) -> bool:
        """A block in ROM begins. Whether to go on with ROM's own code there, which returns."""

    def exception(self, cause: int, address: int) -> None:
        """The instruction at ``address`` raised ``cause`` of the RISC-V privileged architecture."""

    def fault(self, error: UcError, address: int) -> None:
        """The instruction at ``address`` touched what is not there, or jumped there."""

    def csr(self, number: int) -> int | None:
        """The value of a CSR that only Espressif's cores have, ``None`` for one that they have not either."""


class Cpu:
    """The CPU with its memory. ``go`` runs it; the callbacks of ``Watcher`` and ``Bus`` come from inside of that."""

    def __init__(self, soc: Soc, bus: Bus, *, count: bool) -> None:
        """``count``: count instructions block by block, which makes a run several times slower."""
        self._soc = soc
        self._bus = bus
        self._uc = Uc(UC_ARCH_RISCV, UC_MODE_RISCV32)
        self.ram = [Block(self._uc, memory) for memory in soc.ram]
        self._rom = Block(self._uc, soc.rom)
        self._rom.put(0, _RETURN * (soc.rom.size // len(_RETURN)))
        #: Where code of the app returns to when a ROM function called it.
        self.callback_return = soc.rom.windows[0][0] + _UNUSED
        #: A text for what only a real ROM could say.
        self.no_text = self.callback_return + 4
        self._put_ours()
        self.window = FlashWindow(self._uc, soc, bus)
        blocks = (*self.ram, *self.window.blocks, self._rom)
        if soc.rom_data is not None:
            self._rom_data = Block(self._uc, Memory(soc.rom_data.size, ((soc.rom_data.base, READ),)))
            blocks = (*blocks, self._rom_data)
        self._memories = [(window, block) for block in blocks for window in block.windows]
        self._map_registers()
        self.rom_range = range(soc.rom.windows[0][0], soc.rom.windows[0][0] + soc.rom.size)
        for address, value in soc.rom_words.items():
            self._put_rom(address, to_word(value))
        self._rom_hook = self._hook_rom(self.rom_range)
        self._uc.hook_add(UC_HOOK_INTR, self._on_exception)
        if count:
            self._uc.hook_add(UC_HOOK_BLOCK, self._on_block)
        self.watcher: Watcher | None = None
        #: The last ROM functions called, by address, the newest last.
        self.calls: deque[int] = deque(maxlen=_CALLS_KEPT)
        self.instructions = 0
        #: What Python may still do for the code.
        self.effort = self._granted = 0
        self._loads: Callable[[int, int], None] | None = None
        self._in_store = False
        self._stopped_in_store = False
        self._interrupted = False
        #: The ROM function called last, -1 for none.
        self._called = -1

    def use_rom(self, image: RomImage, kept: Iterable[int]) -> None:
        """Let ROM's own code run, but for the functions at ``kept``, which ``Watcher.rom_call`` is asked for."""
        self.unwatch(self._rom_hook)
        for address, part in image.parts:
            self._put_rom(address, part)
        self._put_ours()
        for address in kept:
            self._put_rom(address, _RETURN)
        for address in (*kept, self.callback_return):
            self._hook_rom(range(address, address + 1))

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

    def _hook_rom(self, addresses: range) -> int:
        return int(self._uc.hook_add(UC_HOOK_BLOCK, self._on_rom, begin=addresses.start, end=addresses.stop - 1))

    # --------------------------------------------------------------------------------------------------------- running

    def go(self, pc: int, count: int) -> None:
        """Run from ``pc`` for ``count`` instructions, or until something calls ``stop``.

        Raises ``PowerLoss``, and ``KeyboardInterrupt`` after ``interrupt``.
        """
        self._in_store = self._stopped_in_store = False
        self._called = -1
        try:
            self._uc.emu_start(pc, _NEVER, count=count)
        except UcError as error:
            if self.watcher is not None:
                self.watcher.fault(error, self.pc)
        if self._interrupted:
            self._interrupted = False
            raise KeyboardInterrupt
        # Unicorn stops on what called back, not behind it: it would be done twice.
        if self._stopped_in_store:
            self.pc += 4 if self.peek(self.pc, 1)[0] & 3 == 3 else 2
        elif self.pc == self._called:
            # The call was announced and done, but ROM's one instruction not yet, for the count was up.
            self.pc = self._uc.reg_read(_T0) if self.peek(self.pc, 2) == _JUMP else self.ra

    def stop(self) -> None:
        """No instruction more, from inside of a callback."""
        self._stopped_in_store = self._in_store
        self._uc.emu_stop()

    def interrupt(self) -> None:
        """No instruction more, and ``go`` raises ``KeyboardInterrupt``; from anywhere, as a signal comes."""
        self._interrupted = True
        self._uc.emu_stop()

    def grant(self, effort: int) -> None:
        """What Python may do for the code from now on: calls, letters, pieces of memory."""
        self.effort = self._granted = effort

    def charge(self, effort: int) -> bool:
        """Take from the grant: a loop through Python must end as one without it does."""
        self.effort -= effort
        if self.effort < 0:
            self._uc.emu_stop()
            return False
        return True

    @property
    def exhausted(self) -> bool:
        """Whether the grant is spent."""
        return self.effort < 0

    @property
    def spent(self) -> int:
        """What is spent of the grant; nothing when the code has used the CPU and its memory alone."""
        return self._granted - self.effort

    def forget_code(self, address: int | None = None) -> None:
        """Code came in past the CPU, there or anywhere: what it has translated is old."""
        if address is None:
            self._uc.ctl_flush_tb()
        else:
            self._uc.ctl_remove_cache(address & ~1, (address & ~1) + 2)

    def watch_blocks(self, callback: Callable[[int], None], begin: int, end: int) -> int:
        """Call back for every block of code that begins from ``begin`` to ``end``; the number to end it with."""

        def on_block(_uc: Uc, address: int, _size: int, _data: object) -> None:
            callback(address)

        return int(self._uc.hook_add(UC_HOOK_BLOCK, on_block, begin=begin, end=end))

    def unwatch(self, number: int) -> None:
        """The end of ``watch_blocks``."""
        self._uc.hook_del(number)

    @contextmanager
    def watched(self, *, loads: Callable[[int, int], None] | None, steps: Callable[[], None] | None) -> Iterator[None]:
        """Call back for every load, by code (address, length) or through ``load``, or for every instruction: slow."""

        def on_read(_uc: Uc, _kind: int, address: int, size: int, _value: int, _data: object) -> None:
            if loads is not None:
                loads(address, size)

        def on_step(_uc: Uc, _address: int, _size: int, _data: object) -> None:
            if steps is not None:
                steps()

        wanted = ((loads, UC_HOOK_MEM_READ, on_read), (steps, UC_HOOK_CODE, on_step))
        hooks = [self._uc.hook_add(kind, hook) for asked, kind, hook in wanted if asked is not None]
        self._loads = loads
        try:
            yield
        finally:
            self._loads = None
            for hook in hooks:
                self._uc.hook_del(hook)
            self.forget_code()

    # ------------------------------------------------------------------------------------------------------- registers

    @property
    def pc(self) -> int:
        """Where it runs."""
        return int(self._uc.reg_read(UC_RISCV_REG_PC))

    @pc.setter
    def pc(self, address: int) -> None:
        self._uc.reg_write(UC_RISCV_REG_PC, address)

    @property
    def ra(self) -> int:
        """Where the function that runs returns to."""
        return int(self._uc.reg_read(UC_RISCV_REG_RA))

    def register(self, name: int) -> int:
        """A register by Unicorn's number."""
        return int(self._uc.reg_read(name))

    def set_register(self, name: int, value: int) -> None:
        """A register by Unicorn's number."""
        self._uc.reg_write(name, value & 0xFFFFFFFF)

    def save(self) -> Context:
        """All registers as they are."""
        return Context(self._uc.context_save())

    def restore(self, context: Context) -> None:
        """All registers as they were at ``save``."""
        self._uc.context_restore(context)

    def reset(self, stack_top: int) -> None:
        """Registers and memory as after power-on; translated code stays."""
        self.instructions = 0
        self.calls.clear()
        for block in self.ram:
            block.clear()
        self.window.reset()
        for register in range(UC_RISCV_REG_X0 + 1, UC_RISCV_REG_X0 + 32):
            self._uc.reg_write(register, 0)
        self._uc.reg_write(UC_RISCV_REG_SP, stack_top)

    # ----------------------------------------------------------------------------- memory, and calls as C makes them

    def arg(self, index: int) -> int:
        """Argument ``index``, from a0 on and then from the stack."""
        if index <= _A7:
            return int(self._uc.reg_read(UC_RISCV_REG_A0 + index))
        return word(self.load(self._uc.reg_read(UC_RISCV_REG_SP) + 4 * (index - _A7 - 1), 4))

    @property
    def sp(self) -> int:
        """The stack pointer."""
        return int(self._uc.reg_read(UC_RISCV_REG_SP))

    def lets_call_back(self, address: int) -> None:
        """The ROM function at ``address`` uses ``call`` and ``return_to``."""
        self._rom.put(address - self._soc.rom.windows[0][0], _JUMP)

    def call(self, function: int, *args: int) -> None:
        """From inside of ``rom_call``: ROM goes on in ``function``, which returns to ``callback_return``."""
        for index, value in enumerate(args):
            self._uc.reg_write(UC_RISCV_REG_A0 + index, value & 0xFFFFFFFF)
        self._uc.reg_write(UC_RISCV_REG_RA, self.callback_return)
        self._uc.reg_write(_T0, function)

    def return_to(self, address: int) -> None:
        """From inside of ``rom_call``: ROM's code there returns to ``address``."""
        self._uc.reg_write(UC_RISCV_REG_RA, address)
        self._uc.reg_write(_T0, address)

    def result(self, value: int, *, wide: bool = False) -> None:
        """Into a0, a ``wide`` one of 64 bits into a1 too."""
        self._uc.reg_write(UC_RISCV_REG_A0, value & 0xFFFFFFFF)
        if wide:
            self._uc.reg_write(UC_RISCV_REG_A0 + 1, value >> 32 & 0xFFFFFFFF)

    def peek(self, address: int, length: int) -> bytes:
        """Memory only. Raises ``UcError`` where none is."""
        for window, block in self._memories:
            if window.start <= address and address + length <= window.stop:
                return block.get(address - window.start, length)
        return bytes(self._uc.mem_read(address, length))

    def load(self, address: int, length: int) -> bytes:
        """Memory or registers. Raises ``UcError`` where neither is."""
        self.charge(length // _BYTES_PER_EFFORT)
        if self._loads is not None:
            self._loads(address, length)
        if not self._are_registers(address):
            return self.peek(address, length)
        first = address & ~3
        count = (address + length - first + 3) // 4
        data = b"".join(to_word(self._bus.read(first + 4 * index)) for index in range(count))
        return data[address - first : address - first + length]

    def store(self, address: int, data: bytes) -> None:
        """Into memory. Raises ``UcError`` where none is."""
        self.charge(len(data) // _BYTES_PER_EFFORT)
        self._uc.mem_write(address, data)

    # -------------------------------------------------------------------------------------------------------- callbacks

    def _on_rom(self, _uc: Uc, address: int, _size: int, _data: object) -> None:
        self._called = address
        if self.watcher is not None and not self.watcher.rom_call(address):
            self._uc.emu_stop()

    def _on_block(self, uc: Uc, address: int, size: int, _data: object) -> None:
        self.instructions += instructions(bytes(uc.mem_read(address, size)))

    def _on_exception(self, uc: Uc, cause: int, _data: object) -> None:
        # It is behind the instruction already, by four bytes whatever its length.
        address = (uc.reg_read(UC_RISCV_REG_PC) - 4) & 0xFFFFFFFF
        if not self.charge(1) or (cause == ILLEGAL_INSTRUCTION and self._own_csr(uc, address)):
            return
        if self.watcher is not None:
            self.watcher.exception(cause, address)

    def _own_csr(self, uc: Uc, address: int) -> bool:
        """Execute the instruction at ``address`` if it is on a register that only Espressif's CPUs have."""
        try:
            instruction = word(self.peek(address, 4))
        except UcError:
            return False
        if instruction & 0x7F != _SYSTEM or not instruction >> 12 & 3 or self.watcher is None:
            return False
        value = self.watcher.csr(instruction >> 20)
        target = instruction >> 7 & 31
        if value is not None and target:
            uc.reg_write(UC_RISCV_REG_X0 + target, value & 0xFFFFFFFF)
        return value is not None

    # --------------------------------------------------------------------------------------------------------- the bus

    def _map_registers(self) -> None:
        start, stop = self._soc.registers
        hole = self._table()
        for begin, end in ((start, hole.start), (hole.stop, stop), self._soc.own_registers or (0, 0)):
            if begin < end:
                self._uc.mmio_map(begin, end - begin, self._on_load, begin, self._on_store, begin)

    def _are_registers(self, address: int) -> bool:
        start, stop = self._soc.registers
        own = self._soc.own_registers or (0, 0)
        return own[0] <= address < own[1] or (start <= address < stop and address not in self._table())

    def _table(self) -> range:
        """The MMU's table, which is memory among the registers on some chips."""
        mmu, stop = self._soc.mmu, self._soc.registers[1]
        return range(mmu.address, mmu.address + 0x1000) if isinstance(mmu, MmuTable) else range(stop, stop)

    def _on_load(self, _uc: Uc, offset: int, size: int, base: int) -> int:
        self.charge(1)
        address = base + offset
        value = self._bus.read(address & ~3) >> 8 * (address & 3)
        return value & ((1 << 8 * size) - 1)

    def _on_store(self, _uc: Uc, offset: int, size: int, value: int, base: int) -> None:
        self.charge(1)
        address, shift = (base + offset) & ~3, 8 * (offset & 3)
        if size < 4:
            mask = (1 << 8 * size) - 1 << shift
            value = self._bus.stored(address) & ~mask | value << shift & mask
        self._in_store = True
        self._bus.write(address, value & 0xFFFFFFFF)
        self._in_store = False


@lru_cache(maxsize=0x4000)
def instructions(code: bytes) -> int:
    """How many instructions these bytes are: two bytes each unless the lowest two bits are set."""
    count = at = 0
    while at < len(code):
        at += 4 if code[at] & 3 == 3 else 2
        count += 1
    return count
