"""What the exceptions of a core are, by their numbers: RISC-V's ``mcause``, Xtensa's ``EXCCAUSE``."""

from __future__ import annotations

from collections.abc import Mapping

from py_esp_ota.silicon.chips.soc import Core

_RISCV: Mapping[int, str] = {
    0: "misaligned instruction address",
    1: "instruction access fault",
    2: "illegal instruction",
    3: "breakpoint",
    4: "misaligned load",
    5: "load access fault",
    6: "misaligned store",
    7: "store access fault",
    8: "environment call",
    11: "environment call",
}
_XTENSA: Mapping[int, str] = {
    0: "illegal instruction",
    2: "instruction fetch error",
    3: "load or store error",
    6: "division by zero",
    8: "privileged instruction",
    9: "unaligned load or store",
    20: "instruction fetch prohibited",
    28: "load prohibited",
    29: "store prohibited",
    **{32 + number: f"coprocessor {number} is off" for number in range(8)},
    64: "breakpoint",
}
_NAMES: Mapping[Core, Mapping[int, str]] = {"riscv": _RISCV, "lx6": _XTENSA, "lx7": _XTENSA}
_ILLEGAL: Mapping[Core, int] = {"riscv": 2, "lx6": 0, "lx7": 0}


def cause_of(core: Core, cause: int) -> str:
    """What happened."""
    return _NAMES[core].get(cause, f"exception {cause}")


def is_illegal(core: Core, cause: int) -> bool:
    """Whether it was an instruction that does not exist."""
    return cause == _ILLEGAL[core]
