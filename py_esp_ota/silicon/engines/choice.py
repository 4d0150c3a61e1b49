"""Which engine runs a chip."""

from __future__ import annotations

from typing import Literal, get_args

from py_esp_ota.extras import missing
from py_esp_ota.silicon.engines.engine import Bus, Engine

#: ``auto``: the first that can run the chip here.
EngineName = Literal["auto", "unicorn", "core"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)


def engine_of(name: EngineName, bus: Bus, *, count: bool) -> Engine:
    """An engine of this name; ``count``: it counts instructions. Raises ``ValueError`` for one that is not here."""
    if name in {"auto", "unicorn"}:
        try:
            from py_esp_ota.silicon.engines.unicorn import Unicorn  # noqa: PLC0415 (an extra)
        except ModuleNotFoundError as error:
            raise missing("machine code", "silicon", error) from None
        return Unicorn(bus, count=count)
    raise ValueError(f"no engine {name!r}; engines are {', '.join(ENGINES)}")
