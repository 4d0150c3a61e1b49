"""What an engine is: it executes one CPU's code, and calls back where that does what ordinary code does not.

Nothing of an instruction set or of an emulator is seen from outside of it: registers go by the architecture's own
numbers, arguments and results by their place in a call of C.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Literal, NewType, Protocol

from py_esp_ota._core import Flash, Handlers, Pieces, Words
from py_esp_ota.silicon.chips.soc import Memory

ILLEGAL_INSTRUCTION, BREAKPOINT = 2, 3

#: All registers of a CPU, as its engine keeps them.
Context = NewType("Context", object)
#: Memory, as its engine keeps it.
Frozen = NewType("Frozen", object)

Access = Literal["load", "store", "fetch"]
_SAID: Mapping[Access, str] = {
    "load": "nothing to load at",
    "store": "nothing to store into at",
    "fetch": "no code to execute at",
}


class MemoryFault(Exception):
    """Code, or who works for it, touched ``address``, where there is nothing that can be touched so."""

    def __init__(self, access: Access, address: int) -> None:
        super().__init__(f"{_SAID[access]} 0x{address:08x}")
        self.access: Access = access
        self.address = address


class Bus(Protocol):
    """The registers: what answers where no memory is."""

    values: Words
    on_read: Handlers[[], int]
    on_write: Handlers[[int], None]

    def read(self, address: int) -> int:
        """The word that a load sees."""

    def write(self, address: int, value: int) -> None:
        """A store of one word."""

    def stored(self, address: int) -> int:
        """The word written last, whatever a load would see."""


class Watcher(Protocol):
    """Who is asked when code leaves the ordinary way; each answer may end the run, or change where it goes on."""

    def rom_call(self, address: int) -> bool:
        """A block in ROM begins. Whether to go on with ROM's own code there, which returns."""

    def exception(self, cause: int, address: int) -> None:
        """The instruction at ``address`` raised ``cause`` of its architecture."""

    def fault(self, error: MemoryFault, address: int) -> None:
        """The instruction at ``address`` touched what is not there, or jumped there."""

    def csr(self, number: int) -> int | None:
        """The value of a CSR that only Espressif's cores have, ``None`` for one that they have not either."""


class Block(Protocol):
    """One block of memory, shown at each of its windows."""

    size: int
    windows: tuple[range, ...]

    def clear(self) -> None:
        """Fill it with zeros."""

    def save(self) -> bytes:
        """Its content."""

    def get(self, offset: int, length: int) -> bytes:
        """Bytes at ``offset``, which the caller knows to be there."""

    def put(self, offset: int, data: bytes) -> None:
        """Bytes at ``offset``, which the caller knows to fit."""


class Engine(Protocol):
    """One CPU. Callbacks come from inside of ``run``; whoever gets one may look at everything, and call ``stop``."""

    #: What it is called.
    name: str
    watcher: Watcher | None
    #: Whether it counts instructions one by one, unasked.
    counts: bool
    #: Where it runs.
    pc: int
    #: Instructions so far, when they are counted.
    instructions: int
    #: What Python may still do for the code; each access to a register takes one.
    effort: int

    def add(self, memory: Memory) -> Block:
        """Memory, full of zeros."""

    def add_window(self, memory: Memory) -> None:
        """Memory that shows a flash, full of zeros. Windows are numbered from zero, as they are added."""

    def show(self, pieces: Pieces, flash: Flash | None = None) -> None:
        """Show pieces of ``flash`` in the windows, as they are now; those that have no place in it, zeros.

        Raises ``PowerLoss``.
        """

    def add_registers(self, begin: int, end: int) -> None:
        """Let the bus answer from ``begin`` up to ``end``."""

    def add_alias(self, begin: int, end: int, to: int) -> None:
        """Registers seen from ``begin`` up to ``end``, which are those from ``to`` on."""

    def add_random(self, address: int) -> None:
        """The register at ``address`` is a random generator, its state the word there."""

    # --------------------------------------------------------------------------------------------------------- running

    def run(self, pc: int, count: int) -> int | None:
        """Run from ``pc`` for ``count`` instructions, or until something stops it; how many it were, if that is known.

        Raises what a callback raised, and ``KeyboardInterrupt`` after ``interrupt``.
        """

    def stop(self) -> None:
        """No instruction more, from inside of a callback."""

    def interrupt(self) -> None:
        """No instruction more, and ``run`` raises ``KeyboardInterrupt``; from anywhere, as a signal comes."""

    def charge(self, effort: int) -> bool:
        """Take from the effort; once it is spent the code ends, and this is false."""

    @property
    def waits(self) -> bool:
        """Whether the last instruction was the one that waits for an interrupt."""

    @property
    def interruptible(self) -> bool:
        """Whether an interrupt would get through to the code."""

    def enter(self, cause: int, value: int) -> None:
        """Go on in the handler of ``cause``, an exception of the instruction at ``pc`` or an interrupt before it.

        ``value`` is what the handler is told of it.
        """

    def let_in(self, number: int, level: int, *, vectored: bool, user: bool) -> bool:
        """Go on in the handler of a CLIC's line ``number`` if its ``level`` (8 bits) gets through: whether it did.

        ``vectored``: the table says where its handler is. ``user``: it interrupts user mode alone.
        """

    def advance(self, cycles: int) -> None:
        """So many cycles go by without an instruction, for a core whose own counter does not stand still."""

    def set_look(self, cycles: int) -> None:
        """So many cycles pass with each look of code at a counter of the core's own, beside its instruction's."""

    def forget_code(self, address: int | None = None) -> None:
        """Code came in past the CPU, there or anywhere: what was made of it is old."""

    def watch_rom(self, begin: int, end: int) -> int:
        """Ask ``watcher`` for every call of ROM from ``begin`` up to ``end``; the number to end it with."""

    def watch(self, callback: Callable[[int], None], begin: int, end: int) -> int:
        """Call back for every block of code that begins from ``begin`` up to ``end``; the number to end it with."""

    def unwatch(self, number: int) -> None:
        """The end of ``watch`` or ``watch_rom``."""

    def watched(
        self, *, loads: Callable[[int, int], None] | None, steps: Callable[[], None] | None
    ) -> AbstractContextManager[None]:
        """Call back for every load, address and length, or for every instruction: slow."""

    # ------------------------------------------------------------------------------------------- registers and memory

    def register(self, number: int) -> int:
        """A general register."""

    def set_register(self, number: int, value: int) -> None:
        """A general register."""

    def state(self) -> Sequence[int]:
        """All that decides what the CPU does next, but for its memory."""

    def save(self) -> Context:
        """All registers as they are."""

    def restore(self, context: Context) -> None:
        """All registers as they were at ``save``."""

    def freeze(self, blocks: Sequence[Block]) -> Frozen:
        """The memory of these blocks at least, as it is."""

    def thaw(self, blocks: Sequence[Block], memory: Frozen) -> None:
        """As it was at ``freeze``."""

    def reset(self, stack_top: int) -> None:
        """Registers as after power-on, but for the stack pointer."""

    def peek(self, address: int, length: int) -> bytes:
        """Memory. Raises ``MemoryFault``."""

    def poke(self, address: int, data: bytes) -> None:
        """Into memory, whether code may write there or not. Raises ``MemoryFault``."""

    # ------------------------------------------------------------------------------------------------ calls as C makes

    #: How many arguments come in registers, and the offset of the next one from the stack pointer.
    arguments: int
    #: Code of a function that only returns, and of one that goes on where ``go_to`` said.
    returns: bytes
    jumps: bytes

    @property
    def sp(self) -> int:
        """The stack pointer."""

    @property
    def ra(self) -> int:
        """Where the function that runs returns to."""

    @ra.setter
    def ra(self, address: int) -> None: ...

    def argument(self, index: int) -> int:
        """Argument ``index`` of those in registers."""

    def set_argument(self, index: int, value: int) -> None:
        """The same for the function that is called next."""

    def result(self, value: int, *, wide: bool) -> None:
        """What the function that runs returns, of 64 bits if ``wide``."""

    def go_to(self, address: int) -> None:
        """Where code that is ``jumps`` goes on."""
