"""Where a power cut can fall, and how it can leave the cells."""

from __future__ import annotations

from typing import Literal

from py_esp_ota._core import FlashOp

Tears = Literal["clean", "torn"]

#: A cut falls before an operation, or right behind it, so that nothing after it happens, or tears it.
CLEAN = ("", ":after")
TORN = {
    "program": (":torn-program", ":tail-program", ":bits-program", ":weak-program"),
    "erase": (":torn-erase", ":bits-erase", ":zero-erase", ":weak-erase"),
}
#: An otadata entry is seq, label, state and CRC: cuts behind the first, behind the state, and within the CRC.
_OTADATA_PREFIXES = (":torn-program/4", ":torn-program/28", ":torn-program/30")
_OTADATA_ENTRY = 32


def tears_of(operation: FlashOp, tears: Tears) -> tuple[str, ...]:
    """The ways to cut one operation."""
    if tears == "clean":
        return CLEAN
    if operation.kind == "program" and operation.length == _OTADATA_ENTRY:
        return CLEAN + TORN["program"] + _OTADATA_PREFIXES
    return CLEAN + TORN[operation.kind]
