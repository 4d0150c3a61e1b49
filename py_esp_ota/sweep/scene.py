"""What a story is played with."""

from __future__ import annotations

from dataclasses import dataclass, field

from py_esp_ota._core import AppDesc, EFuse, Flash, PartitionTable, inspect_image
from py_esp_ota.chip import Chip
from py_esp_ota.device import Device
from py_esp_ota.faults import Plan
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.sweep.life import Life


@dataclass(frozen=True, slots=True)
class Scene:
    """What a story is played with: two images, a table, a build.

    ``bootloader`` is an image to flash beside them; the model of the bootloader boots without one. ``weather`` is what
    goes wrong with network, MQTT and clock of the agent's job, each time it is told. ``recovery`` is an app that is
    flashed in the place of ``old``, for a board that has one beside it: it may run as well.
    """

    old: bytes
    new: bytes
    partitions: PartitionTable | str = "two_ota"
    config: Sdkconfig = field(default_factory=Sdkconfig)
    efuse: EFuse | None = None
    weather: Plan = field(default_factory=Plan)
    bootloader: bytes | None = None
    recovery: bytes = b""

    def __repr__(self) -> str:
        names = [f"{desc.project_name} {desc.version}" if desc else "?" for desc in map(_desc, (self.old, self.new))]
        return f"<Scene {' -> '.join(names)}, {self.partitions!r}>"

    def life(self) -> Life:
        """A device from the factory with ``old`` on it, without power. As on chips, bits of a program only ever clear.

        Raises ``ValueError`` when ``old`` does not fit, or names no known chip.
        """
        device = Device(
            self.partitions,
            firmware=self.recovery or self.old,
            bootloader=self.bootloader,
            config=self.config,
            efuse=self.efuse and self.efuse.copy(),
        )
        made = device.chip
        flash = Flash.from_bytes(made.flash.to_bytes(), size=made.flash.size, strict=False)
        flash.power_off()
        return Life(Chip(made.target.name, flash=flash, efuse=made.efuse), self.config, self.new)

    @property
    def table(self) -> PartitionTable:
        """The partition table itself."""
        return PartitionTable.builtin(self.partitions) if isinstance(self.partitions, str) else self.partitions

    @property
    def new_version(self) -> str:
        """What the new image calls itself, ``""`` without a descriptor."""
        desc = _desc(self.new)
        return desc.version if desc else ""


def _desc(image: bytes) -> AppDesc | None:
    return inspect_image(image).app_desc
