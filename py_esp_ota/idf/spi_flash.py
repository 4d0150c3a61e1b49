"""``esp_flash`` as an app sees it: the main flash chip behind the guard that keeps an app from sawing off its branch.

The bootloader and a programmer have no such guard; they use ``Flash`` itself.
"""

from __future__ import annotations

from py_esp_ota._core import Flash, Partition, PartitionTable
from py_esp_ota.errors import EspErr, FlashError, Restart
from py_esp_ota.sdkconfig import Sdkconfig

_TABLE_MAX_LEN = 0xC00


class SpiFlash:
    """The main flash of one running app (components/spi_flash/spi_flash_os_func_app.c)."""

    def __init__(self, flash: Flash, config: Sdkconfig, table: PartitionTable, running: Partition) -> None:
        self.chip = flash
        self._config = config
        self._running = running
        self._readonly = [row for row in table if row.readonly]
        self._protected = not config.spi_flash_dangerous_write_allowed

    def set_dangerous_write_protection(self, protect: bool) -> None:
        """``esp_flash_set_dangerous_write_protection``: of no effect in builds that allow dangerous writes."""
        self._protected = protect and not self._config.spi_flash_dangerous_write_allowed

    def read(self, address: int, length: int) -> bytes:
        """``esp_flash_read``. Raises ``FlashError`` (ESP_ERR_INVALID_ARG), ``PowerLoss``."""
        return self.chip.read(address, length)

    def write(self, address: int, data: bytes) -> None:
        """``esp_flash_write``. Raises ``FlashError``, ``Restart``, ``PowerLoss``."""
        self.check_region(address, len(data))
        self.chip.program(address, data)

    def erase_region(self, address: int, length: int) -> None:
        """``esp_flash_erase_region``. Raises ``FlashError``, ``Restart``, ``PowerLoss``."""
        self.check_region(address, length)
        self.chip.erase(address, length)

    def erase_chip(self) -> None:
        """``esp_flash_erase_chip``: it always meets the guard."""
        self.erase_region(0, self.chip.size)

    def check_region(self, address: int, length: int) -> None:
        """``main_flash_region_protected``: before bounds, alignment and a length of 0 are looked at.

        Raises:
            FlashError: ESP_ERR_NOT_ALLOWED in a read-only partition; ESP_ERR_INVALID_ARG for a dangerous region in
                builds that let the call fail (``SPI_FLASH_DANGEROUS_WRITE_FAILS``).
            Restart: a dangerous region in all other builds: ``abort()``.
        """
        if not self.chip.powered:
            return  # nobody asks any more: the call itself says that the device is dead
        for row in self._readonly:
            if _touches(row, address, length):
                raise _refused(EspErr.ESP_ERR_NOT_ALLOWED, address, f"read-only partition {row.label}")
        danger = self._danger(address, length) if self._protected else ""
        if danger and self._config.spi_flash_dangerous_write_fails:
            raise _refused(EspErr.ESP_ERR_INVALID_ARG, address, danger)
        if danger:
            raise Restart(f"abort() in main_flash_region_protected: 0x{address:x} is in the {danger}")

    def _danger(self, address: int, length: int) -> str:
        """``esp_partition_main_flash_region_safe``: what an app would destroy there, if anything."""
        if address <= self._config.partition_table_offset + _TABLE_MAX_LEN:
            return "bootloader or partition table"
        return f"running app {self._running.label}" if _touches(self._running, address, length) else ""


def _touches(row: Partition, address: int, length: int) -> bool:
    """Whether a region starts in a partition, even with no length, or reaches into it."""
    return address < row.offset + row.size and (address >= row.offset or address + length > row.offset)


def _refused(err: EspErr, address: int, found: str) -> FlashError:
    return FlashError(
        err,
        "write to the {found} at {offset:#x}, expected {expected}",
        field="address",
        offset=address,
        found=found,
        expected="a region that an app may change",
    )
