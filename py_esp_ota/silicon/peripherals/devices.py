"""The devices of one chip that do more than remember, and the interrupts they ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from py_esp_ota.chip import ResetReason
from py_esp_ota.silicon.chips.peripherals import Lines, Peripherals
from py_esp_ota.silicon.clock import CYCLES_PER_US, Clock
from py_esp_ota.silicon.peripherals.aes import Aes
from py_esp_ota.silicon.peripherals.clic import ClicLines
from py_esp_ota.silicon.peripherals.consoles import USB, Uart, UsbSerialJtag
from py_esp_ota.silicon.peripherals.gdma import Gdma, Memory
from py_esp_ota.silicon.peripherals.i2c import I2c
from py_esp_ota.silicon.peripherals.interrupts import Interrupts, Line
from py_esp_ota.silicon.peripherals.plic import Plic
from py_esp_ota.silicon.peripherals.registers import Registers
from py_esp_ota.silicon.peripherals.rmt import Rmt
from py_esp_ota.silicon.peripherals.rtc import Rtc, calibrates
from py_esp_ota.silicon.peripherals.sha import Sha
from py_esp_ota.silicon.peripherals.spi_master import SpiMaster
from py_esp_ota.silicon.peripherals.systimer import Systimer
from py_esp_ota.silicon.peripherals.timer import GeneralPurposeTimer
from py_esp_ota.silicon.peripherals.watchdog import Watchdog

_FROM_CPU = range(4)
_WHY = (ResetReason.TG0WDT_SYS, ResetReason.TG1WDT_SYS)


class Remembers(Protocol):
    """A device that knows more than its registers say."""

    def reset(self) -> None:
        """As after a reset of the chip."""

    def save(self) -> tuple[object, ...]:
        """What ``restore`` takes."""

    def restore(self, saved: tuple[Any, ...]) -> None:
        """As it was at ``save``."""


class Devices:
    """Timers, consoles and the interrupt matrix of one chip."""

    def __init__(
        self,
        at: Peripherals,
        registers: Registers,
        clock: Clock,
        memory: Memory,
        printed: Callable[[str, str], None],
        reset: Callable[[ResetReason], None],
        trap: Callable[[str], None],
    ) -> None:
        self._at = at
        self._registers = registers
        self._clock = clock
        self.systimer = Systimer(at.systimer, registers, clock)
        self.uart = Uart(at.uart, registers, printed)
        unheard = Uart(at.uart1, registers, lambda _console, _letter: None)
        self.usb = UsbSerialJtag(at.usb_serial_jtag, registers, printed, clock)
        sources: dict[int, Callable[[], bool]] = {
            at.uart_source: self.uart.asks,
            at.uart1_source: unheard.asks,
            at.usb_serial_jtag_source: self.usb.asks,
        }
        for alarm in range(3):
            sources[at.systimer_source + alarm] = self._alarm(alarm)
        for index in _FROM_CPU:
            address = at.from_cpu + 4 * index
            sources[at.from_cpu_source + index] = self._called(address)
            registers.on_write[address] = self._calling(address)
        dma = Gdma(at.dma, registers, memory)
        sources[at.spi2_source] = SpiMaster(at.spi2, registers, dma).interrupts.asks
        sources[at.i2c_source] = I2c(at.i2c, registers).interrupts.asks
        sources[at.rmt_source] = Rmt(at.rmt, registers).interrupts.asks
        sources[at.aes_source] = Aes(at.aes, registers, dma, trap).asks
        Sha(at.sha, registers, dma, trap)
        self.rtc = Rtc(at.awake, registers, clock, reset)
        self._watchdogs = [
            Watchdog(group, registers, clock, reset, why) for group, why in zip(at.timer_groups, _WHY, strict=False)
        ]
        for source, watchdog in zip(at.watchdog_sources, self._watchdogs, strict=True):
            sources[source] = watchdog.asks
        self._timers = [GeneralPurposeTimer(timer, registers, clock) for timer in at.timers]
        for timer, device in zip(at.timers, self._timers, strict=True):
            sources[timer.source] = device.asks
        self._all: list[Remembers] = [self.systimer, self.uart, unheard, self.usb, self.rtc]
        self._all += [*self._watchdogs, *self._timers]
        controller = (
            Plic(at.lines, registers) if isinstance(at.lines, Lines) else ClicLines(at.lines, registers, self._pulled)
        )
        self._interrupts = Interrupts(at.interrupts, controller, registers, sources)
        for group in at.timer_groups:
            calibrates(group, registers, at.fast_hz)
        for address, bits in {**at.ready, **at.radio_ready}.items():
            registers.on_read[address] = self._ready(address, bits)
        for address in at.radio_clocks:
            registers.on_read[address] = lambda: clock.look() // CYCLES_PER_US & 0xFFFFFFFF

    def reset(self) -> None:
        """As after a reset of the chip."""
        for device in self._all:
            device.reset()
        self._interrupts.reset()

    def save(self) -> tuple[object, ...]:
        """What ``restore`` takes: all that is remembered beyond the registers."""
        return tuple(device.save() for device in self._all)

    def restore(self, saved: tuple[Any, ...]) -> None:
        """As it was at ``save``; the registers are restored already."""
        for device, state in zip(self._all, saved, strict=True):
            device.restore(state)
        self._interrupts.reset()

    def type(self, console: str, text: str) -> None:
        """Somebody types on one of the consoles."""
        (self.usb if console == USB else self.uart).type(text.encode())

    def pending(self) -> bool:
        """Whether any line of the CPU is pulled."""
        return bool(self._interrupts.pending())

    def _pulled(self) -> list[int]:
        return self._interrupts.pending()

    def ready(self) -> Line | None:
        """The line that gets through."""
        return self._interrupts.ready()

    @property
    def by_level(self) -> bool:
        """Whether the core itself has levels that interrupts go by."""
        return not isinstance(self._at.lines, Lines)

    def next_alarm(self) -> int | None:
        """The cycle at which something happens by itself."""
        due = [
            self.systimer.next_alarm(),
            self.usb.next_frame(),
            self.rtc.watchdog_due(),
            *(watchdog.due() for watchdog in self._watchdogs),
            *(timer.next_alarm() for timer in self._timers),
        ]
        return min((at for at in due if at is not None), default=None)

    def bite(self) -> None:
        """Let the watchdogs do what is due."""
        self.rtc.bite()
        for watchdog in self._watchdogs:
            watchdog.bite()

    def _alarm(self, alarm: int) -> Callable[[], bool]:
        return lambda: self.systimer.asks(alarm)

    def _called(self, address: int) -> Callable[[], bool]:
        return lambda: bool(self._registers.values.get(address, 0) & 1)

    def _calling(self, address: int) -> Callable[[int], None]:
        def write(value: int) -> None:
            self._registers.values[address] = value
            self._registers.changed()

        return write

    def _ready(self, address: int, bits: int) -> Callable[[], int]:
        return lambda: self._registers.values.get(address, 0) | bits
