"""What an app of an encrypting build says about the device before ``app_main``."""

from __future__ import annotations

import pytest

from py_esp_ota._core import EFuse
from py_esp_ota.chip import Chip
from py_esp_ota.idf.log import Log
from py_esp_ota.idf.startup import flash_encryption_init_checks
from py_esp_ota.sdkconfig import Sdkconfig

KEY = bytes(range(32))
DEVELOPMENT = "W (0) flash_encrypt: Flash encryption mode is DEVELOPMENT (not secure)"
RELEASE = "I (0) flash_encrypt: Flash encryption mode is RELEASE"
_SETTINGS = "Flash encryption settings error: app is configured for RELEASE but efuses are set for DEVELOPMENT"
_OPTIONS = "Mismatch found in security options in bootloader menuconfig and efuse settings. Device is not secure."
MISMATCH = [f"E (0) flash_encrypt: {_SETTINGS}", f"E (0) flash_encrypt: {_OPTIONS}"]


@pytest.mark.parametrize(
    ("chip", "counter", "build", "release", "lines"),
    [
        ("esp32c3", 1, True, False, [DEVELOPMENT]),
        ("esp32c3", 7, True, False, [RELEASE]),
        ("esp32c3", 7, True, True, [RELEASE]),
        ("esp32c3", 1, True, True, MISMATCH),
        ("esp32c3", 0, True, False, []),
        ("esp32c3", 1, False, False, []),
        ("esp32", 1, True, False, [DEVELOPMENT]),
        ("esp32", 0x7F, True, False, [RELEASE]),
    ],
)
def test_the_mode_of_flash_encryption(chip, counter, build, release, lines):
    fuses = {"flash_crypt_config": 0xF} if chip == "esp32" else {}
    efuse = EFuse(chip, flash_crypt_cnt=counter, flash_encryption_key=KEY, **fuses)
    config = Sdkconfig(secure_flash_enc_enabled=build, secure_flash_encryption_mode_release=release)
    log = Log(lambda: 0)
    flash_encryption_init_checks(Chip(chip, efuse=efuse), config, log)
    assert log.lines == lines
