"""An app on the hardware that booted it: time passes, interrupts come, exceptions are the app's own to handle.

The CPU runs in slices that end where the next alarm is due; a store that changes what interrupts are asked for ends its
slice too.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf

from py_esp_ota.silicon.engines.engine import ILLEGAL_INSTRUCTION, Access, MemoryFault
from py_esp_ota.silicon.hardware import Hardware
from py_esp_ota.silicon.interrupts import held_back
from py_esp_ota.silicon.standstill import Standstill
from py_esp_ota.silicon.words import word

_INTERRUPT = 1 << 31
_FAULTS: Mapping[Access, int] = {"fetch": 1, "load": 5, "store": 7}
#: The longest slice, and the one while an interrupt waits to be let through. Instructions.
_SLICE, _SHORT_SLICE = 20_000, 200
#: What a slice that ended early is taken for where the engine does not say.
_EARLY = 50
_EFFORT_PER_SLICE = 400_000
#: What a slice itself is worth of such effort, and what each call of a device or of ROM is taken for.
_EFFORT_OF_A_SLICE = 5
_CYCLES_PER_CALL = 40
#: So many exceptions in a row with nothing between them are a CPU that will never do anything else.
_LOCKED_UP = 64


class App:
    """Code that goes on from where the CPU stands."""

    def __init__(self, hardware: Hardware) -> None:
        """Raises ``ValueError`` for a chip whose devices are not here."""
        name, engine = hardware.soc.name, hardware.cpu.engine
        if hardware.devices is None:
            raise ValueError(f"apps do not run on an {name} here, bootloaders do")
        if hardware.devices.by_level and engine.name != "core":
            raise ValueError(f"apps of an {name} run on the engine core: {engine.name} has no CLIC")
        self._devices = hardware.devices
        self._hardware = hardware
        self._cpu = hardware.cpu
        self._clock = hardware.clock
        self._cause: int | None = None
        self._value = 0
        self._paused = False
        self._due = 0
        self._exceptions = 0
        self._standstill = Standstill(self._cpu)

    def run(self, cycles: int, *, effort: float = inf) -> bool:
        """Go on for so many cycles of the chip's clock, or until it ends: ``hardware.ended``. Raises ``PowerLoss``.

        ``effort``: how much Python may do for it, as ``Cpu.grant`` counts; false when that was too little.
        """
        with held_back(self._cpu.interrupt):
            return self._run(cycles, effort)

    def _run(self, cycles: int, effort: float) -> bool:
        hardware, cpu, clock = self._hardware, self._cpu, self._clock
        cpu.watcher = self
        hardware.registers.changed = self._pause
        stop_at = clock.cycles + cycles
        while clock.cycles < stop_at and hardware.ended is None:
            if effort < 0:
                return False
            self._devices.bite()
            waiting = self._devices.pending()
            self._enter(waiting=waiting)
            alarm = self._devices.next_alarm()
            due = stop_at if alarm is None else min(alarm, stop_at)
            self._due = due
            count = max(1, min(due - clock.cycles, _SHORT_SLICE if waiting else _SLICE))
            self._paused = False
            cpu.grant(_EFFORT_PER_SLICE)
            done = cpu.go(cpu.pc, count)
            effort -= _EFFORT_OF_A_SLICE + cpu.spent
            clock.cycles += _CYCLES_PER_CALL * cpu.spent
            if cpu.exhausted:
                hardware.trap("one call kept Python busy for too long", cpu.pc, ours=True)
            if self._cause is not None or self._paused:
                clock.cycles += _EARLY if done is None else done
                self._standstill.forget()
            elif cpu.engine.waits:
                clock.cycles = max(clock.cycles + 1, due)
            else:
                clock.cycles += count
                self._exceptions = 0
                if cpu.spent:
                    self._standstill.forget()
                elif self._standstill.found():
                    clock.cycles = max(clock.cycles, due)
        return True

    def _enter(self, *, waiting: bool) -> None:
        """Go on in the handler of the exception or interrupt that comes first, if there is one."""
        engine = self._cpu.engine
        if self._cause is not None:
            cause, self._cause = self._cause, None
            self._exceptions += 1
            if self._exceptions > _LOCKED_UP:
                self._hardware.trap("exception after exception", engine.pc)
            engine.enter(cause, self._value)
        elif waiting:
            line = self._devices.ready()
            if line is None:
                return
            if line.level is not None:
                engine.let_in(line.number, line.level, vectored=line.vectored, user=line.user)
            elif engine.interruptible:
                engine.enter(_INTERRUPT | line.number, 0)

    def _pause(self) -> None:
        """Something about the interrupts has changed: the slice ends if one gets through now."""
        if self._devices.ready() is not None:
            self._paused = True
            self._cpu.stop()

    # ------------------------------------------------------------------------------------------ what the CPU asks

    def rom_call(self, address: int) -> bool:
        """A call into ROM."""
        hardware = self._hardware
        try:
            if not hardware.call_rom(address):
                hardware.no_function(address)
        except MemoryFault as error:
            self._raise(_FAULTS[error.access], address, error.address)
        # A delay is a call too, and may last beyond what is due.
        self._paused = self._paused or self._clock.cycles >= self._due
        return hardware.ended is None and not self._paused

    def exception(self, cause: int, address: int) -> None:
        """An exception is the app's own to handle."""
        self._raise(cause, address, self._instruction(address) if cause == ILLEGAL_INSTRUCTION else 0)

    def fault(self, error: MemoryFault, address: int) -> None:
        """An access to what is not there."""
        self._raise(_FAULTS[error.access], address, error.address)

    def csr(self, number: int) -> int | None:
        """A CSR of Espressif's own."""
        return self._hardware.csr(number)

    def _instruction(self, address: int) -> int:
        """What ``mtval`` says of an illegal one: its bits."""
        low = word(self._cpu.peek(address, 2))
        return low if low & 3 != 3 else low | word(self._cpu.peek(address + 2, 2)) << 16

    def _raise(self, cause: int, address: int, value: int) -> None:
        self._cause, self._value = cause, value
        self._cpu.pc = address
        self._cpu.stop()
