"""An app on the hardware that booted it: time passes, interrupts come, exceptions are the app's own to handle.

Unicorn's RISC-V core cannot be interrupted from outside, so the trap is entered by hand, as the privileged
architecture says. The CPU runs in slices that end where the next alarm is due; a store that changes what interrupts are
asked for ends its slice too.
"""

from __future__ import annotations

from math import inf

from unicorn import (
    UC_ERR_FETCH_PROT,
    UC_ERR_FETCH_UNMAPPED,
    UC_ERR_WRITE_PROT,
    UC_ERR_WRITE_UNMAPPED,
    UcError,
)
from unicorn.riscv_const import (
    UC_RISCV_REG_MCAUSE,
    UC_RISCV_REG_MEPC,
    UC_RISCV_REG_MSTATUS,
    UC_RISCV_REG_MTVAL,
    UC_RISCV_REG_MTVEC,
)

from py_esp_ota.silicon.hardware import Hardware
from py_esp_ota.silicon.interrupts import held_back
from py_esp_ota.silicon.standstill import Standstill

_MIE, _MPIE, _MPP = 1 << 3, 1 << 7, 3 << 11
_INTERRUPT = 1 << 31
_FETCH_FAULT, _LOAD_FAULT, _STORE_FAULT = 1, 5, 7
_WFI = (0x10500073).to_bytes(4, "little")
#: The longest slice, and the one while an interrupt waits to be let through. Instructions.
_SLICE, _SHORT_SLICE = 20_000, 200
#: What a slice that ended early is taken for: Unicorn does not say.
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
        if hardware.devices is None:
            raise ValueError(f"apps do not run on an {hardware.soc.name} here, bootloaders do")
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
        pc = cpu.pc
        while clock.cycles < stop_at and hardware.ended is None:
            if effort < 0:
                return False
            self._devices.bite()
            waiting = self._devices.pending()
            pc = self._entered(pc, waiting=waiting)
            alarm = self._devices.next_alarm()
            due = stop_at if alarm is None else min(alarm, stop_at)
            self._due = due
            count = max(1, min(due - clock.cycles, _SHORT_SLICE if waiting else _SLICE))
            self._paused = False
            cpu.grant(_EFFORT_PER_SLICE)
            cpu.go(pc, count)
            pc = cpu.pc
            effort -= _EFFORT_OF_A_SLICE + cpu.spent
            clock.cycles += _CYCLES_PER_CALL * cpu.spent
            if cpu.exhausted:
                hardware.trap("one call kept Python busy for too long", pc, ours=True)
            if self._cause is not None or self._paused:
                clock.cycles += _EARLY
                self._standstill.forget()
            elif self._waits(pc):
                clock.cycles = max(clock.cycles + 1, due)
            else:
                clock.cycles += count
                self._exceptions = 0
                if cpu.spent:
                    self._standstill.forget()
                elif self._standstill.found():
                    clock.cycles = max(clock.cycles, due)
        return True

    def _waits(self, pc: int) -> bool:
        """Whether the last instruction was the one that waits for an interrupt."""
        try:
            return self._cpu.peek(pc - 4, 4) == _WFI
        except UcError:
            return False

    def _entered(self, pc: int, *, waiting: bool) -> int:
        """Where to go on: at ``pc``, or in the handler of the exception or interrupt that comes first."""
        status = self._cpu.register(UC_RISCV_REG_MSTATUS)
        if self._cause is not None:
            cause, self._cause = self._cause, None
            self._exceptions += 1
            if self._exceptions > _LOCKED_UP:
                self._hardware.trap("exception after exception", pc)
            return self._enter(pc, cause, status)
        if waiting and status & _MIE:
            line = self._devices.ready()
            if line is not None:
                self._value = 0
                return self._enter(pc, _INTERRUPT | line, status)
        return pc

    def _enter(self, pc: int, cause: int, status: int) -> int:
        cpu = self._cpu
        cpu.set_register(UC_RISCV_REG_MEPC, pc)
        cpu.set_register(UC_RISCV_REG_MCAUSE, cause)
        cpu.set_register(UC_RISCV_REG_MTVAL, self._value)
        previous = _MPIE if status & _MIE else 0
        cpu.set_register(UC_RISCV_REG_MSTATUS, status & ~(_MIE | _MPIE) | previous | _MPP)
        vector = cpu.register(UC_RISCV_REG_MTVEC)
        offset = 4 * (cause & 31) if vector & 1 and cause & _INTERRUPT else 0
        return (vector & ~3) + offset

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
                hardware.trap(f"ROM function 0x{address:08x} is not here", address, ours=True)
        except UcError:
            self._raise(_LOAD_FAULT, address, 0)
        # A delay is a call too, and may last beyond what is due.
        self._paused = self._paused or self._clock.cycles >= self._due
        return hardware.ended is None and not self._paused

    def exception(self, cause: int, address: int) -> None:
        """An exception is the app's own to handle."""
        self._raise(cause, address, 0)

    def fault(self, error: UcError, address: int) -> None:
        """An access to what is not there."""
        if error.errno in {UC_ERR_FETCH_UNMAPPED, UC_ERR_FETCH_PROT}:
            cause = _FETCH_FAULT
        else:
            cause = _STORE_FAULT if error.errno in {UC_ERR_WRITE_UNMAPPED, UC_ERR_WRITE_PROT} else _LOAD_FAULT
        self._raise(cause, address, 0)

    def csr(self, number: int) -> int | None:
        """A CSR of Espressif's own."""
        return self._hardware.csr(number)

    def _raise(self, cause: int, address: int, value: int) -> None:
        self._cause, self._value = cause, value
        self._cpu.pc = address
        self._cpu.stop()
