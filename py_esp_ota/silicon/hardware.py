"""The parts of one chip put together: CPU, registers, the flash as the cache shows it, and the ROM's functions."""

from __future__ import annotations

from unicorn import UcError

from py_esp_ota.chip import Chip
from py_esp_ota.silicon.cpu import Cpu
from py_esp_ota.silicon.program import Program
from py_esp_ota.silicon.registers import Registers
from py_esp_ota.silicon.report import FlashWrite, Outcome, Trap
from py_esp_ota.silicon.rom import FUNCTIONS
from py_esp_ota.silicon.soc import Soc
from py_esp_ota.silicon.words import to_word

_FLASH_ID = 0x1640EF
_CYCLES_PER_LOOK = 1000


class Hardware:
    """What code finds on a chip, and what is known of its run: text, flash writes, how it ended.

    It is the ``Calls`` that ROM functions work with.
    """

    def __init__(self, soc: Soc, *, count: bool) -> None:
        self.soc = soc
        self.chip = Chip(soc.name)
        self.registers = Registers(soc, self.print, lambda: self.end("RESET"))
        self.cpu = Cpu(soc, self.registers, count=count)
        self.functions = {address: (name, FUNCTIONS[name]) for address, name in soc.rom_functions.items()}
        self.writes: list[FlashWrite] = []
        self.digests: dict[int, bytearray] = {}
        self.text: list[str] = []
        self.ended: Outcome | None = None
        self.trapped: Trap | None = None
        self.cycles = 0

    def power_on(self, chip: Chip) -> None:
        """As after a reset of ``chip``; nothing is left of an earlier run.

        Raises ``ValueError`` when secure boot or flash encryption is on.
        """
        self.attach(chip)
        self.clear()

    def attach(self, chip: Chip) -> None:
        """This chip from now on, and nothing known of its run yet. Raises ``ValueError`` as ``power_on``."""
        self.registers.power_on(chip)
        self.chip = chip
        self.writes, self.digests, self.text = [], {}, []
        self.ended = self.trapped = None
        self.cycles = 0

    def clear(self) -> None:
        """CPU and memory as ROM leaves them."""
        chip = self.chip
        self.cpu.reset(self.soc.stack_top)
        flash = (_FLASH_ID, chip.flash.size, 0x10000, 0x1000, 0x100, 0xFFFF)
        self.store(self.soc.legacy_data, to_word(self.soc.legacy_struct))
        self.store(self.soc.legacy_struct, b"".join(to_word(value) for value in flash))

    def put(self, program: Program) -> None:
        """Copy the parts of ``program`` to where they go."""
        for part in program.parts:
            self.cpu.ram[part.block].put(part.offset, part.data)

    def call_rom(self, address: int) -> bool:
        """Do what the ROM function at ``address`` does; false when there is none. A failure of it is a trap."""
        name, function = self.functions.get(address, ("", None))
        if function is None:
            return False
        self.cpu.calls.append(address)
        if self.cpu.charge(1):
            try:
                result = function(self)
            except (UcError, ValueError) as error:
                self.trap(f"{name}: {error}", address)
            else:
                if result is not None:
                    self.cpu.result(result)
        return True

    def csr(self, number: int) -> int | None:
        """A CSR of Espressif's own: one that counts cycles, or one that is written only."""
        if number in self.soc.cycle_csrs:
            self.cycles += _CYCLES_PER_LOOK
            return self.cycles
        return 0 if number in self.soc.silent_csrs else None

    def trap(self, reason: str, address: int, *, ours: bool = False) -> None:
        """The end of what is known."""
        calls = tuple(self.functions[call][0] for call in self.cpu.calls)
        self.trapped = Trap(reason, address, self.cpu.ra, calls, ours)
        self.end("ABORT")

    # ------------------------------------------------------------------------------- what ROM functions work with

    def arg(self, index: int) -> int:
        """Argument ``index``."""
        return self.cpu.arg(index)

    def load(self, address: int, length: int) -> bytes:
        """Memory or registers."""
        return self.cpu.load(address, length)

    def store(self, address: int, data: bytes) -> None:
        """Into memory."""
        self.cpu.store(address, data)

    def wide_result(self, value: int) -> None:
        """A 64-bit result."""
        self.cpu.result(value, wide=True)

    def print(self, text: str) -> None:
        """Text for the console."""
        if self.cpu.charge(len(text)):
            self.text.append(text)

    def end(self, outcome: Outcome) -> None:
        """The run is over."""
        if self.ended is None:
            self.ended = outcome
        self.cpu.stop()

    def map_page(self, entry: int, page: int | None) -> None:
        """One MMU entry."""
        self.cpu.window.map(entry, page)

    def sync_cache(self) -> None:
        """The cache is on from here: what the MMU maps is seen. Raises ``PowerLoss``."""
        self.cpu.window.sync(self.chip.flash)

    def flash_changed(self, address: int, length: int) -> None:
        """What the cache holds of these bytes is old."""
        self.cpu.window.forget(address, length)
