"""Random programs on our RISC-V core and on Unicorn, instruction by instruction: registers, memory, what stops them.

    python tests/silicon/core_beside_unicorn.py --programs 200000 --seed 7

Both run without ROM and without devices. Program number N of a seed is always the same one, so blocks are shared out.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from operator import add

from riscv_programs import CODE, RAM, SIZE, comparable, program, registers
from unicorn import (
    UC_ARCH_RISCV,
    UC_ERR_FETCH_PROT,
    UC_ERR_FETCH_UNMAPPED,
    UC_ERR_INSN_INVALID,
    UC_ERR_READ_UNMAPPED,
    UC_ERR_WRITE_PROT,
    UC_ERR_WRITE_UNMAPPED,
    UC_HOOK_INTR,
    UC_HOOK_MEM_INVALID,
    UC_MODE_RISCV32,
    UC_PROT_EXEC,
    UC_PROT_READ,
    UC_PROT_WRITE,
    Uc,
    UcError,
)
from unicorn.riscv_const import (
    UC_RISCV_REG_MCAUSE,
    UC_RISCV_REG_MSCRATCH,
    UC_RISCV_REG_MTVAL,
    UC_RISCV_REG_PC,
    UC_RISCV_REG_X0,
)

from py_esp_ota._core import Cpu, Handlers, Words
from py_esp_ota.cli.work_options import executor
from py_esp_ota.silicon.chips.soc import EXECUTE, READ, WRITE
from py_esp_ota.silicon.engines.engine import MemoryFault
from py_esp_ota.work import Work, run

#: Of the programs a part is stopped behind each instruction.
STEPPED = 0.25
_LONGEST = 120
_BLOCK = 1000  # programs of a shard
_FETCH, _ILLEGAL, _BREAKPOINT, _STORE_MISALIGNED, _STORE = 1, 2, 3, 6, 7
_FAULTS = {"fetch": _FETCH, "load": 5, "store": _STORE}
_ERRORS = {
    UC_ERR_FETCH_PROT: _FETCH,
    UC_ERR_FETCH_UNMAPPED: _FETCH,
    UC_ERR_INSN_INVALID: _ILLEGAL,
    UC_ERR_READ_UNMAPPED: 5,
    UC_ERR_WRITE_PROT: _STORE,
    UC_ERR_WRITE_UNMAPPED: _STORE,
}
_CSRS = {
    0x340: UC_RISCV_REG_MSCRATCH,
    0x342: UC_RISCV_REG_MCAUSE,
    0x343: UC_RISCV_REG_MTVAL,
}


@dataclass(frozen=True)
class Seen:
    """What can be seen of a core between two instructions."""

    pc: int
    registers: tuple[int, ...]
    csrs: tuple[int, ...]
    ram: bytes = field(repr=False)
    #: The exception that stopped it, 0 for none, and the address that was touched if it was one of memory.
    cause: int = -1
    address: int | None = None


class Ours:
    """The core of this package."""

    def __init__(self) -> None:
        self._cpu = Cpu("esp32c6", Words(), Handlers(), Handlers())
        self._code = self._cpu.add_memory(SIZE, [(CODE, READ | EXECUTE)])
        self._ram = self._cpu.add_memory(SIZE, [(RAM, READ | WRITE)])
        self._cpu.watcher = self
        self._cpu.effort = 1 << 60
        self._first = self._cpu.save_registers()

    def begin(self, code: bytes, ram: bytes, values: list[int]) -> None:
        self._cpu.restore_registers(self._first)
        self._cpu.put(self._code, 0, code)
        self._cpu.put(self._ram, 0, ram)
        for number, value in enumerate(values):
            self._cpu.set_register(number, value)
        for number in _CSRS:
            self._cpu.set_special(number, 0)

    def go(self, pc: int, count: int) -> Seen:
        self._cause, self._address = -1, None
        self._cpu.run(pc, count)
        ram = self._cpu.get(self._ram, 0, SIZE)
        csrs = tuple(self._cpu.special(number) for number in _CSRS)
        values = tuple(self._cpu.register(number) for number in range(32))
        return Seen(self._cpu.pc, values, csrs, ram, self._cause, self._address)

    def exception(self, cause: int, _address: int) -> None:
        self._cause = cause

    def fault(self, error: MemoryFault, _address: int) -> None:
        self._cause, self._address = _FAULTS[error.access], error.address

    def csr(self, _number: int) -> None:
        return None


class Peer:
    """Unicorn."""

    def __init__(self) -> None:
        self._uc = uc = Uc(UC_ARCH_RISCV, UC_MODE_RISCV32)
        uc.mem_map(CODE, SIZE, UC_PROT_READ | UC_PROT_EXEC)
        uc.mem_map(RAM, SIZE, UC_PROT_READ | UC_PROT_WRITE)
        uc.hook_add(UC_HOOK_INTR, self._on_exception)
        uc.hook_add(UC_HOOK_MEM_INVALID, self._on_fault)
        self._first = uc.context_save()

    def begin(self, code: bytes, ram: bytes, values: list[int]) -> None:
        uc = self._uc
        uc.context_restore(self._first)
        uc.mem_write(CODE, code)
        uc.mem_write(RAM, ram)
        uc.ctl_flush_tb()
        for number, value in enumerate(values):
            uc.reg_write(UC_RISCV_REG_X0 + number, value)

    def go(self, pc: int, count: int) -> Seen:
        uc = self._uc
        self._cause, self._at, self._address = -1, None, None
        try:
            uc.emu_start(pc, 0xFFFFFFFE, count=count)
        except UcError as error:
            self._cause = _ERRORS[error.errno]
        at = uc.reg_read(UC_RISCV_REG_PC) if self._at is None else self._at
        values = tuple(uc.reg_read(UC_RISCV_REG_X0 + number) for number in range(32))
        csrs = tuple(uc.reg_read(number) for number in _CSRS.values())
        return Seen(at, values, csrs, bytes(uc.mem_read(RAM, SIZE)), self._cause, self._address)

    def _on_exception(self, uc: Uc, cause: int, _data: object) -> None:
        # It is behind the instruction already, by four bytes whatever its length.
        self._cause, self._at = cause, uc.reg_read(UC_RISCV_REG_PC) - 4 & 0xFFFFFFFF
        uc.emu_stop()

    def _on_fault(self, _uc: Uc, _kind: int, address: int, _size: int, _value: int, _data: object) -> bool:
        self._address = address
        return False


def differences(ours: Seen, peer: Seen, instruction: int) -> Iterator[str]:
    """Where the two stand apart and the manual is clear; ``instruction`` was done last, or could not be."""
    short = instruction & 3 != 3
    for name in ("pc", "registers", "csrs", "ram"):
        if getattr(ours, name) != getattr(peer, name):
            yield name
    if ours.cause != peer.cause and not _excused(ours, peer, instruction, short=short):
        yield "cause"
    if ours.address is not None and peer.address is not None:
        # A word that lies across the end of memory is two words to the peer, and both begin at multiples of four.
        word = peer.address & ~3
        if ours.address != peer.address and ours.address & ~3 not in {word, word + 4}:
            yield "address"


def _excused(ours: Seen, peer: Seen, instruction: int, *, short: bool) -> bool:
    """Causes that differ because Unicorn's are not the manual's, or come an instruction earlier."""
    if instruction & 0x7F == 0x2F and peer.cause + 2 == ours.cause:
        return True  # an atomic operation fails as a store
    if instruction == 0x73:
        return (ours.cause, peer.cause) == (11, 8)  # the mode is not in the number yet
    if ours.cause == _BREAKPOINT:
        return instruction == 0x100073 or (short and instruction & 0xFFFF == 0x9002)
    return ours.cause == -1 and peer.cause == _FETCH  # of the next instruction


def _unlisted(ours: Seen, instruction: int) -> bool:
    """Whether this is nothing that the two can be compared by: Unicorn takes reserved short forms for ``c.nop``, and a
    failing ``sc.w`` for aligned."""
    if not comparable(instruction) or (instruction & 3 != 3 and ours.cause == _ILLEGAL):
        return True
    return ours.cause == _STORE_MISALIGNED and instruction & 0xF800007F == 0x1800002F


def compared(seed: str, number: int, ours: Ours, peer: Peer) -> None:
    """One program on both. Raises ``Disagreement``."""
    rng = random.Random(f"{seed}/{number}")
    at = rng.choice([0, 0, 0xFF0, 0x1FC2])
    code = (bytes(at) + program(rng)).ljust(SIZE, b"\0")
    ram, values, budget = rng.randbytes(SIZE), registers(rng, CODE + at), rng.randrange(1, _LONGEST)
    slices = [1] * budget if rng.random() < STEPPED else [budget]
    for pieces in (slices, [1] * budget):
        ours.begin(code, ram, values)
        peer.begin(code, ram, values)
        pc = before = CODE + at
        found: list[str] = []
        for piece in pieces:
            mine, theirs = ours.go(pc, piece), peer.go(pc, piece)
            place = before if piece == 1 else mine.pc
            instruction = int.from_bytes(code[place - CODE : place - CODE + 4], "little") if place >= CODE else 0
            found = list(differences(mine, theirs, instruction))
            if found or mine.cause != -1 or theirs.cause != -1:
                break
            pc = before = mine.pc
        if not found or _unlisted(mine, instruction):
            return
        # Again, one by one: which was it?
    where = f"seed {seed}, program {number} at 0x{before:08x}, 0x{instruction:08x}"
    raise Disagreement(f"{where}: {found}\n{mine}\n{theirs}")


# ------------------------------------------------------------------------------------------------------------ campaigns


class Disagreement(Exception):
    """The two do not agree on a program."""


@dataclass(frozen=True)
class Asked:
    """The first ``programs`` programs of a seed; shard ``n`` is their ``n``-th block."""

    seed: str
    programs: int

    @property
    def shards(self) -> range:
        return range(-(-self.programs // _BLOCK))


@cache
def _both() -> tuple[Ours, Peer]:
    return Ours(), Peer()


def block(asked: Asked, shard: int) -> int:
    """One block, as work that is shared out does it: how many programs."""
    return compare(asked.seed, range(shard * _BLOCK, min((shard + 1) * _BLOCK, asked.programs)))


def compare(seed: str, numbers: range) -> int:
    """The programs of these numbers; how many. Raises ``Disagreement`` at the first."""
    for number in numbers:
        compared(seed, number, *_both())
    return len(numbers)


def main() -> int:
    """The long run."""
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--programs", type=int, default=200_000)
    words.add_argument("--seed", default="1")
    words.add_argument("--jobs", type=int)
    words.add_argument("--on", default="here")
    said = words.parse_args()
    asked = Asked(said.seed, said.programs)
    try:
        found = run(Work(block, asked, add, 0), asked.shards, executor(said.on, said.jobs))
    except Disagreement as told:
        sys.stdout.write(f"{told}\n")
        return 1
    sys.stdout.write(f"{found.report} programs, no disagreement\n")
    if found.stopped:
        sys.stdout.write(f"not all of {said.programs}: {found.stopped}\n")
    return int(not found.whole)


if __name__ == "__main__":
    import core_beside_unicorn  # workers find functions of modules

    sys.exit(core_beside_unicorn.main())
