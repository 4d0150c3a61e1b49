"""Devices that are made alike: one flash to fork, one plan of what goes wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from py_esp_ota._core import EFuse, Flash, PartitionTable
from py_esp_ota.device import Device, Doors
from py_esp_ota.exposed import Exposed
from py_esp_ota.faults import Plan
from py_esp_ota.sdkconfig import Sdkconfig


@dataclass(frozen=True, eq=False)
class Breed:
    """What devices are made of."""

    table: PartitionTable
    flash: Flash  # as it left the factory
    firmware: bytes  # that is in it
    config: Sdkconfig
    plan: Plan
    efuse: EFuse | None = None

    def make(self, node_id: str, doors: Doors, console: Callable[[str], None] | None = None) -> Exposed:
        """One of them, not switched on, behind these doors. Raises ``ValueError``: the firmware does not fit."""
        make: Callable[..., Device] = partial(
            Device,
            self.table,
            firmware=self.firmware,
            efuse=self.efuse,
            config=self.config,
            node_id=node_id,
            console=console,
        )
        exposed = Exposed(self.table, doors, make)
        exposed.device.chip.flash = self.flash.fork()
        exposed.suffer(self.plan)
        return exposed
