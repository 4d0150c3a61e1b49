"""One chip: what survives a reset. RAM, handles and running code do not, so they live nowhere here."""

from __future__ import annotations

from enum import IntEnum
from typing import Literal

from py_esp_ota._core import EFuse, Flash, Partition, Target, Verdict, verify_image
from py_esp_ota.sdkconfig import Sdkconfig


class ResetReason(IntEnum):
    """``soc_reset_reason_t`` (components/soc/<chip>/include/soc/reset_reasons.h): the causes that matter here."""

    POWERON = 1
    SW = 3
    DEEPSLEEP = 5


class Chip:
    """One chip of the family with its flash: what a programmer could take off the board and study."""

    def __init__(
        self,
        target: str = "esp32c3",
        *,
        flash: Flash | None = None,
        flash_size: int = 0x400000,
        efuse: EFuse | None = None,
    ) -> None:
        """A chip off the reel: erased flash of ``flash_size`` bytes unless ``flash`` is given, a revision apps accept.

        Raises ``ValueError`` for an unknown target or an impossible flash size.
        """
        self.target = Target(target)
        self.flash = Flash(flash_size) if flash is None else flash
        self.efuse = EFuse(target) if efuse is None else efuse
        self.reset_reason = ResetReason.POWERON

    def __repr__(self) -> str:
        return f"Chip({self.target.name!r}, flash_size=0x{self.flash.size:x})"

    def verify_image(
        self,
        partition: Partition,
        *,
        build: Literal["app", "bootloader"],
        mode: Literal["verify", "verify_silent", "load"],
        config: Sdkconfig,  # noqa: ARG002
    ) -> Verdict:
        """``esp_image_verify`` of one partition by this chip: its flash, its target, its eFuses.

        ``config``: how the app or bootloader that looks was built.

        Raises ``PowerLoss`` when the flash is dead.
        """
        return verify_image(
            self.flash,
            partition.offset,
            partition.size,
            chip=self.target.name,
            build=build,
            mode=mode,
            chip_revision=self.efuse.chip_revision,
            efuse_block_revision=self.efuse.block_revision,
        )
