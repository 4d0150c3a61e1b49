"""A console as it is compared: the lines of ESP-IDF's log, without what two runs of one boot differ in."""

from __future__ import annotations

import re
from collections.abc import Iterable

_STAMP = re.compile(r"^([EWIDV]) \(\d+\) ")
_PASSED_OVER = ("qio_mode:", "boot: ESP-IDF ", "boot: compile time ")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def lines_of(log: Iterable[str]) -> list[str]:
    """The lines of ESP-IDF's log, without colours and times; what else is on a console is passed over.

    So are those about the flash chip's own modes, which the model does not have, and the two that name the build, which
    its image may not tell.
    """
    plain = (_COLOUR.sub("", line) for text in log for line in text.splitlines())
    stamped = (_STAMP.sub(r"\1 ", line) for line in plain if _STAMP.match(line))
    return [line for line in stamped if not line.startswith(_PASSED_OVER, 2)]
