"""Devices that are made alike: one flash to fork, one plan of what goes wrong."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

from py_esp_ota._core import EFuse, Flash, PartitionTable
from py_esp_ota.device import Device, Diagnostics, Doors
from py_esp_ota.exposed import Exposed
from py_esp_ota.faults import Plan
from py_esp_ota.sdkconfig import Sdkconfig


@dataclass(frozen=True, eq=False)
class Breed:
    """What devices are made of.

    Raises ``ValueError`` at the first device: the firmware does not fit.
    """

    table: PartitionTable
    firmware: bytes
    config: Sdkconfig
    plan: Plan
    efuse: EFuse | None = None
    bootloader: bytes | None = None
    ota_diag: Diagnostics | None = None

    @cached_property
    def flash(self) -> Flash:
        """As it left the factory."""
        return self._device("").flash

    def make(self, node_id: str, doors: Doors) -> Exposed:
        """One of them, not switched on, behind these doors."""
        exposed = Exposed(self.table, doors, partial(self._device, node_id), ota_diag=self.ota_diag)
        exposed.device.chip.flash = self.flash.fork()
        exposed.suffer(self.plan)
        return exposed

    def _device(self, node_id: str, **told: Diagnostics) -> Device:
        return Device(
            self.table,
            firmware=self.firmware,
            bootloader=self.bootloader,
            efuse=self.efuse,
            config=self.config,
            node_id=node_id,
            **told,
        )
