"""An app of an Xtensa chip up to what needs more than its first core: clocks tell the time, devices do not interrupt.

The core takes its own interrupts, those of its timers; exceptions are the app's to handle.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf

from py_esp_ota.silicon.clock import CYCLES_PER_US
from py_esp_ota.silicon.engines.engine import Access, MemoryFault
from py_esp_ota.silicon.hardware import Hardware
from py_esp_ota.silicon.interrupts import held_back
from py_esp_ota.silicon.peripherals.rtc import calibrates
from py_esp_ota.silicon.peripherals.systimer import Systimer

_FAULTS: Mapping[Access, int] = {"fetch": 20, "load": 28, "store": 29}
#: Where an app says at which address its second core begins (``ets_set_appcpu_boot_addr``).
SECOND_CORE: Mapping[str, int] = {"esp32": 0x3FF00038, "esp32s3": 0x600C0004}
_SLICE = 20_000
_EFFORT_PER_SLICE = 400_000
_EFFORT_OF_A_SLICE = 5
#: So many exceptions in a row with nothing between them are a CPU that will never do anything else.
_LOCKED_UP = 64
# The RTC's clock: what asks for it, and its two words.
_UPDATE, _LOW, _HIGH = 0x0C, 0x10, 0x14
_UPDATE_NOW = 1 << 31
_SLOW_HZ = 136_000
_HZ = CYCLES_PER_US * 1_000_000
_SECOND_GROUP = 0x1000
_S3_SYSTIMER = 0x60023000
# The S2's is an older one, of 80 MHz.
_S2_SYSTIMER, _S2_UPDATE, _S2_HIGH, _S2_LOW = 0x3F423000, 0x38, 0x3C, 0x40
_VALID = 1 << 30


class FirstLines:
    """Code that goes on from where the CPU stands, on an Xtensa chip."""

    def __init__(self, hardware: Hardware) -> None:
        self._hardware = hardware
        self._cpu = hardware.cpu
        self._clock = hardware.clock
        self._raised: tuple[int, int] | None = None
        self._exceptions = 0
        self._tell_the_time()
        second = SECOND_CORE.get(hardware.soc.name)
        if second is not None:
            hardware.registers.on_write[second] = self._second_core(second)

    def run(self, cycles: int, *, effort: float = inf) -> bool:
        """Go on for so many cycles of the chip's clock, or until it ends: ``hardware.ended``. Raises ``PowerLoss``.

        ``effort``: how much Python may do for it, as ``Cpu.grant`` counts; false when that was too little.
        """
        with held_back(self._cpu.interrupt):
            return self._run(cycles, effort)

    def _run(self, cycles: int, effort: float) -> bool:
        hardware, cpu, clock = self._hardware, self._cpu, self._clock
        cpu.watcher = self
        stop_at = clock.cycles + cycles
        while clock.cycles < stop_at and hardware.ended is None:
            if effort < 0:
                return False
            count = min(stop_at - clock.cycles, _SLICE)
            cpu.grant(_EFFORT_PER_SLICE)
            done = cpu.go(cpu.pc, count) or 0
            effort -= _EFFORT_OF_A_SLICE + cpu.spent
            clock.cycles += max(1, done)  # it ends, whatever the code does
            if cpu.exhausted:
                hardware.trap("one call kept Python busy for too long", cpu.pc, ours=True)
            elif self._raised is not None:
                self._enter(*self._raised)
            elif cpu.engine.waits:
                cpu.engine.advance(count)
                clock.cycles += count
            else:
                self._exceptions = 0
        return True

    def _enter(self, cause: int, value: int) -> None:
        """Go on in the handler of an exception."""
        self._raised = None
        self._exceptions += 1
        if self._exceptions > _LOCKED_UP:
            self._hardware.trap("exception after exception", self._cpu.pc)
        self._cpu.engine.enter(cause, value)

    # ------------------------------------------------------------------------------------------ what the CPU asks

    def rom_call(self, _address: int) -> bool:
        """A call into ROM, which is real."""
        return True

    def exception(self, cause: int, _address: int) -> None:
        """An exception is the app's own to handle."""
        self._raised = cause, 0
        self._cpu.stop()

    def fault(self, error: MemoryFault, _address: int) -> None:
        """An access to what is not there."""
        self._raised = _FAULTS[error.access], error.address
        self._cpu.stop()

    def csr(self, _number: int) -> int | None:
        """There are none."""
        return None

    # ------------------------------------------------------------------------------------------- what its code asks

    def _tell_the_time(self) -> None:
        soc, registers, clock = self._hardware.soc, self._hardware.registers, self._clock
        rtc = soc.reset_register
        registers.on_write[rtc + _UPDATE] = self._latch(
            rtc + _UPDATE, rtc + _LOW, rtc + _HIGH, lambda: clock.look() * _SLOW_HZ // _HZ
        )
        if soc.timer_group is not None:
            calibrates(soc.timer_group + _SECOND_GROUP, registers, soc.fast_hz)
        if soc.name == "esp32s3":
            Systimer(_S3_SYSTIMER, registers, clock)
        elif soc.name == "esp32s2":
            update = _S2_SYSTIMER + _S2_UPDATE
            registers.on_write[update] = self._latch(
                update, _S2_SYSTIMER + _S2_LOW, _S2_SYSTIMER + _S2_HIGH, lambda: clock.look() // 2
            )
            registers.on_read[update] = lambda: _VALID

    def _latch(self, update: int, low: int, high: int, now: Callable[[], int]) -> Callable[[int], None]:
        """A clock whose time is in two words once it was asked for."""
        values = self._hardware.registers.values

        def write(value: int) -> None:
            values[update] = value & ~_UPDATE_NOW
            if value & _UPDATE_NOW:
                time = now()
                values[low], values[high] = time & 0xFFFFFFFF, time >> 32

        return write

    def _second_core(self, address: int) -> Callable[[int], None]:
        def write(value: int) -> None:
            self._hardware.registers.values[address] = value
            if value:
                where = f"the app starts the chip's second core at 0x{value:08x}: only the first one is here"
                self._hardware.trap(where, self._cpu.pc, ours=True)

        return write
