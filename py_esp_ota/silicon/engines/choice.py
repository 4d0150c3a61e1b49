"""Which engine runs a chip."""

from __future__ import annotations

from typing import Literal, get_args

from py_esp_ota.silicon.chips.soc import Soc
from py_esp_ota.silicon.engines.engine import Bus, Engine

#: ``auto``: ``AUTO``, here.
EngineName = Literal["auto", "unicorn", "core"]
AUTO: EngineName = "core"
ENGINES: tuple[EngineName, ...] = get_args(EngineName)


def engine_of(name: EngineName, soc: Soc, bus: Bus, *, count: bool) -> Engine:
    """An engine of this name for such a chip; ``count``: it counts instructions.

    Raises ``ValueError`` for one that is not here, or does not have the chip's CPU.
    """
    name = AUTO if name == "auto" else name
    if name == "core":
        from py_esp_ota.silicon.engines.core import Core  # noqa: PLC0415 (one engine does not need the other)

        return Core(soc.name, bus)
    if name == "unicorn":
        if soc.core != "riscv":
            raise ValueError(f"{soc.name} has Xtensa cores, which Unicorn does not run; the engine core does")
        from py_esp_ota.silicon.engines.unicorn import Unicorn  # noqa: PLC0415 (an extra)

        return Unicorn(bus, count=count)
    raise ValueError(f"no engine {name!r}; engines are {', '.join(ENGINES)}")
