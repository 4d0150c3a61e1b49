"""The parts of one chip put together: CPU, registers, the flash as the cache shows it, and the ROM's functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from inspect import isgeneratorfunction

from py_esp_ota._core import Flash, Printed, Switch
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.silicon.chips.peripherals import PERIPHERALS
from py_esp_ota.silicon.chips.soc import Soc
from py_esp_ota.silicon.clock import Clock
from py_esp_ota.silicon.cpu import Cpu
from py_esp_ota.silicon.engines.choice import EngineName, engine_of
from py_esp_ota.silicon.engines.engine import MemoryFault
from py_esp_ota.silicon.peripherals.devices import Devices
from py_esp_ota.silicon.peripherals.few import install
from py_esp_ota.silicon.peripherals.pins import Pins
from py_esp_ota.silicon.peripherals.registers import Registers
from py_esp_ota.silicon.peripherals.spi_mem import SpiMem
from py_esp_ota.silicon.program import Program
from py_esp_ota.silicon.report import FlashWrite, Outcome, Trap
from py_esp_ota.silicon.rom.functions import LAST_WORDS
from py_esp_ota.silicon.rom.known import KNOWN, OF_REAL_ROM
from py_esp_ota.silicon.rom.real import RomImage
from py_esp_ota.silicon.rom.system import INTERRUPTS
from py_esp_ota.silicon.words import to_word

_FLASH_ID = 0x1640EF
#: What these take of what a run is granted, by the time they cost: to look at the MMU, to change the flash.
_LOOK_EFFORT, _CHANGE_EFFORT = 8, 8


class ByDma:
    """Memory as DMA sees it: where there is none, registers among it, it reads zeros and writes nothing."""

    def __init__(self, hardware: Hardware) -> None:
        self._hardware = hardware

    def load(self, address: int, length: int) -> bytes:
        """Bytes of it."""
        with suppress(MemoryFault):
            if self._is_memory(address):
                return self._hardware.load(address, length)
        return bytes(length)

    def store(self, address: int, data: bytes) -> None:
        """Into it."""
        with suppress(MemoryFault):
            if self._is_memory(address):
                self._hardware.store(address, data)

    def _is_memory(self, address: int) -> bool:
        return not any(start <= address < stop for start, stop in self._hardware.soc.registers)


class Hardware:
    """What code finds on a chip, and what is known of its run: text, flash writes, how it ended.

    It is the ``Calls`` that ROM functions work with.
    """

    def __init__(self, soc: Soc, *, count: bool, rom: RomImage | None = None, engine: EngineName = "auto") -> None:
        """``count`` asks the ``engine`` to count instructions. Raises ``ValueError`` for one that is not here."""
        self.soc = soc
        self._rom = rom
        self.chip = Chip(soc.name)
        self.clock = Clock()
        self.registers = Registers(soc)
        self.text = Printed(LAST_WORDS)
        SpiMem(soc.spi1, self.registers, self, soc.spi_layout)
        for address, bits in soc.cache_on.items():
            self.registers.on_write[address] = Switch(self.registers.values, address, bits, self._switch_cache_on)
        if soc.gpio is not None:
            Pins(soc.gpio, self.registers, self.clock, lambda: self.chip.pins)
        at = PERIPHERALS.get(soc.name)
        #: What apps need besides; ``None`` where only bootloaders run.
        self.devices = (
            None
            if at is None
            else Devices(at, self.registers, self.clock, ByDma(self), self.print_on, self.reset, self._not_here)
        )
        if at is None:
            install(soc, self.registers, self.text, self._said_last_words, self.reset, self._not_here)
        self.cpu = Cpu(soc, self.registers, engine_of(engine, soc, self.registers, count=count))
        called = {**soc.unlisted, **soc.rom_functions} if rom is None else soc.rom_functions
        self.functions = {address: (name, KNOWN[name]) for address, name in called.items()}
        if rom is not None:
            by_level = self.devices is not None and self.devices.by_level
            theirs = OF_REAL_ROM | INTERRUPTS.keys() if by_level else OF_REAL_ROM
            self.functions = {at: named for at, named in self.functions.items() if named[0] not in theirs}
            self.cpu.use_rom(rom, self.functions)
        for address, (_name, function) in self.functions.items():
            if isgeneratorfunction(function):
                self.cpu.lets_call_back(address)
        #: ROM functions that wait for code of the app to return to them, by the stack pointer they wait at.
        self._waiting: dict[int, tuple[int, Iterator[tuple[int, ...]]]] = {}
        self.writes: list[FlashWrite] = []
        self.digests: dict[int, bytearray] = {}
        #: What a store that switches the cache on does.
        self.cache_switched_on: Callable[[], None] = self.sync_cache
        self.no_text = self.cpu.no_text
        #: The console that the code used first. Most code prints on all there are: one is shown.
        self.console = ""
        self.ended: Outcome | None = None
        self.trapped: Trap | None = None
        #: Why the chip reset, when that is how the run ended.
        self.reset_reason = ResetReason.SW

    def attach(self, chip: Chip) -> None:
        """This chip from now on, and nothing known of its run yet.

        Raises ``ValueError`` when secure boot or flash encryption is on.
        """
        self.registers.power_on(chip)
        self.chip = chip
        self.writes, self.digests = [], {}
        self.text.reset()
        self.ended = self.trapped = None
        self.console = ""
        self.reset_reason = ResetReason.SW
        self.clock.cycles = 0
        self._waiting.clear()
        if self.devices is not None:
            self.devices.reset()
        self.registers.changed = lambda: None

    def clear(self) -> None:
        """CPU and memory as ROM leaves them."""
        chip = self.chip
        self.cpu.reset(self.soc.stack_top)
        for address, part in () if self._rom is None else self._rom.parts:
            if any(base <= address < base + memory.size for memory in self.soc.ram for base, _access in memory.windows):
                self.store(address, part)
        if self.soc.rom_start is not None:
            return
        flash = (_FLASH_ID, chip.flash.size, 0x10000, 0x1000, 0x100, 0xFFFF)
        self.store(self.soc.legacy_data, to_word(self.soc.legacy_struct))
        self.store(self.soc.legacy_struct, b"".join(to_word(value) for value in flash))

    def go_on(self, entry: int) -> None:
        """From the jump into an app: nothing has ended, and code came in that the CPU did not see coming."""
        self.ended = None
        self.text.clear()
        self.writes.clear()
        self.cpu.forget_code()
        self.cpu.pc = entry

    def put(self, program: Program) -> None:
        """Copy the parts of ``program`` to where they go."""
        for part in program.parts:
            self.cpu.ram[part.block].put(part.offset, part.data)

    def call_rom(self, address: int) -> bool:
        """Do what the ROM function at ``address`` does; false when there is none.

        What it cannot do is a trap. Raises ``MemoryFault`` when it touches what is not there.
        """
        name, function = self.functions.get(address, ("", None))
        if function is None:
            return address == self.cpu.callback_return and self._resume()
        self.cpu.calls.append(address)
        if self.cpu.charge(1):
            try:
                result = function(self)
            except ValueError as error:
                self.trap(f"{name}: {error}", address)
                return True
            if isinstance(result, int):
                self.cpu.result(result)
            elif result is not None:
                self._call_back(self.cpu.ra, result)
        return True

    def _call_back(self, back: int, function: Iterator[tuple[int, ...]]) -> None:
        """Let a ROM function that calls code of the app go on to its next call, or return to ``back``."""
        try:
            call = next(function, None)
        except ValueError as error:
            self.trap(f"{self.name_of(self.cpu.calls[-1])}: {error}", self.cpu.pc)
            return
        if call is None:
            self.cpu.return_to(back)
        else:
            self._waiting[self.cpu.sp] = back, function
            self.cpu.call(*call)

    def _resume(self) -> bool:
        """Code of the app returns to the ROM function that called it."""
        waiting = self._waiting.pop(self.cpu.sp, None)
        if waiting is not None and self.cpu.charge(1):
            self._call_back(*waiting)
        return waiting is not None

    def name_of(self, address: int) -> str:
        """The ROM function at ``address``."""
        return self.functions[address][0] if address in self.functions else f"0x{address:08x}"

    def no_function(self, address: int) -> None:
        """Code called a place in ROM where nothing is."""
        hint = "" if self._rom is not None else ", the chip's real ROM may have it"
        self.trap(f"ROM function 0x{address:08x} is not here{hint}", address, ours=True)

    def csr(self, number: int) -> int | None:
        """A CSR of Espressif's own: one that counts cycles, or one that is written only."""
        if number in self.soc.cycle_csrs or number in self.soc.standard_counters:
            return self.clock.look()
        return 0 if number in self.soc.silent_csrs else None

    def trap(self, reason: str, address: int, *, ours: bool = False) -> None:
        """The end of what is known."""
        calls = tuple(self.name_of(call) for call in self.cpu.calls)
        names = None if self._rom is None or address not in self.cpu.rom_range else self._rom.symbols
        symbol = "" if names is None else names.at(address)
        self.trapped = Trap(reason, address, self.cpu.ra, calls, ours, symbol)
        self.end("ABORT")

    def _switch_cache_on(self) -> None:
        self.cache_switched_on()

    def _said_last_words(self) -> None:
        self.end("ABORT")

    def _not_here(self, reason: str) -> None:
        """A device was asked for what it does not do."""
        self.trap(reason, self.cpu.pc, ours=True)

    def reset(self, reason: ResetReason) -> None:
        """The chip resets: the end of this run."""
        self.reset_reason = reason
        self.end("RESET")

    # ------------------------------------------------------------------------------ what the flash controller asks

    def flash(self) -> Flash:
        """The flash of the chip that runs."""
        return self.chip.flash

    def wrote(self, write: FlashWrite) -> None:
        """The flash has changed."""
        self.writes.append(write)
        self.flash_changed(write.address, write.length)

    # ------------------------------------------------------------------------------- what ROM functions work with

    def arg(self, index: int) -> int:
        """Argument ``index``."""
        engine = self.cpu.engine
        return engine.argument(index) if index < engine.arguments else self.cpu.arg(index)

    def load(self, address: int, length: int) -> bytes:
        """Memory or registers."""
        return self.cpu.load(address, length)

    def get_register(self, address: int) -> int:
        """The word of a peripheral's register that was written last."""
        return self.registers.stored(address)

    def set_register(self, address: int, value: int) -> None:
        """A store into a peripheral's register."""
        self.registers.write(address, value & 0xFFFFFFFF)

    def store(self, address: int, data: bytes) -> None:
        """Into memory."""
        self.cpu.store(address, data)

    def wide_result(self, value: int) -> None:
        """A 64-bit result."""
        self.cpu.result(value, wide=True)

    def print(self, text: str) -> None:
        """Text for the console."""
        if self.cpu.charge(len(text)):
            self.text.add(text)

    def print_on(self, console: str, letter: str) -> None:
        """A letter for one of the consoles."""
        self.console = self.console or console
        if console == self.console:
            self.print(letter)

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
        self.cpu.charge(_LOOK_EFFORT + self.cpu.window.sync(self.chip.flash))

    def flash_changed(self, address: int, length: int) -> None:
        """What the cache holds of these bytes is old."""
        self.cpu.charge(_CHANGE_EFFORT)
        self.cpu.window.forget(address, length)
