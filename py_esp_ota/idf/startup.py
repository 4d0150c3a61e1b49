"""What runs before ``app_main``: the start-up code's own look at the app it is part of."""

from __future__ import annotations

from py_esp_ota._core import AppDesc
from py_esp_ota.chip import Chip
from py_esp_ota.errors import EspErr, OtaError
from py_esp_ota.idf.bootloader.flash_encrypt import counter_bits
from py_esp_ota.idf.efuse import check_secure_version
from py_esp_ota.idf.log import Log
from py_esp_ota.sdkconfig import Sdkconfig

_FLASH_ENCRYPT = "flash_encrypt"


def flash_encryption_init_checks(chip: Chip, config: Sdkconfig, log: Log) -> None:
    """``esp_flash_encryption_init_checks``: an app of an encrypting build says how safe the device is.

    The mode is told by the counter alone: all of its bits are burnt in release mode. The fuses that close the download
    mode, which upstream asks as well, are not modelled.
    """
    if not (config.secure_flash_enc_enabled and chip.efuse.flash_encryption_enabled):
        return
    released = chip.efuse.flash_crypt_cnt.bit_count() == counter_bits(chip.efuse)
    if released:
        log.info(_FLASH_ENCRYPT, "Flash encryption mode is RELEASE")
    elif not config.secure_flash_encryption_mode_release:
        log.warning(_FLASH_ENCRYPT, "Flash encryption mode is DEVELOPMENT (not secure)")
    else:
        text = "Flash encryption settings error: app is configured for RELEASE but efuses are set for DEVELOPMENT"
        log.error(_FLASH_ENCRYPT, text)
        text = "Mismatch found in security options in bootloader menuconfig and efuse settings. Device is not secure."
        log.error(_FLASH_ENCRYPT, text)


def init_efuse_secure(chip: Chip, running: AppDesc, config: Sdkconfig, log: Log) -> None:
    """``init_efuse_secure`` (components/efuse/src/esp_efuse_startup.c): with anti-rollback, an old app does not start.

    Raises ``OtaError`` (ESP_FAIL); the chip resets then, and does so again for as long as this app is booted.
    """
    if config.bootloader_app_anti_rollback and not check_secure_version(chip.efuse, config, running.secure_version):
        log.error("efuse_init", "Incorrect secure version of app")
        what = "the app's secure version is {found}, expected at least {expected}"
        fact = {"field": "secure_version", "found": running.secure_version, "expected": chip.efuse.secure_version}
        raise OtaError(EspErr.ESP_FAIL, what, **fact)
