"""``esp_image_format``: where a bootloader may lie (components/bootloader_support/src/esp_image_format.c)."""

from __future__ import annotations

from py_esp_ota.chip import Chip
from py_esp_ota.idf.efuse import knows_recovery_bootloader
from py_esp_ota.idf.log import Log
from py_esp_ota.sdkconfig import Sdkconfig

_TAG = "esp_image"


def say_bootloader_offset(chip: Chip, config: Sdkconfig, offset: int, log: Log) -> None:
    """What ``esp_image_bootloader_offset_set`` prints when a bootloader may lie at ``offset`` too."""
    primary, efuse = chip.target.bootloader_offset, chip.efuse
    log.info(_TAG, f"Bootloader offsets for PRIMARY: 0x{primary:x}, Secondary: 0x{offset:x}")
    if not knows_recovery_bootloader(chip.target.name, config):
        return
    if (address := efuse.recovery_bootloader_address) is not None:
        state = f"0x{address:x}"
    else:
        state = "is disabled" if efuse.recovery_bootloader_sector else "has not been set yet"
    log.info(_TAG, f"Bootloader offset for RECOVERY: {state}")
