"""The few devices of a chip on which bootloaders run, and apps do not: consoles, reset, a clock's measure, hashing."""

from __future__ import annotations

from collections.abc import Callable

from py_esp_ota._core import Printed, Switch
from py_esp_ota.chip import ResetReason
from py_esp_ota.silicon.chips.soc import Soc
from py_esp_ota.silicon.peripherals.registers import Registers
from py_esp_ota.silicon.peripherals.rtc import calibrates
from py_esp_ota.silicon.peripherals.sha import Sha
from py_esp_ota.silicon.peripherals.shared_sha import SharedSha

_SW_SYS_RST = 1 << 31


def install(
    soc: Soc,
    registers: Registers,
    text: Printed,
    said_last_words: Callable[[], None],
    reset: Callable[[ResetReason], None],
    trap: Callable[[str], None],
) -> None:
    """Put the devices of a chip where code finds them. They remember nothing but their registers and the text.

    Args:
        soc: the chip, which says where they are.
        registers: the chip's.
        text: what the consoles print into.
        said_last_words: hears when code said on a console that it stops.
        reset: is told why the chip resets.
        trap: is told what a device was asked for and does not do.
    """
    for console in soc.consoles:
        registers.on_write[console] = text.console(said_last_words)
    registers.on_write[soc.reset_register] = Switch(
        registers.values, soc.reset_register, _SW_SYS_RST, lambda: reset(ResetReason.SW)
    )
    if soc.timer_group is not None:
        calibrates(soc.timer_group, registers, soc.fast_hz)
    if soc.sha is None:
        return
    if soc.sha.shared:
        SharedSha(soc.sha.base, registers, trap)
    else:
        Sha(soc.sha.base, registers, None, trap)
