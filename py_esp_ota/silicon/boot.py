"""One run of a second-stage bootloader: from its first instruction to the jump into an app, or to another end."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from py_esp_ota._core import ImageHeader
from py_esp_ota.chip import Chip
from py_esp_ota.rom_lines import loading_lines, reset_lines
from py_esp_ota.silicon.causes import cause_of, is_illegal
from py_esp_ota.silicon.chips.socs import SOCS
from py_esp_ota.silicon.engines.engine import MemoryFault
from py_esp_ota.silicon.hardware import Hardware
from py_esp_ota.silicon.interrupts import held_back
from py_esp_ota.silicon.program import Program
from py_esp_ota.silicon.report import SiliconReport
from py_esp_ota.silicon.snapshot import Snapshot, Snapshots, Tripwire
from py_esp_ota.silicon.words import to_word

#: What Python may do for one run: calls, letters, pieces of memory. A boot takes some thousands.
_EFFORT = 400_000
#: The same where ROM's own code hashes with the accelerator, twenty accesses for 64 bytes.
_EFFORT_OF_ROM = 8_000_000
_HEADER, _ENTRY_AT = 24, 4
_LARGEST_PAGE, _SECTOR = 0x10000, 0x1000
_MAGIC = 0xE9
_LAST_OF_ROM = "entry 0x"
#: A bootloader waits by the cycle counter, for nothing: its time passes faster.
_CYCLES_PER_LOOK = 1000


class BootRun:
    """Runs bootloaders on one piece of hardware, and knows the jump into an app when it sees one."""

    def __init__(self, hardware: Hardware, *, snapshots: bool) -> None:
        self._hardware = hardware
        self._snapshots = Snapshots(hardware) if snapshots else None
        self._program: Program | None = None
        #: What RISC-V drops of the address of a jump.
        self._odd = 1 if hardware.soc.core == "riscv" else 0
        self._watched: list[int] = []
        self._entry: int | None = None
        self._slot: int | None = None

    def run(self, program: Program, image: bytes, budget: int) -> SiliconReport:
        """Run ``program``, whose bytes are ``image``, on the chip that was attached. Raises ``PowerLoss``."""
        hardware = self._hardware
        cpu = hardware.cpu
        if program is not self._program:
            self.leave()
            self._watch(program)
            cpu.engine.set_look(_CYCLES_PER_LOOK)
            cpu.forget_code()
            self._program = program
        snapshot = self._snapshot(program, image)
        cpu.watcher = self
        self._entry = self._slot = None
        if snapshot is None or self._snapshots is None or budget <= snapshot.spent:
            pc = self._begin(program)
        else:
            self._snapshots.restore(snapshot)
            if snapshot.before_sync:
                hardware.sync_cache()
            pc, budget = snapshot.pc, budget - snapshot.spent
        with held_back(cpu.interrupt):
            cpu.go(pc, budget)
        if not self._is_whole(program):
            # It comes back past the CPU, which must not go on with what it has translated.
            cpu.forget_code()
        elif self._entry is not None:
            # Other code may lie there the next time, put there past the CPU.
            cpu.forget_code(self._entry)
        return report(hardware, entry=self._entry, slot=self._slot)

    def _is_whole(self, program: Program) -> bool:
        """Whether the program's code is still as it was: nothing protects it on some chips."""
        ram = self._hardware.cpu.ram
        return all(ram[p.block].get(p.offset, len(p.data)) == p.data for p in program.parts if p.code)

    def _begin(self, program: Program) -> int:
        """The program in RAM, as ROM puts it there, and where it begins; or where ROM does, which will load it."""
        hardware = self._hardware
        hardware.clear()
        if hardware.soc.rom_start is not None:
            hardware.cpu.grant(_EFFORT_OF_ROM)
            return hardware.soc.rom_start
        hardware.cpu.grant(_EFFORT)
        hardware.put(program)
        return program.entry

    def _snapshot(self, program: Program, image: bytes) -> Snapshot | None:
        if self._snapshots is None:
            return None
        wire = Tripwire(self._hardware, self, image)
        return self._snapshots.find(image, lambda: wire.record(lambda: self._begin(program)))

    def leave(self) -> None:
        """Watch no longer: what runs from here is another's business."""
        for number in self._watched:
            self._hardware.cpu.unwatch(number)
        self._watched = []
        self._program = None
        self._hardware.cpu.engine.set_look(0)

    def _watch(self, program: Program) -> None:
        """Look at every block of code that is neither ROM nor the bootloader: a jump that leaves it."""
        rom = self._hardware.cpu.rom_range
        known = [(rom.start, rom.stop), *((p.code.start, p.code.stop) for p in program.parts if p.code)]
        gaps, at = [], 0
        for start, stop in sorted(known):
            gaps.append((at, start - 1))
            at = max(at, stop)
        gaps.append((at, 0xFFFFFFFF))
        watch = self._hardware.cpu.watch_blocks
        self._watched = [watch(self._on_jump, begin, end) for begin, end in gaps if begin < end]

    # ------------------------------------------------------------------------------------------ what the CPU asks

    def rom_call(self, address: int) -> bool:
        """A call into ROM: a function of the table, or the jump into an app whose entry lies there, or unknown."""
        hardware = self._hardware
        try:
            if not hardware.call_rom(address) and not self._is_entry(address, runs=False):
                hardware.no_function(address)
        except MemoryFault as error:
            hardware.trap(f"{hardware.name_of(address)}: {error}", address)
        return hardware.ended is None

    def exception(self, cause: int, address: int) -> None:
        """A bootloader's exceptions all end in a panic, except the one that is the jump into an app."""
        # A block whose first instruction is illegal is never announced as one, so it may be that jump.
        core = self._hardware.soc.core
        if self._hardware.ended is None and not self._is_entry(address, runs=is_illegal(core, cause)):
            self._hardware.trap(cause_of(core, cause), address)

    def fault(self, error: MemoryFault, address: int) -> None:
        """The same."""
        if self._hardware.ended is None and not (error.access == "fetch" and self._is_entry(address, runs=False)):
            self._hardware.trap(str(error), address)

    def csr(self, number: int) -> int | None:
        """A CSR of Espressif's own."""
        self._hardware.clock.cycles += _CYCLES_PER_LOOK
        return self._hardware.csr(number)

    def _on_jump(self, address: int) -> None:
        unseen = self._unseen_entry()
        if not self._is_entry(address, runs=True) and (unseen is None or not self._is_entry(unseen, runs=True)):
            self._hardware.trap("execution outside of the bootloader", address)

    def _unseen_entry(self) -> int | None:
        """The entry of an app that has replaced code of the bootloader there, where no jump is watched."""
        hardware, program = self._hardware, self._program
        if program is None or self._is_whole(program):
            return None
        flash = hardware.chip.flash
        for place in (place % flash.size for place in hardware.cpu.window.history()):
            header = ImageHeader.from_bytes(flash.mmap(place, _HEADER))
            replaces = any(part.code and header.entry_addr in part.code for part in program.parts)
            if replaces and header.magic == _MAGIC and place != hardware.chip.target.bootloader_offset:
                return header.entry_addr
        return None

    def _is_entry(self, address: int, *, runs: bool) -> bool:
        """Whether this is the jump into an app: the image looked at last that names this address as its entry.

        The bootloader is none, which a ROM that runs here has looked at too.
        """
        hardware = self._hardware
        own = hardware.chip.target.bootloader_offset
        places, flash_size = hardware.cpu.window.history(), hardware.chip.flash.size
        # Nearly every image begins with an MMU page; no bootloader insists on it.
        for look in (self._beginning, self._inside, self._unmarked):
            # Beyond the chip the flash comes round again.
            for slot, entry in chain.from_iterable(look(place % flash_size, address) for place in places):
                if slot == own:
                    continue
                self._entry, self._slot = entry, slot
                hardware.end("APP" if runs and hardware.cpu.window.maps(address) else "BAD_ENTRY")
                return True
        return False

    def _beginning(self, place: int, address: int) -> Iterator[tuple[int, int]]:
        """The image that begins there in flash: where, and its entry, if that is ``address``."""
        flash = self._hardware.chip.flash
        header = ImageHeader.from_bytes(flash.mmap(place, _HEADER))
        if header.magic == _MAGIC and header.entry_addr & ~self._odd == address:
            yield place, header.entry_addr

    def _inside(self, place: int, address: int) -> Iterator[tuple[int, int]]:
        """The images that begin later in the page of the MMU that begins there."""
        flash = self._hardware.chip.flash
        data = flash.mmap(place, min(_LARGEST_PAGE, flash.size - place))
        for entry in dict.fromkeys((address, address | self._odd)):
            at = data.find(to_word(entry), _ENTRY_AT + 1)
            while at >= 0:
                if data[at - _ENTRY_AT] == _MAGIC and at % 4 == 0:
                    yield place + at - _ENTRY_AT, entry
                at = data.find(to_word(entry), at + 1)

    def _unmarked(self, place: int, address: int) -> Iterator[tuple[int, int]]:
        """The same of images at a sector's border whose first byte is wrong: some builds start them unseen."""
        flash = self._hardware.chip.flash
        for at in range(place, min(place + _LARGEST_PAGE, flash.size), _SECTOR):
            entry = ImageHeader.from_bytes(flash.mmap(at, _HEADER)).entry_addr
            if entry & ~self._odd == address:
                yield at, entry


def before_the_bootloader(chip: Chip, image: bytes) -> tuple[str, ...]:
    """What ROM prints until the bootloader ``image`` runs; nothing where ROM runs here and prints it by itself."""
    name = chip.target.name
    if SOCS[name].rom_start is not None and image:
        return ()
    return reset_lines(name, chip.efuse.chip_revision, chip.reset_reason) + loading_lines(name, image)


def report(hardware: Hardware, *, entry: int | None = None, slot: int | None = None) -> SiliconReport:
    """What is known of the run that ended."""
    lines = tuple(str(hardware.text).splitlines())
    # Where ROM runs too, this is its last line.
    entered = (at for at, line in enumerate(lines, 1) if line.startswith(_LAST_OF_ROM))
    begins = 0 if hardware.soc.rom_start is None else next(entered, len(lines))
    return SiliconReport(
        outcome=hardware.ended or "HANG",
        entry=entry,
        slot=slot,
        rom=lines[:begins],
        log=lines[begins:],
        flash_writes=tuple(hardware.writes),
        instructions=hardware.cpu.instructions,
        trap=hardware.trapped,
    )
