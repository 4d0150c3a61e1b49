"""The two consoles: UART0, and the serial port of the USB Serial/JTAG controller. Both print, both can be typed into.

(ESP32-C3 TRM, chapters "UART Controller" and "USB Serial/JTAG Controller".)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from py_esp_ota.silicon.clock import CYCLES_PER_US, Clock
from py_esp_ota.silicon.peripherals.registers import Registers

UART, USB = "uart", "usb"

_FIFO, _INT_RAW, _INT_ST, _INT_ENA, _INT_CLR, _STATUS = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x1C
_RXFIFO_FULL, _TXFIFO_EMPTY, _TX_DONE, _RXFIFO_TOUT = 1 << 0, 1 << 1, 1 << 14, 1 << 8
_FIFO_DEPTH = 128

_EP1, _EP1_CONF = 0x00, 0x04
_JTAG_RAW, _JTAG_ST, _JTAG_ENA, _JTAG_CLR = 0x08, 0x0C, 0x10, 0x14
_SPACE, _TYPED = 1 << 1, 1 << 2
_OUT_RECV_PKT, _IN_EMPTY, _SOF = 1 << 2, 1 << 3, 1 << 1
_PACKET = 64
_FRAME = 1000 * CYCLES_PER_US


class Uart:
    """UART0 at ``base``. Its sender is never full."""

    def __init__(self, base: int, registers: Registers, printed: Callable[[str, str], None]) -> None:
        self._base = base
        self._registers = registers
        self._raw = _TXFIFO_EMPTY
        self.typed: deque[int] = deque()
        registers.on_write[base + _FIFO] = lambda value: printed(UART, chr(value & 0xFF))
        registers.on_read[base + _FIFO] = self._take
        registers.on_read[base + _STATUS] = lambda: min(len(self.typed), _FIFO_DEPTH)
        registers.on_read[base + _INT_RAW] = self._asked
        registers.on_read[base + _INT_ST] = lambda: self._asked() & self._enabled()
        registers.on_write[base + _INT_CLR] = self._clear
        registers.on_write[base + _INT_ENA] = self._enable

    def reset(self) -> None:
        """Nothing was typed."""
        self.typed.clear()
        self._raw = _TXFIFO_EMPTY

    def save(self) -> tuple[object, ...]:
        """What ``restore`` takes."""
        return self._raw, tuple(self.typed)

    def restore(self, saved: tuple[Any, ...]) -> None:
        """As it was at ``save``."""
        self._raw, typed = saved
        self.typed = deque(typed)

    def type(self, data: bytes) -> None:
        """This comes in, as fast as it is read."""
        self.typed.extend(data)

    def asks(self) -> bool:
        """Whether it wants an interrupt."""
        return bool(self._asked() & self._enabled())

    def _enabled(self) -> int:
        return self._registers.values.get(self._base + _INT_ENA, 0)

    def _asked(self) -> int:
        return self._raw | (_RXFIFO_FULL | _RXFIFO_TOUT if self.typed else 0) | _TX_DONE

    def _take(self) -> int:
        return self.typed.popleft() if self.typed else 0

    def _clear(self, value: int) -> None:
        self._raw = self._raw & ~value | _TXFIFO_EMPTY
        self._registers.changed()

    def _enable(self, value: int) -> None:
        self._registers.values[self._base + _INT_ENA] = value
        self._registers.changed()


class UsbSerialJtag:
    """The USB Serial/JTAG controller at ``base``, with a host that takes what is printed at once."""

    def __init__(self, base: int, registers: Registers, printed: Callable[[str, str], None], clock: Clock) -> None:
        self._base = base
        self._registers = registers
        self._clock = clock
        self._raw = _IN_EMPTY
        self._frame_seen = 0
        #: What the host has not sent yet, and the packet that code can read.
        self._typed: deque[int] = deque()
        self._packet: deque[int] = deque()
        registers.on_write[base + _EP1] = lambda value: printed(USB, chr(value & 0xFF))
        registers.on_read[base + _EP1] = self._take
        registers.on_write[base + _EP1_CONF] = self._flush
        registers.on_read[base + _EP1_CONF] = lambda: _SPACE | (_TYPED if self._packet else 0)
        registers.on_read[base + _JTAG_RAW] = self._asked
        registers.on_read[base + _JTAG_ST] = lambda: self._asked() & self._enabled()
        registers.on_write[base + _JTAG_CLR] = self._clear
        registers.on_write[base + _JTAG_ENA] = self._enable

    def reset(self) -> None:
        """Nothing was typed."""
        self._typed.clear()
        self._packet.clear()
        self._raw = _IN_EMPTY
        self._frame_seen = 0

    def save(self) -> tuple[object, ...]:
        """What ``restore`` takes."""
        return self._raw, self._frame_seen, tuple(self._typed), tuple(self._packet)

    def restore(self, saved: tuple[Any, ...]) -> None:
        """As it was at ``save``."""
        self._raw, self._frame_seen, typed, packet = saved
        self._typed, self._packet = deque(typed), deque(packet)

    def asks(self) -> bool:
        """Whether it wants an interrupt."""
        return bool(self._asked() & self._enabled())

    def type(self, data: bytes) -> None:
        """The host sends this, packet by packet, each when the one before it was read."""
        self._typed.extend(data)
        self._send()
        self._registers.changed()

    def _send(self) -> None:
        if self._typed and not self._packet:
            self._packet.extend(self._typed.popleft() for _ in range(min(len(self._typed), _PACKET)))
            self._raw |= _OUT_RECV_PKT

    def _take(self) -> int:
        taken = self._packet.popleft() if self._packet else 0
        self._send()
        return taken

    def next_frame(self) -> int | None:
        """The cycle at which the host begins a frame, once a millisecond, when somebody wants to know."""
        begins = self._frame_seen + _FRAME
        return begins if self._enabled() & _SOF and begins > self._clock.cycles else None

    def _enabled(self) -> int:
        return self._registers.values.get(self._base + _JTAG_ENA, 0)

    def _asked(self) -> int:
        frame = _SOF if self._clock.cycles >= self._frame_seen + _FRAME else 0
        return self._raw | frame

    def _flush(self, _value: int) -> None:
        self._raw |= _IN_EMPTY
        self._registers.changed()

    def _clear(self, value: int) -> None:
        self._raw &= ~value
        if value & _SOF:
            self._frame_seen = self._clock.cycles
        self._registers.changed()

    def _enable(self, value: int) -> None:
        self._registers.values[self._base + _JTAG_ENA] = value
        self._registers.changed()
