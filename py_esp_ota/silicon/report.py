"""How a run of machine code ended, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: ``APP``: it jumped into an app. ``BAD_ENTRY``: it did, to an address without code. ``RESET``: it reset the chip.
#: ``ABORT``: it stopped for good (``abort``, an assertion, an exception); on a board the watchdog resets it then.
#: ``HANG``: it was still running when its budget of instructions was spent.
Outcome = Literal["APP", "RESET", "ABORT", "BAD_ENTRY", "HANG"]


@dataclass(frozen=True, slots=True)
class FlashWrite:
    """One call that changed the flash: whole bytes, before the core splits them into pages and sectors."""

    kind: Literal["program", "erase"]
    address: int
    length: int


@dataclass(frozen=True, slots=True)
class Trap:
    """Where machine code left the known: an exception of the CPU, or something this room does not have.

    ``ours`` tells the two apart: with it a board would perhaps have gone on. ``calls`` are the last ROM functions
    called, the newest last.
    """

    reason: str
    pc: int
    ra: int
    calls: tuple[str, ...]
    ours: bool = False
    #: What the address is called, when that is known.
    symbol: str = ""

    def __str__(self) -> str:
        last = f"; last ROM calls: {', '.join(self.calls)}" if self.calls else ""
        place = f" ({self.symbol})" if self.symbol else ""
        return f"{self.reason} at pc 0x{self.pc:08x}{place}, ra 0x{self.ra:08x}{last}"


@dataclass(frozen=True, slots=True)
class SiliconReport:
    """The end of one run, from the entry of the bootloader on.

    ``entry`` is where it jumped to, ``slot`` the flash offset of the app it loaded; ``None`` when it did
    not jump. ``log`` is what it printed, line by line, ``rom`` what ROM printed before it; where a real ROM runs from
    reset on, that is in ``log`` too. ``instructions`` is 0 when they were not counted.
    """

    outcome: Outcome
    entry: int | None
    slot: int | None
    log: tuple[str, ...]
    flash_writes: tuple[FlashWrite, ...]
    instructions: int
    trap: Trap | None = None
    rom: tuple[str, ...] = ()
