"""Boots of one world: a bootloader that finds what it found before does again what it did.

A board boots some twenty times in a world, at most looks once on a copy of its flash, and half of that is no news.
"""

from __future__ import annotations

from dataclasses import dataclass

from py_esp_ota._core import EFuse, Flash, Sectors
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.idf.bootloader.start import BootReport, boot
from py_esp_ota.sdkconfig import Sdkconfig

_KEPT = 16


@dataclass(frozen=True, slots=True)
class Booted:
    """How a boot ended, and the sectors that it depended on."""

    report: BootReport
    needed: Sectors


@dataclass(frozen=True, slots=True)
class _Known:
    """A boot that changed neither flash nor fuses: from what it began, and what it came to."""

    reset: ResetReason
    rtc: bytes
    efuse: EFuse
    flash: Flash
    booted: Booted
    left: tuple[ResetReason, bytes]  # the same two when it was over

    def stands_for(self, chip: Chip) -> bool:
        """Whether this chip's next boot cannot but come to the same."""
        return (
            chip.reset_reason == self.reset
            and chip.rtc == self.rtc
            and chip.efuse == self.efuse
            and chip.flash.same(self.flash, self.booted.needed)
        )


class Boots:
    """The boots of boards with one build: no pins are held, nobody glitches what judges, nobody listens to a UART."""

    def __init__(self, config: Sdkconfig) -> None:
        self._config = config
        self._known: list[_Known] = []

    def boot(self, chip: Chip) -> Booted:
        """``call_start_cpu0``, if this boot is a new one. Raises ``PowerLoss`` when the power goes.

        From here on the chip's flash notes what is needed of it, besides what is said to be.
        """
        flash = chip.flash
        known = next((known for known in self._known if known.stands_for(chip)), None)
        if known is not None:
            chip.latch_efuses()
            chip.reset_reason, chip.rtc = known.left
            flash.watch()
            return known.booted
        reset, rtc, efuse, before = chip.reset_reason, chip.rtc, chip.efuse.copy(), flash.fork()
        flash.watch()
        report = boot(chip, self._config)
        booted = Booted(report, flash.needed())
        # Weak cells are never the same.
        if flash.operations == before.operations and chip.efuse == efuse and flash.same(before, booted.needed):
            left = chip.reset_reason, chip.rtc
            self._known = [_Known(reset, rtc, efuse, before, booted, left), *self._known[: _KEPT - 1]]
        return booted
