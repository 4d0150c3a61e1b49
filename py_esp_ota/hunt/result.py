"""What a world came to, and what many of them came to: values, merged in any order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from py_esp_ota.hunt.stage import Breach
from py_esp_ota.hunt.world import World

Heard = Callable[[float, int, str], None]
"""Told of each line of a console: the second, the board's number, the line."""


@dataclass(frozen=True, slots=True)
class Run:
    """One world, played to its end or to its first breach.

    ``chips_own`` are the upstream functions that broke a promise themselves; ``seconds`` is how long it took by its
    own clock.
    """

    world: World
    breach: Breach | None
    marks: frozenset[str]
    chips_own: frozenset[str]
    seconds: float
