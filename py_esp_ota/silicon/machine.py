"""One chip's CPU under Unicorn: from the first instruction of a bootloader to the jump into an app."""

from __future__ import annotations

from collections import deque
from functools import lru_cache

from unicorn import (
    UC_ARCH_RISCV,
    UC_ERR_FETCH_PROT,
    UC_ERR_FETCH_UNMAPPED,
    UC_HOOK_BLOCK,
    UC_HOOK_INTR,
    UC_MODE_RISCV32,
    Uc,
    UcError,
)
from unicorn.riscv_const import UC_RISCV_REG_A0, UC_RISCV_REG_PC, UC_RISCV_REG_RA, UC_RISCV_REG_SP, UC_RISCV_REG_X0

from py_esp_ota._core import ImageHeader
from py_esp_ota.chip import Chip
from py_esp_ota.silicon.memory import Block, FlashWindow
from py_esp_ota.silicon.program import Program, load
from py_esp_ota.silicon.registers import Registers
from py_esp_ota.silicon.report import FlashWrite, Outcome, SiliconReport, Trap
from py_esp_ota.silicon.rom import FUNCTIONS
from py_esp_ota.silicon.soc import SOCS, Soc
from py_esp_ota.silicon.words import to_word, word

#: Enough for an app of 16 MiB, whose sums take four instructions for each byte.
BUDGET = 100_000_000

_RETURN = b"\x82\x80"  # c.jr ra
_CALLS_KEPT = 8
_A0, _A7 = 0, 7
#: What Python may do for one run: calls, letters, pieces of memory. A boot takes some thousands.
_EFFORT = 400_000
_BYTES_PER_EFFORT = 64
_CYCLES_PER_LOOK = 1000
_BOOTLOADER_ROOM = 0x8000
_FLASH_ID = 0x1640EF
_HEADER = 24
_MAGIC = 0xE9
_XTENSA = frozenset({"esp32", "esp32s2", "esp32s3"})
_ILLEGAL_INSTRUCTION = 2
_SYSTEM = 0x73
_CAUSES = {
    0: "misaligned instruction address",
    1: "instruction access fault",
    2: "illegal instruction",
    3: "breakpoint",
    4: "misaligned load",
    5: "load access fault",
    6: "misaligned store",
    7: "store access fault",
    8: "environment call",
    11: "environment call",
}
_NEVER = 0xFFFFFFFE  # no instruction lies there


class Machine:
    """One chip, to be used for one run after another: making one costs more than most runs.

    Nothing is left of a run when the next begins. Not safe to share between threads.
    """

    def __init__(self, target: str = "esp32c3", *, count: bool = False) -> None:
        """``count``: say how many instructions a run took, which makes it several times slower.

        Raises ``ValueError`` for a chip that is not here.
        """
        self.soc = _soc(target)
        self.chip = Chip(target)
        self.writes: list[FlashWrite] = []
        self.digests: dict[int, bytearray] = {}
        self._uc = Uc(UC_ARCH_RISCV, UC_MODE_RISCV32)
        self._ram = [Block(self._uc, memory) for memory in self.soc.ram]
        self._rom = Block(self._uc, self.soc.rom)
        self._rom.clear(_RETURN)
        self._window = FlashWindow(self._uc, self.soc)
        self._registers = Registers(self.soc, self.print, lambda: self.end("RESET"))
        self._map_registers()
        self._names = {address: (name, FUNCTIONS[name]) for address, name in self.soc.rom_functions.items()}
        rom = self.soc.rom.windows[0][0]
        self._uc.hook_add(UC_HOOK_BLOCK, self._on_rom, begin=rom, end=rom + self.soc.rom.size - 1)
        self._uc.hook_add(UC_HOOK_INTR, self._on_exception)
        if count:
            self._uc.hook_add(UC_HOOK_BLOCK, self._on_block)
        self._watched: list[int] = []
        self._program: Program | None = None
        self._text: list[str] = []
        self._calls: deque[int] = deque(maxlen=_CALLS_KEPT)
        self._ended: Outcome | None = None
        self._trapped: Trap | None = None
        self._entry: int | None = None
        self._slot: int | None = None
        self._effort = 0
        self._cycles = 0
        self._instructions = 0

    # ------------------------------------------------------------------------------------------------------- a run

    def run(self, chip: Chip, *, budget: int = BUDGET) -> SiliconReport:
        """Run the bootloader in the flash of ``chip`` from its entry point until it is done, one reset at most.

        Args:
            chip: whose flash is read and written, whose eFuses and reset reason are seen.
            budget: how many instructions it may take.

        Raises ``PowerLoss`` when the power goes, ``ValueError`` for a chip of another kind or with secure boot or flash
        encryption. Never raises for bad bytes.
        """
        if chip.target.name != self.soc.name:
            raise ValueError(f"this machine is an {self.soc.name}, the chip an {chip.target.name}")
        program = load(chip.flash.mmap(chip.target.bootloader_offset, _BOOTLOADER_ROOM), self.soc)
        self._power_on(chip)
        if isinstance(program, str):
            self._trapped = Trap(program, 0, 0, ())
            self.end("RESET")
        else:
            self._load(program)
            self._go(program.entry, budget)
        return SiliconReport(
            outcome=self._ended or "HANG",
            entry=self._entry,
            slot=self._slot,
            log=tuple("".join(self._text).splitlines()),
            flash_writes=tuple(self.writes),
            instructions=self._instructions,
            trap=self._trapped,
        )

    def _power_on(self, chip: Chip) -> None:
        self._registers.power_on(chip)
        self.chip = chip
        self.writes, self.digests, self._text = [], {}, []
        self._calls.clear()
        self._ended = self._trapped = self._entry = self._slot = None
        self._effort = self._cycles = self._instructions = 0
        for block in self._ram:
            block.clear()
        self._window.reset()

    def _load(self, program: Program) -> None:
        if program is not self._program:
            self._watch(program)
            # Code comes in past the CPU, so it must be told that what it has translated is old.
            self._uc.ctl_flush_tb()
            self._program = program
        for part in program.parts:
            self._ram[part.block].put(part.offset, part.data)
        soc = self.soc
        for register in range(UC_RISCV_REG_X0 + 1, UC_RISCV_REG_X0 + 32):
            self._uc.reg_write(register, 0)
        self._uc.reg_write(UC_RISCV_REG_SP, soc.stack_top)
        flash = (_FLASH_ID, self.chip.flash.size, 0x10000, 0x1000, 0x100, 0xFFFF)
        self.store(soc.legacy_data, to_word(soc.legacy_struct))
        self.store(soc.legacy_struct, b"".join(to_word(value) for value in flash))

    def _watch(self, program: Program) -> None:
        """Look at every block of code that is neither ROM nor the bootloader: a jump that leaves it."""
        for hook in self._watched:
            self._uc.hook_del(hook)
        rom = self.soc.rom.windows[0][0]
        known = [(rom, rom + self.soc.rom.size), *((p.code.start, p.code.stop) for p in program.parts if p.code)]
        gaps, at = [], 0
        for start, stop in sorted(known):
            gaps.append((at, start - 1))
            at = max(at, stop)
        gaps.append((at, 0xFFFFFFFF))
        self._watched = [
            self._uc.hook_add(UC_HOOK_BLOCK, self._on_jump, begin=begin, end=end) for begin, end in gaps if begin < end
        ]

    def _go(self, entry: int, budget: int) -> None:
        try:
            self._uc.emu_start(entry, _NEVER, count=budget)
        except UcError as error:
            if self._ended is None:
                self._on_fault(error)

    # -------------------------------------------------------------------------------------- what the CPU reports

    def _on_rom(self, uc: Uc, address: int, _size: int, _data: object) -> None:
        name, function = self._names.get(address, ("", None))
        if function is None:
            if not self._is_entry(address, runs=False):
                self._trap(f"ROM function 0x{address:08x} is not here", address, ours=True)
            return
        self._calls.append(address)
        if not self._charge(1):
            return
        try:
            result = function(self)
        except (UcError, ValueError) as error:
            self._trap(f"{name}: {error}", address)
            return
        if result is not None:
            uc.reg_write(UC_RISCV_REG_A0, result & 0xFFFFFFFF)

    def _on_block(self, _uc: Uc, address: int, size: int, _data: object) -> None:
        self._instructions += _instructions(bytes(self._uc.mem_read(address, size)))

    def _on_jump(self, _uc: Uc, address: int, _size: int, _data: object) -> None:
        if not self._is_entry(address, runs=True):
            self._trap("execution outside of the bootloader", address)

    def _on_fault(self, error: UcError) -> None:
        address = self._uc.reg_read(UC_RISCV_REG_PC)
        fetch = error.errno in {UC_ERR_FETCH_UNMAPPED, UC_ERR_FETCH_PROT}
        if not (fetch and self._is_entry(address, runs=False)):
            self._trap(str(error), address)

    def _on_exception(self, uc: Uc, cause: int, _data: object) -> None:
        address = uc.reg_read(UC_RISCV_REG_PC)
        if not self._charge(1):
            return
        address = (address - 4) & 0xFFFFFFFF  # it is behind the instruction already, by four bytes whatever its length
        if cause == _ILLEGAL_INSTRUCTION and self._own_csr(uc, address):
            return
        # A block whose first instruction is illegal is never announced as one, so it may be the jump into an app.
        if self._ended is None and not self._is_entry(address, runs=cause == _ILLEGAL_INSTRUCTION):
            self._trap(_CAUSES.get(cause, f"exception {cause}"), address)

    def _own_csr(self, uc: Uc, address: int) -> bool:
        """Execute the instruction at ``address`` if it is on a register that only Espressif's CPUs have."""
        try:
            instruction = word(uc.mem_read(address, 4))
        except UcError:
            return False
        csr = instruction >> 20
        if instruction & 0x7F != _SYSTEM or not instruction >> 12 & 3:
            return False
        if csr not in self.soc.cycle_csrs | self.soc.silent_csrs:
            return False
        target = instruction >> 7 & 31
        if target:
            self._cycles += _CYCLES_PER_LOOK
            uc.reg_write(UC_RISCV_REG_X0 + target, self._cycles if csr in self.soc.cycle_csrs else 0)
        return True

    def _is_entry(self, address: int, *, runs: bool) -> bool:
        """Whether this is the jump into an app: the image looked at last that names this address as its entry."""
        flash, size = self.chip.flash, self.soc.mmu_page
        for page in self._window.history():
            header = ImageHeader.from_bytes(flash.mmap(page * size % flash.size, _HEADER))
            if header.magic == _MAGIC and header.entry_addr & ~1 == address:
                self._entry, self._slot = header.entry_addr, page * size
                self.end("APP" if runs and self._shows_code(address) else "BAD_ENTRY")
                return True
        return False

    def _shows_code(self, address: int) -> bool:
        """Whether the MMU maps the page of ``address``, when that is one of the flash's."""
        for base, _access in self.soc.flash_window.windows:
            if base <= address < base + self.soc.flash_window.size:
                return self._window.mapped()[(address - base) // self.soc.mmu_page] is not None
        return True

    def _trap(self, reason: str, address: int, *, ours: bool = False) -> None:
        calls = tuple(self._names[call][0] for call in self._calls)
        self._trapped = Trap(reason, address, self._uc.reg_read(UC_RISCV_REG_RA), calls, ours)
        self.end("ABORT")

    def _charge(self, effort: int) -> bool:
        """Count what Python does for the machine: a loop through it must end as one without it does."""
        self._effort += effort
        if self._effort > _EFFORT:
            self._uc.emu_stop()
            return False
        return True

    # ----------------------------------------------------------------------------- what ROM functions work with

    def arg(self, index: int) -> int:
        """Argument ``index``, from a0 on and then from the stack."""
        if index <= _A7:
            return int(self._uc.reg_read(UC_RISCV_REG_A0 + index))
        return word(self.load(self._uc.reg_read(UC_RISCV_REG_SP) + 4 * (index - _A7 - 1), 4))

    def load(self, address: int, length: int) -> bytes:
        """Memory or registers. Raises ``UcError`` where neither is."""
        self._charge(length // _BYTES_PER_EFFORT)
        if self._are_registers(address):
            first = address & ~3
            count = (address + length - first + 3) // 4
            data = b"".join(to_word(self._registers.read(first + 4 * index)) for index in range(count))
            return data[address - first : address - first + length]
        return bytes(self._uc.mem_read(address, length))

    def store(self, address: int, data: bytes) -> None:
        """Into memory. Raises ``UcError`` where none is."""
        self._charge(len(data) // _BYTES_PER_EFFORT)
        self._uc.mem_write(address, data)

    def print(self, text: str) -> None:
        """Text for the console."""
        if self._charge(len(text)):
            self._text.append(text)

    def end(self, outcome: Outcome) -> None:
        """The run is over."""
        if self._ended is None:
            self._ended = outcome
        self._uc.emu_stop()

    def map_page(self, entry: int, page: int | None) -> None:
        """One MMU entry."""
        self._window.map(entry, page)

    def sync_cache(self) -> None:
        """The cache is on from here: what the MMU maps is seen."""
        self._window.sync(self.chip.flash)

    def flash_changed(self, address: int, length: int) -> None:
        """What the cache holds of these bytes is old."""
        self._window.forget(address, length)

    def wide_result(self, value: int) -> None:
        """A 64-bit result, in a0 and a1."""
        self._uc.reg_write(UC_RISCV_REG_A0, value & 0xFFFFFFFF)
        self._uc.reg_write(UC_RISCV_REG_A0 + 1, value >> 32)

    # -------------------------------------------------------------------------------------------------- registers

    def _map_registers(self) -> None:
        start, stop = self.soc.registers
        for begin, end in ((start, self.soc.mmu_table), (self.soc.mmu_table + 0x1000, stop)):
            self._uc.mmio_map(begin, end - begin, self._on_load, begin, self._on_store, begin)

    def _are_registers(self, address: int) -> bool:
        start, stop = self.soc.registers
        return start <= address < stop and not self.soc.mmu_table <= address < self.soc.mmu_table + 0x1000

    def _on_load(self, _uc: Uc, offset: int, size: int, base: int) -> int:
        self._charge(1)
        address = base + offset
        value = self._registers.read(address & ~3) >> 8 * (address & 3)
        return value & ((1 << 8 * size) - 1)

    def _on_store(self, _uc: Uc, offset: int, size: int, value: int, base: int) -> None:
        self._charge(1)
        address, shift = (base + offset) & ~3, 8 * (offset & 3)
        if size < 4:
            mask = (1 << 8 * size) - 1 << shift
            value = self._registers.values.get(address, 0) & ~mask | value << shift & mask
        self._registers.write(address, value & 0xFFFFFFFF)


def _soc(target: str) -> Soc:
    try:
        return SOCS[target]
    except KeyError:
        known = ", ".join(SOCS)
    if target in _XTENSA:
        raise ValueError(f"{target} has Xtensa cores, which Unicorn does not run; machine code runs on {known}")
    raise ValueError(f"no machine for {target!r}; machine code runs on {known}")


@lru_cache(maxsize=0x4000)
def _instructions(code: bytes) -> int:
    """How many instructions these bytes are: two bytes each unless the lowest two bits are set."""
    count = at = 0
    while at < len(code):
        at += 4 if code[at] & 3 == 3 else 2
        count += 1
    return count
