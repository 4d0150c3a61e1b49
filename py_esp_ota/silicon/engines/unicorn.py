"""Unicorn as the engine of a RISC-V chip. Nothing else of this package knows of it.

Its RISC-V core cannot be interrupted from outside, so a trap is entered by hand, as the privileged architecture says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import cast

from unicorn import (
    UC_ARCH_RISCV,
    UC_ERR_FETCH_PROT,
    UC_ERR_FETCH_UNMAPPED,
    UC_ERR_INSN_INVALID,
    UC_ERR_WRITE_PROT,
    UC_ERR_WRITE_UNMAPPED,
    UC_HOOK_BLOCK,
    UC_HOOK_CODE,
    UC_HOOK_INTR,
    UC_HOOK_MEM_INVALID,
    UC_HOOK_MEM_READ,
    UC_MODE_RISCV32,
    Uc,
    UcError,
)
from unicorn.riscv_const import (
    UC_RISCV_REG_MCAUSE,
    UC_RISCV_REG_MEPC,
    UC_RISCV_REG_MSCRATCH,
    UC_RISCV_REG_MSTATUS,
    UC_RISCV_REG_MTVAL,
    UC_RISCV_REG_MTVEC,
    UC_RISCV_REG_PC,
    UC_RISCV_REG_PRIV,
    UC_RISCV_REG_X0,
)

from py_esp_ota._core import Flash, Pieces
from py_esp_ota.silicon.chips.soc import Memory
from py_esp_ota.silicon.engines.engine import (
    BREAKPOINT,
    ILLEGAL_INSTRUCTION,
    Access,
    Block,
    Bus,
    Context,
    Frozen,
    MemoryFault,
    Watcher,
)
from py_esp_ota.silicon.engines.pmp import PMPADDR, PMPCFG, may_fetch
from py_esp_ota.silicon.engines.touched import touched
from py_esp_ota.silicon.engines.unicorn_memory import UnicornBlock, without_zeros
from py_esp_ota.silicon.words import to_word, word

_ACCESS: Mapping[int, Access] = {
    UC_ERR_FETCH_UNMAPPED: "fetch",
    UC_ERR_FETCH_PROT: "fetch",
    UC_ERR_WRITE_UNMAPPED: "store",
    UC_ERR_WRITE_PROT: "store",
}
#: Exceptions by which Unicorn says that memory protection forbids an access.
_FETCH_FAULT = 1
_PROTECTED: Mapping[int, Access] = {5: "load", 7: "store"}
#: Every call of the environment is one from user mode to Unicorn.
_CALL, _CALL_FROM_MACHINE, _MACHINE = 8, 11, 3
_RA, _SP, _T0, _A0 = 1, 2, 5, 10
_READS_CSR, _LW_T0_T0 = 0x00002073, 0x0002A283
_SYSTEM = 0x73
_WFI = (0x10500073).to_bytes(4, "little")
_MIE, _MPIE, _MPP = 1 << 3, 1 << 7, 3 << 11
_INTERRUPT = 1 << 31
_NEVER = 0xFFFFFFFE  # no instruction lies there
_STATE = (
    UC_RISCV_REG_PC,
    UC_RISCV_REG_MSTATUS,
    *range(UC_RISCV_REG_X0 + 1, UC_RISCV_REG_X0 + 32),
    UC_RISCV_REG_MEPC,
    UC_RISCV_REG_MSCRATCH,
)


class Unicorn:
    """One Unicorn."""

    name = "unicorn"
    counts = False
    arguments = 8
    returns = b"\x82\x80"  # c.jr ra
    jumps = b"\x82\x82"  # c.jr t0

    def __init__(self, bus: Bus, *, count: bool) -> None:
        """``count``: count instructions block by block, which makes a run several times slower."""
        self._bus = bus
        self._uc = Uc(UC_ARCH_RISCV, UC_MODE_RISCV32)
        self._memories: list[tuple[range, UnicornBlock]] = []
        self._uc.hook_add(UC_HOOK_INTR, self._on_exception)
        self._uc.hook_add(UC_HOOK_MEM_INVALID, self._on_invalid)
        self._counts_later = count
        self._windows: list[UnicornBlock] = []
        self.watcher: Watcher | None = None
        self.instructions = 0
        self.effort = 0
        #: Where the access was that Unicorn complained of last.
        self._touched = 0
        self._in_store = False
        self._stopped_in_store = False
        self._interrupted = False
        #: The ROM function called last, -1 for none.
        self._called = -1
        #: Where Unicorn would not fetch, -1 for nowhere; and whether it is being asked about that.
        self._refused = -1
        self._asking = False
        #: Registers as after power-on, those among them that say what is protected, for good.
        self._fresh = self._uc.context_save()

    def add(self, memory: Memory) -> UnicornBlock:
        """Memory, full of zeros."""
        block = UnicornBlock(self._uc, memory)
        self._memories += [(window, block) for window in block.windows]
        return block

    def add_window(self, memory: Memory) -> None:
        """Memory that shows a flash: a copy of it."""
        self._windows.append(self.add(memory))

    def show(self, pieces: Pieces, flash: Flash | None = None) -> None:
        """Show pieces of ``flash`` in the windows, as they are now; those that have no place in it, zeros.

        Raises ``PowerLoss``.
        """
        for window, offset, length, place in pieces:
            shown = bytes(length) if flash is None or place is None else flash.mmap(place, length)
            self._windows[window].put(offset, shown)

    def add_registers(self, begin: int, end: int) -> None:
        """Let the bus answer from ``begin`` up to ``end``."""
        self._uc.mmio_map(begin, end - begin, self._on_load, begin, self._on_store, begin)

    def add_alias(self, begin: int, end: int, to: int) -> None:
        """Nothing: the bus knows."""

    def add_random(self, address: int) -> None:
        """Nothing: the bus draws."""

    # --------------------------------------------------------------------------------------------------------- running

    def run(self, pc: int, count: int) -> None:
        """Run from ``pc`` for ``count`` instructions, or until something calls ``stop``."""
        self._in_store = self._stopped_in_store = False
        self._called = -1
        if self._counts_later:
            # Behind the watches of ROM: who is asked about a block finds it not yet counted.
            self._counts_later = False
            self._hook(UC_HOOK_BLOCK, self._on_block)
        refused = -1
        while True:
            self._refused = -1
            try:
                self._uc.emu_start(pc, _NEVER, count=count)
            except UcError as error:
                self._failed(error)
            if self._refused in {-1, refused} or not self._let_through(self._refused):
                break
            pc = refused = self._refused
        if self._refused >= 0 and self.watcher is not None:
            self.watcher.fault(MemoryFault("fetch", self._refused), self._refused)
        if self._interrupted:
            self._interrupted = False
            raise KeyboardInterrupt
        # Unicorn stops on what called back, not behind it: it would be done twice.
        if self._stopped_in_store:
            self.pc += 4 if self.peek(self.pc, 1)[0] & 3 == 3 else 2
        elif self.pc == self._called:
            # The call was announced and done, but ROM's one instruction not yet, for the count was up.
            self.pc = self.register(_T0) if self.peek(self.pc, 2) == self.jumps else self.ra

    def _failed(self, error: UcError) -> None:
        """What Unicorn does not go on from."""
        if self.watcher is None:
            return
        if error.errno == UC_ERR_INSN_INVALID:
            # Which it says of a breakpoint only: the rest that it does not know is an exception.
            self.watcher.exception(BREAKPOINT, self.pc)
        else:
            self.watcher.fault(MemoryFault(_ACCESS.get(error.errno, "load"), self._touched), self.pc)

    def _let_through(self, address: int) -> bool:
        """Let Unicorn fetch there if memory protection does not forbid it: it knows pages that were loaded from."""
        csrs = (*PMPCFG, *PMPADDR)
        words = self._executed([csr << 20 | _READS_CSR | 1 + index << 7 for index, csr in enumerate(csrs)])
        if not may_fetch(words, address):
            return False
        self._executed([_LW_T0_T0], t0=address & ~3)
        return True

    def _executed(self, code: list[int], *, t0: int = 0) -> list[int]:
        """What these instructions leave in x1 and the registers behind it; all else stays as it is."""
        place, block = next((window.start, block) for window, block in self._memories if window in block.code_only)
        there, before = block.get(0, 4 * len(code)), self._uc.context_save()
        block.put(0, b"".join(map(to_word, code)))
        self._uc.ctl_remove_cache(place, place + 4 * len(code))
        self._asking = True
        try:
            self.set_register(_T0, t0)
            self._uc.emu_start(place, _NEVER, count=len(code))
            return [self.register(1 + index) for index in range(len(code))]
        finally:
            self._asking = False
            block.put(0, there)
            self._uc.ctl_remove_cache(place, place + 4 * len(code))
            self._uc.context_restore(before)

    def stop(self) -> None:
        """No instruction more, from inside of a callback."""
        self._stopped_in_store = self._in_store
        self._uc.emu_stop()

    def interrupt(self) -> None:
        """No instruction more, and ``run`` raises ``KeyboardInterrupt``."""
        self._interrupted = True
        self._uc.emu_stop()

    def charge(self, effort: int) -> bool:
        """Take from the effort; once it is spent the code ends, and this is false."""
        self.effort -= effort
        if self.effort < 0:
            self._uc.emu_stop()
            return False
        return True

    @property
    def waits(self) -> bool:
        """Whether the last instruction was the one that waits for an interrupt."""
        try:
            return self.peek(self.pc - 4, 4) == _WFI
        except MemoryFault:
            return False

    @property
    def interruptible(self) -> bool:
        """Whether an interrupt would get through to the code."""
        return bool(self._uc.reg_read(UC_RISCV_REG_MSTATUS) & _MIE)

    def let_in(self, number: int, level: int, *, vectored: bool, user: bool) -> bool:
        """Never: Unicorn has no CLIC."""
        del number, level, vectored, user
        return False

    def advance(self, cycles: int) -> None:
        """Its counters are the host's."""

    def set_look(self, cycles: int) -> None:
        """Nothing: its cores have no counter that code finds without us."""

    def enter(self, cause: int, value: int) -> None:
        """Go on in the handler of ``cause``."""
        read, write = self._uc.reg_read, self._uc.reg_write
        status = read(UC_RISCV_REG_MSTATUS)
        write(UC_RISCV_REG_MEPC, self.pc)
        write(UC_RISCV_REG_MCAUSE, cause)
        write(UC_RISCV_REG_MTVAL, value)
        previous = _MPIE if status & _MIE else 0
        write(UC_RISCV_REG_MSTATUS, status & ~(_MIE | _MPIE) | previous | _MPP)
        vector = read(UC_RISCV_REG_MTVEC)
        offset = 4 * (cause & 31) if vector & 1 and cause & _INTERRUPT else 0
        self.pc = (vector & ~3) + offset

    def forget_code(self, address: int | None = None) -> None:
        """Code came in past the CPU, there or anywhere: what it has translated is old."""
        if address is None:
            self._uc.ctl_flush_tb()
        else:
            self._uc.ctl_remove_cache(address & ~1, (address & ~1) + 2)

    def watch_rom(self, begin: int, end: int) -> int:
        """Ask ``watcher`` for every call of ROM from ``begin`` up to ``end``."""
        return self.watch(self._on_rom, begin, end)

    def watch(self, callback: Callable[[int], None], begin: int, end: int) -> int:
        """Call back for every block of code that begins from ``begin`` up to ``end``."""

        def on_block(_uc: Uc, address: int, _size: int, _data: object) -> None:
            if not self._asking:
                callback(address)

        return self._hook(UC_HOOK_BLOCK, on_block, begin=begin, end=end - 1)

    def _hook(self, kind: int, callback: Callable[..., None], **where: int) -> int:
        """Add one. What was translated before asks none that came later, so all is translated anew."""
        number = int(self._uc.hook_add(kind, callback, **where))
        self.forget_code()
        return number

    def unwatch(self, number: int) -> None:
        """The end of ``watch`` or ``watch_rom``."""
        self._uc.hook_del(number)

    @contextmanager
    def watched(self, *, loads: Callable[[int, int], None] | None, steps: Callable[[], None] | None) -> Iterator[None]:
        """Call back for every load, or for every instruction."""

        def on_read(_uc: Uc, _kind: int, address: int, size: int, _value: int, _data: object) -> None:
            if loads is not None and not self._asking:
                loads(address, size)

        def on_step(_uc: Uc, _address: int, _size: int, _data: object) -> None:
            if steps is not None:
                steps()

        wanted = ((loads, UC_HOOK_MEM_READ, on_read), (steps, UC_HOOK_CODE, on_step))
        hooks = [self._hook(kind, hook) for asked, kind, hook in wanted if asked is not None]
        try:
            yield
        finally:
            for hook in hooks:
                self._uc.hook_del(hook)
            self.forget_code()

    # ------------------------------------------------------------------------------------------- registers and memory

    @property
    def pc(self) -> int:
        """Where it runs."""
        return int(self._uc.reg_read(UC_RISCV_REG_PC))

    @pc.setter
    def pc(self, address: int) -> None:
        self._uc.reg_write(UC_RISCV_REG_PC, address)

    def register(self, number: int) -> int:
        """A general register."""
        return int(self._uc.reg_read(UC_RISCV_REG_X0 + number))

    def set_register(self, number: int, value: int) -> None:
        """A general register."""
        self._uc.reg_write(UC_RISCV_REG_X0 + number, value & 0xFFFFFFFF)

    def state(self) -> tuple[int, ...]:
        """All that decides what the CPU does next, but for its memory."""
        return tuple(self._uc.reg_read(register) for register in _STATE)

    def save(self) -> Context:
        """All registers as they are."""
        return Context(self._uc.context_save())

    def restore(self, context: Context) -> None:
        """All registers as they were at ``save``."""
        self._uc.context_restore(context)

    def freeze(self, blocks: Sequence[Block]) -> Frozen:
        """The memory of these blocks: all but the zeros at both ends, offset and bytes."""
        return Frozen(tuple(without_zeros(block.save()) for block in blocks))

    def thaw(self, blocks: Sequence[Block], memory: Frozen) -> None:
        """As it was at ``freeze``."""
        for block, (offset, data) in zip(blocks, cast("tuple[tuple[int, bytes], ...]", memory), strict=True):
            block.clear()
            block.put(offset, data)

    def reset(self, stack_top: int) -> None:
        """Registers as after power-on, but for the stack pointer."""
        self._uc.context_restore(self._fresh)
        self.set_register(_SP, stack_top)

    def peek(self, address: int, length: int) -> bytes:
        """Memory. Raises ``MemoryFault``."""
        for window, block in self._memories:
            if window.start <= address and address + length <= window.stop:
                return block.get(address - window.start, length)
        try:
            return bytes(self._uc.mem_read(address, length))
        except UcError:
            raise MemoryFault("load", address) from None

    def poke(self, address: int, data: bytes) -> None:
        """Into memory, whether code may write there or not. Raises ``MemoryFault``."""
        try:
            self._uc.mem_write(address, data)
        except UcError:
            raise MemoryFault("store", address) from None

    # ------------------------------------------------------------------------------------------------ calls as C makes

    @property
    def sp(self) -> int:
        """The stack pointer."""
        return self.register(_SP)

    @property
    def ra(self) -> int:
        """Where the function that runs returns to."""
        return self.register(_RA)

    @ra.setter
    def ra(self, address: int) -> None:
        self.set_register(_RA, address)

    def argument(self, index: int) -> int:
        """Argument ``index`` of those in registers."""
        return int(self._uc.reg_read(UC_RISCV_REG_X0 + _A0 + index))

    def set_argument(self, index: int, value: int) -> None:
        """The same for the function that is called next."""
        self.set_register(_A0 + index, value)

    def result(self, value: int, *, wide: bool) -> None:
        """Into a0, a ``wide`` one into a1 too."""
        self.set_register(_A0, value)
        if wide:
            self.set_register(_A0 + 1, value >> 32)

    def go_to(self, address: int) -> None:
        """Where code that is ``jumps`` goes on."""
        self.set_register(_T0, address)

    # -------------------------------------------------------------------------------------------------------- callbacks

    def _on_rom(self, address: int) -> None:
        self._called = address
        if self.watcher is not None and not self.watcher.rom_call(address):
            self._uc.emu_stop()

    def _on_block(self, uc: Uc, address: int, size: int, _data: object) -> None:
        self.instructions += instructions(bytes(uc.mem_read(address, size)))

    def _on_invalid(self, _uc: Uc, _kind: int, address: int, _size: int, _value: int, _data: object) -> bool:
        self._touched = address
        return False

    def _on_exception(self, uc: Uc, cause: int, _data: object) -> None:
        # It is behind the instruction already, by four bytes whatever its length.
        address = (uc.reg_read(UC_RISCV_REG_PC) - 4) & 0xFFFFFFFF
        if not self.charge(1) or (cause == ILLEGAL_INSTRUCTION and self._own_csr(uc, address)):
            return
        if cause == _FETCH_FAULT:
            self._refused = address
            uc.emu_stop()
        elif self.watcher is not None and cause in _PROTECTED:
            at = touched(word(self.peek(address, 4)), self.register)
            self.watcher.fault(MemoryFault(_PROTECTED[cause], address if at is None else at), address)
        elif self.watcher is not None:
            machine = cause == _CALL and uc.reg_read(UC_RISCV_REG_PRIV) == _MACHINE
            self.watcher.exception(_CALL_FROM_MACHINE if machine else cause, address)

    def _own_csr(self, uc: Uc, address: int) -> bool:
        """Execute the instruction at ``address`` if it is on a register that only Espressif's CPUs have."""
        try:
            instruction = word(self.peek(address, 4))
        except MemoryFault:
            return False
        if instruction & 0x7F != _SYSTEM or not instruction >> 12 & 3 or self.watcher is None:
            return False
        value = self.watcher.csr(instruction >> 20)
        target = instruction >> 7 & 31
        if value is not None and target:
            uc.reg_write(UC_RISCV_REG_X0 + target, value & 0xFFFFFFFF)
        return value is not None

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
