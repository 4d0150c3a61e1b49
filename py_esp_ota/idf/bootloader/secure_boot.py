"""The bootloader's part in Secure Boot V2: burn the keys at the first boot.

Source: components/bootloader_support/src/secure_boot_v2/secure_boot.c.
"""

from __future__ import annotations

from py_esp_ota._core import EFuse, Partition, enable_secure_boot
from py_esp_ota.errors import EspErr
from py_esp_ota.idf.bootloader.run import Run

_TAG = "secure_boot_v2"
_BOOTLOADER = 2


def permanently_enable(run: Run, app: Partition, batch: EFuse | None = None) -> bool:
    """``esp_secure_boot_v2_permanently_enable`` for the app that was loaded: whether to go on.

    Nothing is burnt unless bootloader and app are signed and share a key, and then in ``batch`` if there is one: the
    caller says the last line when that is burnt. Builds without Secure Boot V2 go on.
    """
    scheme = run.config.signature_scheme
    if not run.config.secure_boot_v2_enabled or scheme is None or scheme == "ecdsa_v1":
        return True
    chip, config, log = run.chip, run.config, run.log
    start = chip.target.bootloader_offset
    loader = Partition("bootloader", _BOOTLOADER, 0, start, config.partition_table_offset - start)
    log.info(_TAG, "enabling secure boot v2...")
    if chip.efuse.secure_boot_en:
        log.info(_TAG, "secure boot v2 is already enabled, continuing..")
        return True
    if config.secure_boot_require_already_enabled:
        log.error(_TAG, "secure boot is not enabled, and SECURE_BOOT_REQUIRE_ALREADY_ENABLED is set, refusing to boot.")
        return _failed(run, EspErr.ESP_ERR_INVALID_STATE, "SECURE_BOOT_REQUIRE_ALREADY_ENABLED")
    verdict = chip.verify_image(loader, build="bootloader", mode="verify", config=config)
    log.core(verdict.log)
    if verdict.err != EspErr.ESP_OK:
        log.error(_TAG, f"bootloader image appears invalid! error {int(verdict.err)}")
        return _failed(run, verdict.err, "the bootloader is not valid")
    said = enable_secure_boot(
        chip.flash,
        chip.efuse if batch is None else batch,
        bootloader=(loader.offset, loader.size),
        app=(app.offset, app.size),
        scheme=scheme,
        allow_unused_slots=config.secure_boot_allow_unused_digest_slots,
        aggressive_revoke=config.secure_boot_enable_aggressive_key_revoke,
    )
    if said.err != EspErr.ESP_OK:
        log.core(said.log[1:])
        return _failed(run, said.err, said.detail)
    log.core(said.log[1:] if batch is None else said.log[1:-1])
    run.decide("esp_secure_boot_v2_permanently_enable", "keys burnt, secure boot is on for good")
    return True


def _failed(run: Run, err: EspErr, why: str) -> bool:
    run.log.error("boot", f"Secure Boot v2 failed ({int(err)})")
    run.decide("esp_secure_boot_v2_permanently_enable", why)
    return False
