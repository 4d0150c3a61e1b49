"""Which engine runs a chip."""

from __future__ import annotations

from typing import Literal, get_args

from py_esp_ota.silicon.engines.engine import Bus, Engine

#: ``auto``: ``AUTO``, here.
EngineName = Literal["auto", "unicorn", "core"]
AUTO: EngineName = "core"
ENGINES: tuple[EngineName, ...] = get_args(EngineName)


def engine_of(name: EngineName, chip: str, bus: Bus, *, count: bool) -> Engine:
    """An engine of this name for ``chip``; ``count`` asks for a count of instructions. Raises ``ValueError``."""
    name = AUTO if name == "auto" else name
    if name == "core":
        from py_esp_ota.silicon.engines.core import Core  # noqa: PLC0415 (one engine does not need the other)

        return Core(chip, bus)
    if name == "unicorn":
        from py_esp_ota.silicon.engines.unicorn import Unicorn  # noqa: PLC0415 (an extra)

        return Unicorn(bus, count=count)
    raise ValueError(f"no engine {name!r}; engines are {', '.join(ENGINES)}")
