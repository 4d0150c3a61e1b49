"""What ``load_image`` does before it starts an app: Secure Boot, then flash encryption, each for good.

Source: components/bootloader_support/src/bootloader_utility.c.
"""

from __future__ import annotations

from py_esp_ota._core import Partition
from py_esp_ota.errors import EspErr
from py_esp_ota.idf.bootloader.flash_encrypt import enable, encrypt_contents, encryption_state
from py_esp_ota.idf.bootloader.flash_keys import init
from py_esp_ota.idf.bootloader.run import Run
from py_esp_ota.idf.bootloader.secure_boot import permanently_enable
from py_esp_ota.idf.efuse import Batch

_APART = (
    "Secure Boot and Flash Encryption cannot be enabled separately, only together "
    "(their keys go into one eFuse key block)"
)


def enable_security(run: Run, app: Partition) -> bool:
    """Whether to go on with ``app``. ``run.encrypted_now`` asks for a reset first."""
    efuse, batch = run.chip.efuse, None
    if _burn_together(run):
        if efuse.secure_boot_en is not (efuse.flash_crypt_cnt != 0):
            run.log.error("boot", _APART)
            run.decide("load_image", _APART)
            return False
        if not (efuse.secure_boot_en and efuse.flash_encryption_enabled):
            batch = Batch(efuse, run.log)
    if not permanently_enable(run, app, None if batch is None else batch.efuse):
        return False
    return not run.config.secure_flash_enc_enabled or _encrypt(run, batch)


def _burn_together(run: Run) -> bool:
    """``SECURE_BOOT_FLASH_ENC_KEYS_BURN_TOGETHER``: a chip with one key block, and two keys to put there."""
    config = run.config
    return run.chip.target.name == "esp32c2" and config.secure_boot_v2_enabled and config.secure_flash_enc_enabled


def _encrypt(run: Run, batch: Batch | None) -> bool:
    """Steps 3 to 5: the key, the contents, the counter."""
    log = run.log
    log.info("boot", "Checking flash encryption...")
    if encryption_state(run):
        return True
    if run.config.secure_flash_require_already_enabled:
        text = "flash encryption is not enabled, and SECURE_FLASH_REQUIRE_ALREADY_ENABLED is set, refusing to boot."
        log.error("boot", text)
        run.decide("load_image", text)
        return False
    err = init(run, batch)
    if err != EspErr.ESP_OK:
        log.error("boot", f"Initialization of Flash Encryption key failed ({int(err)})")
        return False
    if batch is not None:
        batch.commit()
        run.wrote = True
        log.info("boot", "Secure boot permanently enabled")
    err = encrypt_contents(run)
    if err != EspErr.ESP_OK:
        log.error("boot", f"Encryption flash contents failed ({int(err)})")
        run.decide("esp_flash_encrypt_contents", f"{err.name}; the flash stays as far as it came")
        return False
    enable(run)
    run.encrypted_now = True
    log.info("boot", "Resetting with flash encryption enabled...")
    return True
