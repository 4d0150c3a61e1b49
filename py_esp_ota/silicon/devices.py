"""The devices of one chip that do more than remember, and the interrupts they ask for."""

from __future__ import annotations

from collections.abc import Callable

from py_esp_ota.chip import ResetReason
from py_esp_ota.silicon.clock import Clock
from py_esp_ota.silicon.consoles import Uart, UsbSerialJtag
from py_esp_ota.silicon.interrupts import Interrupts
from py_esp_ota.silicon.peripherals import Peripherals
from py_esp_ota.silicon.registers import Registers
from py_esp_ota.silicon.rtc import Rtc, calibrates
from py_esp_ota.silicon.systimer import Systimer
from py_esp_ota.silicon.watchdog import Watchdog

_FROM_CPU = range(4)
_WHY = (ResetReason.TG0WDT_SYS, ResetReason.TG1WDT_SYS)


class Devices:
    """Timers, consoles and the interrupt matrix of one chip."""

    def __init__(
        self,
        at: Peripherals,
        registers: Registers,
        clock: Clock,
        printed: Callable[[str], None],
        reset: Callable[[ResetReason], None],
    ) -> None:
        self._at = at
        self._registers = registers
        self._clock = clock
        self.systimer = Systimer(at.systimer, registers, clock)
        self.uart = Uart(at.uart, registers, printed)
        self.usb = UsbSerialJtag(at.usb_serial_jtag, registers, printed)
        sources: dict[int, Callable[[], bool]] = {
            at.uart_source: self.uart.asks,
            at.usb_serial_jtag_source: self.usb.asks,
        }
        for alarm in range(3):
            sources[at.systimer_source + alarm] = self._alarm(alarm)
        for index in _FROM_CPU:
            address = at.from_cpu + 4 * index
            sources[at.from_cpu_source + index] = self._called(address)
            registers.on_write[address] = self._calling(address)
        self.rtc = Rtc(at.rtc, registers, clock, reset)
        self._watchdogs = [
            Watchdog(group, registers, clock, reset, why) for group, why in zip(at.timer_groups, _WHY, strict=False)
        ]
        for source, watchdog in zip(at.watchdog_sources, self._watchdogs, strict=True):
            sources[source] = watchdog.asks
        self._interrupts = Interrupts(at.interrupts, registers, sources)
        for group in at.timer_groups:
            calibrates(group, registers)
        for address, bits in at.ready.items():
            registers.on_read[address] = self._ready(address, bits)

    def reset(self) -> None:
        """As after a reset of the chip."""
        for device in (self.systimer, self.uart, self.usb):
            device.reset()
        for watchdog in (self.rtc, *self._watchdogs):
            watchdog.power_on()

    def pending(self) -> bool:
        """Whether any line of the CPU is pulled."""
        return bool(self._interrupts.pending())

    def ready(self) -> int | None:
        """The line that gets through."""
        return self._interrupts.ready()

    def next_alarm(self) -> int | None:
        """The cycle at which something happens by itself."""
        due = [self.systimer.next_alarm(), self.rtc.watchdog_due(), *(watchdog.due() for watchdog in self._watchdogs)]
        return min((at for at in due if at is not None), default=None)

    def bite(self) -> None:
        """Let the watchdogs do what is due."""
        self.rtc.bite()
        for watchdog in self._watchdogs:
            watchdog.bite()

    def _alarm(self, alarm: int) -> Callable[[], bool]:
        return lambda: self.systimer.pending()[alarm]

    def _called(self, address: int) -> Callable[[], bool]:
        return lambda: bool(self._registers.values.get(address, 0) & 1)

    def _calling(self, address: int) -> Callable[[int], None]:
        def write(value: int) -> None:
            self._registers.values[address] = value
            self._registers.changed()

        return write

    def _ready(self, address: int, bits: int) -> Callable[[], int]:
        return lambda: self._registers.values.get(address, 0) | bits
