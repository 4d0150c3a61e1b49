"""A console as it is compared: the lines of ESP-IDF's log, without what two runs of one boot differ in."""

from __future__ import annotations

import re
from collections.abc import Iterable

_STAMP = re.compile(r"^([EWIDV]) \(\d+\) ")
_PASSED_OVER = ("qio_mode:", "boot: ESP-IDF ", "boot: compile time ")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


#: ROM's lines that say what it found and did; its own name and its pins are another's business.
_OF_ROM = ("rst:", "SPIWP:", "configsip:", "clk_drv:", "mode:", "SPI mode:", "load:0x", "entry 0x")
_STRAPS = re.compile(r",boot:0x\w+ \(.*\)$")


def rom_lines_of(console: Iterable[str]) -> list[str]:
    """What ROM says of the first reset and the bootloader that it loads."""
    lines = []
    for line in console:
        if line.startswith(_OF_ROM):
            lines.append(_STRAPS.sub("", line))
        if line.startswith("entry 0x"):
            break
    return lines


def lines_of(log: Iterable[str]) -> list[str]:
    """The lines of ESP-IDF's log, without colours and times; what else is on a console is passed over.

    So are those about the flash chip's own modes, which the model does not have, and the two that name the build, which
    its image may not tell.
    """
    plain = (_COLOUR.sub("", line) for text in log for line in text.splitlines())
    stamped = (_STAMP.sub(r"\1 ", line) for line in plain if _STAMP.match(line))
    return [line for line in stamped if not line.startswith(_PASSED_OVER, 2)]
