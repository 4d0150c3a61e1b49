"""What runs before ``app_main``: the start-up code's own look at the app it is part of."""

from __future__ import annotations

from py_esp_ota._core import AppDesc
from py_esp_ota.chip import Chip
from py_esp_ota.errors import EspErr, OtaError
from py_esp_ota.idf.log import Log
from py_esp_ota.idf.ota_app import check_secure_version
from py_esp_ota.sdkconfig import Sdkconfig


def init_efuse_secure(chip: Chip, running: AppDesc, config: Sdkconfig, log: Log) -> None:
    """``init_efuse_secure`` (components/efuse/src/esp_efuse_startup.c): with anti-rollback, an old app does not start.

    Raises ``OtaError`` (ESP_FAIL); the chip resets then, and does so again for as long as this app is booted.
    """
    if config.bootloader_app_anti_rollback and not check_secure_version(chip, config, running.secure_version):
        log.error("efuse_init", "Incorrect secure version of app")
        what = "the app's secure version is {found}, expected at least {expected}"
        fact = {"field": "secure_version", "found": running.secure_version, "expected": chip.efuse.secure_version}
        raise OtaError(EspErr.ESP_FAIL, what, **fact)
