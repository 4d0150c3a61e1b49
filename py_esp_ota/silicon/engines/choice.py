"""Which engine runs a chip."""

from __future__ import annotations

from typing import Literal, get_args

from py_esp_ota.extras import missing
from py_esp_ota.silicon.chips.soc import Soc
from py_esp_ota.silicon.engines.core import Core
from py_esp_ota.silicon.engines.engine import Bus, Engine

#: ``auto``: ``AUTO``, or for a chip that it does not have the core.
EngineName = Literal["auto", "core", "unicorn"]
AUTO: EngineName = "core"
ENGINES: tuple[EngineName, ...] = get_args(EngineName)


def engine_of(name: EngineName, soc: Soc, bus: Bus, *, count: bool) -> Engine:
    """An engine of this name for such a chip; ``count`` asks for a count of instructions.

    Raises ``ValueError`` for an engine that there is not or that does not have the chip's CPU, ``ModuleNotFoundError``
    for one that is not installed.
    """
    if name == "auto":
        name = AUTO if soc.core == "riscv" else "core"
    if name == "core":
        return Core(soc.name, bus)
    if name != "unicorn":
        raise ValueError(f"no engine {name!r}; engines are {', '.join(ENGINES)}")
    if soc.core != "riscv":
        raise ValueError(f"{soc.name} has Xtensa cores, which Unicorn does not run; the engine core does")
    try:
        from py_esp_ota.silicon.engines.unicorn import Unicorn  # noqa: PLC0415 (an extra)
    except ModuleNotFoundError as error:
        raise missing("the engine unicorn", "silicon", error) from None
    return Unicorn(bus, count=count)
