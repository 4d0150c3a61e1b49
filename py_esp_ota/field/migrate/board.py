"""The device that migrates itself: which bootloader ROM starts, where that one looks for its table, and its app."""

from __future__ import annotations

from collections.abc import Mapping

from py_esp_ota._core import Partition
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.errors import FlashError
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.bootloader.rom import choose_bootloader
from py_esp_ota.idf.bootloader.start import BootReport
from py_esp_ota.idf.log import Log
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.sweep.life import Life

TABLE_MAX_LEN = 0xC00
_SECTOR, _FACES = 0x1000, 4


class Board(Life):
    """A ``Life`` that knows its bootloaders: ``loaders`` are the images that may start, each with how it was built.

    Without one the flash has no bootloader, and whatever starts it was built as ``config`` says. ``app_config`` is how
    the app was built that carries the migration out.
    """

    def __init__(
        self,
        chip: Chip,
        config: Sdkconfig,
        loaders: Mapping[bytes, Sdkconfig],
        app_config: Sdkconfig,
    ) -> None:
        super().__init__(chip, config)
        self.app_config = app_config
        #: The bootloader and the table by which the device has booted, as bytes.
        self.loader = b""
        self.table = b""
        self._loaders = loaders
        self._ops: OtaOps | None = None

    def _boot(self, reset: ResetReason) -> BootReport:
        self._ops = None
        config, why = self._starts()
        if config is None:
            self.boots.append(BootReport(False, None, "", (why,), (), None))
            return self.report
        self.config = config
        report = super()._boot(reset)
        self.table = self._mapped(config.partition_table_offset, TABLE_MAX_LEN)
        return report

    def _starts(self) -> tuple[Sdkconfig | None, str]:
        """How the bootloader was built that ROM starts; ``None``: none starts, and why."""
        if not self._loaders:
            return self.config, ""
        started = choose_bootloader(self.chip, self.config)
        if started.address is None:
            return None, started.why[-1]
        # Weak cells show each look another face, and ROM has seen one that it takes: it is in RAM by now.
        for _ in range(_FACES):
            head = self._mapped(started.address, _SECTOR)
            for image, config in self._loaders.items():
                if head[: len(image)] == image[:_SECTOR] and self._goes_on(started.address, image):
                    self.loader = image
                    return config, ""
        return None, f"ROM: what lies at 0x{started.address:x} is no whole bootloader"

    def _goes_on(self, address: int, image: bytes) -> bool:
        """Whether the sectors behind the first are of this image; behind one that differs none is looked at."""
        return all(
            self._mapped(address + at, len(image[at : at + _SECTOR])) == image[at : at + _SECTOR]
            for at in range(_SECTOR, len(image), _SECTOR)
        )

    def _mapped(self, address: int, length: int) -> bytes:
        try:
            return self.flash.mmap(address, length)
        except FlashError:
            return b""

    @property
    def ops(self) -> OtaOps:
        """The running app's ``esp_ota_ops``, its flash driver's guard switched off."""
        if self._ops is None:
            self._ops = OtaOps(self.chip, self.running, self.app_config, Log(lambda: 0))
            self._ops.flash.set_dangerous_write_protection(False)
        return self._ops

    @property
    def running(self) -> Partition:
        """Where the running app lies. Nothing runs, nobody asks."""
        if self.report.partition is None:
            raise AssertionError
        return self.report.partition
