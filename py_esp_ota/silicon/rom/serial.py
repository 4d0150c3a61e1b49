"""ROM's consoles: which one it prints on, and what is typed there.

A bootloader whose console is the USB Serial/JTAG controller, another UART or none tells ROM so
(``bootloader_console_init``); what it prints is shown whichever it is.
"""

from __future__ import annotations

from collections.abc import Mapping

from py_esp_ota.silicon.chips.peripherals import PERIPHERALS
from py_esp_ota.silicon.rom.functions import Calls, Function, constant, put_char
from py_esp_ota.silicon.words import word

_OK, _NOTHING = 0, 1
#: ``buff_uart_no`` of ROM's ``UartDevice``, and its value for the USB Serial/JTAG controller.
_CHANNEL, _USB = 0x18, 3
_UART_STATUS, _UART_TYPED = 0x1C, 0x3FF
_USB_CONF, _USB_TYPED = 0x04, 1 << 2


def uart_device(cpu: Calls) -> int:
    """``GetUartDevice``: where ROM keeps its ``UartDevice``."""
    return cpu.soc.uart_device


def take_char(cpu: Calls) -> int:
    """``uart_rx_one_char``: the place for it; 1 when nothing was typed."""
    at = PERIPHERALS.get(cpu.soc.name)
    if at is None:
        return _NOTHING
    usb = word(cpu.load(cpu.soc.uart_device + _CHANNEL, 4)) & 0xFF == _USB
    fifo = at.usb_serial_jtag if usb else at.uart
    status = word(cpu.load(fifo + (_USB_CONF if usb else _UART_STATUS), 4))
    if not status & (_USB_TYPED if usb else _UART_TYPED):
        return _NOTHING
    cpu.store(cpu.arg(0), cpu.load(fifo, 4)[:1])
    return _OK


SERIAL: Mapping[str, Function] = {
    "GetUartDevice": uart_device,
    "uartAttach": constant(None),
    "uart_tx_switch": constant(None),
    "uart_rx_one_char": take_char,
    "uart_tx_one_char2": put_char,
    "uart_tx_one_char3": put_char,
    "usb_serial_device_tx_one_char": put_char,
    "usb_serial_device_tx_flush": constant(None),
    "ets_write_char_uart": put_char,
    "ets_install_putc2": constant(None),
    "ets_efuse_get_uart_print_control": constant(0),
    "ets_efuse_usb_print_is_disabled": constant(0),
}
