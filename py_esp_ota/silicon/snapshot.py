"""A bootloader's state just before it looks at more of the flash than itself: where its later boots go on from.

What comes before depends on the bootloader, the eFuses, the reset reason and the flash chip, and on nothing else. That
is not believed but found out: the run that is recorded has a tripwire around the rest of the flash. Nor is the wire
believed: with the opposite in the rest of the flash, the bootloader must come to the same state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from py_esp_ota._core import Flash, Printed, Words
from py_esp_ota.chip import Chip
from py_esp_ota.silicon.engines.engine import Context, Frozen, MemoryFault, Watcher
from py_esp_ota.silicon.hardware import Hardware
from py_esp_ota.silicon.interrupts import held_back
from py_esp_ota.silicon.rom.functions import sync

_KEPT = 64
#: What a bootloader may take to get there; the common ones take some thousands.
_LONGEST = 2_000_000
_OPPOSITE = bytes(range(256))[::-1]

Key = tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that the rest of a boot depends on, except the flash.

    Next the cache is switched on: by a call into ROM at ``pc`` or, ``before_sync``, by the store that was just done.
    """

    pc: int
    context: Context
    memory: Frozen
    mmu: bytes
    history: tuple[int, ...]
    registers: Words
    text: Printed
    digests: Mapping[int, bytes]
    calls: tuple[int, ...]
    cycles: int
    devices: tuple[object, ...]
    before_sync: bool
    #: Instructions so far; those that were counted, none when the machine does not count; and the effort that is left.
    spent: int
    instructions: int
    effort: int


class Snapshots:
    """The snapshots of one piece of hardware, each taken when its bootloader is met for the second time."""

    def __init__(self, hardware: Hardware) -> None:
        self._hardware = hardware
        self._taken: dict[Key, Snapshot | None] = {}
        self._met: dict[Key, None] = {}

    def find(self, image: bytes, record: Callable[[], Snapshot | None]) -> Snapshot | None:
        """The snapshot of the bootloader ``image`` on the chip that is attached; ``record`` is asked to make one."""
        hardware = self._hardware
        # As the registers are right after power-on, they are what the code can know of the chip.
        chip, known = hardware.chip, hardware.registers.values
        pins = tuple(sorted((pin, held.level, held.seconds) for pin, held in chip.pins.items()))
        key = (image, chip.flash.size, chip.reset_reason, pins, *known.items())
        if key in self._taken:
            self._taken[key] = self._taken.pop(key)
        elif key in self._met:
            self._taken[key] = record()
            _bound(self._taken)
        else:
            self._met[key] = None
            _bound(self._met)
        return self._taken.get(key)

    def restore(self, snapshot: Snapshot) -> None:
        """The hardware as it was; what the cache showed is forgotten, for this flash may be another."""
        hardware, cpu = self._hardware, self._hardware.cpu
        cpu.engine.thaw(cpu.ram, snapshot.memory)
        cpu.window.restore(snapshot.mmu, snapshot.history)
        cpu.engine.restore(snapshot.context)
        cpu.instructions = snapshot.instructions
        cpu.calls.clear()
        cpu.calls.extend(snapshot.calls)
        cpu.grant(snapshot.effort)
        hardware.registers.restore(snapshot.registers)
        hardware.text.become_copy_of(snapshot.text)
        hardware.digests = {context: bytearray(data) for context, data in snapshot.digests.items()}
        hardware.clock.cycles = snapshot.cycles
        if hardware.devices is not None:
            hardware.devices.restore(snapshot.devices)


class Tripwire:
    """Stands between the CPU and the watcher of a bootloader, and knows when it looks at flash that is not its own."""

    def __init__(self, hardware: Hardware, behind: Watcher, image: bytes) -> None:
        """``behind`` is the watcher of an ordinary run, ``image`` all the flash that is the bootloader's own."""
        self._hardware = hardware
        self._behind = behind
        start = hardware.chip.target.bootloader_offset
        self._own = range(start, start + len(image))
        self._syncs = 0
        self._stop_at = 0
        self._tripped = False
        #: Whether the run stopped where the cache was about to be switched on by a store.
        self._at_sync = False
        self._spent = 0
        self._shown = hardware.chip.flash
        self._taken: Snapshot | None = None

    def record(self, begin: Callable[[], int]) -> Snapshot | None:
        """Run to find the place, then twice up to it.

        ``begin`` puts the bootloader into reset hardware and names its entry. ``None`` when the bootloader ends before
        it has looked at any other flash, or is found to know of it by then. The chip is left as it is, the rest of the
        hardware is not.
        """
        chip = self._hardware.chip
        known = []
        try:
            self._run(chip, chip.flash.fork(), begin())
            if not self._tripped or not self._syncs:
                return None
            self._stop_at = self._syncs
            for flash in (self._with_another_rest(chip.flash), chip.flash.fork()):
                self._run(chip, flash, begin())
                known.append(self._known())
        finally:
            self._hardware.attach(chip)
        return self._taken if known[0] == known[1] else None

    def _with_another_rest(self, flash: Flash) -> Flash:
        """The bootloader in a flash that differs from this one in every other bit."""
        data, own = flash.to_bytes(), self._own
        other = data.translate(_OPPOSITE)
        return Flash.from_bytes(other[: own.start] + data[own.start : own.stop] + other[own.stop :], size=flash.size)

    def _known(self) -> tuple[object, ...]:
        """All that may have come of what was read so far."""
        hardware, cpu = self._hardware, self._hardware.cpu
        memory = [block.save() for block in cpu.ram]
        registers, digests = hardware.registers.values.items(), dict(hardware.digests)
        return self._spent, cpu.engine.state(), memory, cpu.window.mmu.save(), registers, str(hardware.text), digests

    def _run(self, chip: Chip, flash: Flash, entry: int) -> None:
        """On ``flash`` up to the wire, or to where the first run showed that the snapshot is to be taken."""
        hardware, cpu = self._hardware, self._hardware.cpu
        twin = Chip(chip.target.name, flash=flash, efuse=chip.efuse)
        twin.reset_reason, twin.pins = chip.reset_reason, chip.pins
        twin.flash.fault = ""
        self._syncs = self._spent = 0
        self._tripped = self._at_sync = False
        self._taken = None
        hardware.attach(twin)
        # The cache shows another copy: whoever looks at this one does so past the cache.
        self._shown = twin.flash.fork()
        twin.flash.watch()
        cpu.watcher = self
        hardware.cache_switched_on = self._on_sync
        # What is looked at is known after the first run; then, only how long it takes to get there.
        first = not self._stop_at
        watched = cpu.watched(loads=self._on_load if first else None, steps=None if first else self._on_step)
        try:
            with held_back(cpu.interrupt), watched:
                ran = cpu.go(entry, _LONGEST)
        finally:
            hardware.cache_switched_on = hardware.sync_cache
        if ran is not None:
            self._spent = ran
        if self._at_sync:
            self._taken = self._take(cpu.pc, before_sync=True)

    def _on_step(self) -> None:
        self._spent += 1

    def _on_load(self, address: int, length: int) -> None:
        """Someone reads memory: is it flash, and whose?"""
        for first, size in self._hardware.cpu.window.flash_at(address, length):
            if first not in self._own or first + size - 1 not in self._own:
                self._trip()

    def _on_sync(self) -> None:
        """A store to a register switches the cache on."""
        hardware = self._hardware
        if self._looked():
            self._trip()
        elif self._stop_at == self._syncs + 1:
            self._at_sync = True
            hardware.cpu.stop()
        else:
            self._syncs += 1
            hardware.cpu.window.sync(self._shown)
            hardware.sync_cache()

    def _looked(self) -> bool:
        """Whether other flash was looked at past the cache, or any was changed."""
        looked = self._hardware.chip.flash.needed().addresses()
        return bool(self._hardware.writes) or any(sector not in self._own for sector in looked)

    def _trip(self) -> None:
        self._tripped = True
        self._hardware.cpu.stop()

    # ------------------------------------------------------------------------------------------ what the CPU asks

    def rom_call(self, address: int) -> bool:
        """As in an ordinary run, with an eye on the cache."""
        hardware = self._hardware
        if hardware.functions.get(address, ("", None))[1] is sync:
            if self._stop_at == self._syncs + 1:
                self._taken = self._take(address, before_sync=False)
                return False
            self._syncs += 1
            hardware.cpu.window.sync(self._shown)
        goes_on = self._behind.rom_call(address)
        if self._looked():
            self._trip()
        return goes_on and not self._tripped

    def exception(self, cause: int, address: int) -> None:
        """As in an ordinary run."""
        self._behind.exception(cause, address)

    def fault(self, error: MemoryFault, address: int) -> None:
        """As in an ordinary run."""
        self._behind.fault(error, address)

    def csr(self, number: int) -> int | None:
        """As in an ordinary run."""
        return self._behind.csr(number)

    def _take(self, pc: int, *, before_sync: bool) -> Snapshot:
        hardware, cpu = self._hardware, self._hardware.cpu
        return Snapshot(
            pc=pc,
            context=cpu.engine.save(),
            memory=cpu.engine.freeze(cpu.ram),
            mmu=cpu.window.mmu.save(),
            history=tuple(reversed(cpu.window.history())),
            registers=hardware.registers.save(),
            text=hardware.text.copy(),
            digests={context: bytes(data) for context, data in hardware.digests.items()},
            calls=tuple(cpu.calls),
            cycles=hardware.clock.cycles,
            devices=() if hardware.devices is None else hardware.devices.save(),
            before_sync=before_sync,
            spent=cpu.instructions if cpu.engine.counts else self._spent,
            instructions=cpu.instructions,
            effort=cpu.effort,
        )


def _bound(kept: dict[Key, Snapshot | None] | dict[Key, None]) -> None:
    """The one that was not asked for the longest goes."""
    while len(kept) > _KEPT:
        del kept[next(iter(kept))]
