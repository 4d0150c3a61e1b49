"""The lines of a bootloader's console, made comparable."""

from __future__ import annotations

import re
from collections.abc import Iterable

_OF_ONE_BUILD = ("abort() was called at PC", "Assert failed in", "I boot: compile time ", "I boot: ESP-IDF v")
#: What no chip would say: a register that keeps its word in a reset, and that our machine forgets.
_OF_THE_MACHINE = (
    "W rtc_clk: invalid RTC_XTAL_FREQ_REG value",
    "W rtc_clk: Bogus XTAL freq: 0MHz",
    # Its crystal has 40 MHz, whatever a build was made for.
    "W rtc_clk_init: Possibly invalid CONFIG_XTAL_FREQ setting",
    # Where a core was when a watchdog reset it.
    "W boot.esp32: WDT rst info: ",
    "W boot.esp32: WDT reset info: ",
    "W boot.esp32s2: WDT reset info: ",
)


def plain(lines: Iterable[str]) -> tuple[str, ...]:
    """Lines without their time stamps, which nothing on either side measures, and their colours."""
    return tuple(re.sub(r"^(\w) \(\d+\) ", r"\1 ", re.sub(r"\x1b\[[\d;]*m", "", line)) for line in lines)


def essential(lines: Iterable[str]) -> tuple[str, ...]:
    """Plain lines without what is another in each build: its version and its age, which its header may not have, and
    the place that ``abort`` and ``assert`` name in their last words; and without what only our machine makes it say.
    """
    return tuple(line for line in lines if not line.startswith(_OF_ONE_BUILD + _OF_THE_MACHINE))
