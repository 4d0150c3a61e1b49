"""What one virtual node is made of, as the small document that is kept of it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from py_esp_ota.cloud.virtual_nodes import Power


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One virtual node but for its flash."""

    node_id: str
    firmware: str  # SHA-256 of the image it left the factory with, hex
    partitions: str  # a built-in table
    name: str
    type: str
    rollback: bool
    power: Power = "on"
    weather: str = ""

    def to_json(self) -> bytes:
        """The document."""
        return json.dumps(asdict(self), indent=2).encode() + b"\n"

    @staticmethod
    def from_json(data: bytes, what: str) -> Recipe:
        """Read one. Raises ``ValueError`` with one sentence about ``what``."""
        try:
            document: dict[str, Any] = json.loads(data)
            recipe = Recipe(**document)
        except (ValueError, TypeError, RecursionError):
            raise ValueError(f"{what} is not what was kept of a virtual node: move it away") from None
        kinds = {"str": str, "bool": bool, "Power": str}
        if not all(isinstance(getattr(recipe, each.name), kinds[str(each.type)]) for each in fields(recipe)):
            raise ValueError(f"{what} is not what was kept of a virtual node: move it away")
        return recipe
