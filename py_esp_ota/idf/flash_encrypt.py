"""The bootloader's part in flash encryption: encrypt the flash in place at the first boot.

Source: components/bootloader_support/src/flash_encryption/flash_encrypt.c.
"""

from __future__ import annotations

from collections.abc import Iterable

from py_esp_ota._core import EFuse, FlashCrypt, Partition, verify_partition_table
from py_esp_ota.errors import EspErr, FlashError
from py_esp_ota.idf.boot_run import Run

_SECTOR = 0x1000
_TABLE_MAX_LEN = 0xC00
_APP, _DATA, _BOOTLOADER, _PARTITION_TABLE = range(4)
_ALWAYS = frozenset({0x00, 0x04, 0x90})  # data/ota, data/nvs_keys, data/tee_ota


def check_flash_encryption(run: Run, rows: Iterable[Partition]) -> bool:
    """``esp_flash_encrypt_check_and_update``: whether to go on. ``run.encrypted_now`` asks for a reset first.

    A chip makes up its key at this moment. Here the key is what the eFuses hold; without one the step fails as it does
    on a chip whose key block is in use for something else.
    """
    efuse, log = run.chip.efuse, run.log
    log.info("boot", "Checking flash encryption...")
    if efuse.flash_encryption_enabled:
        left = (_counter_bits(efuse) - efuse.flash_crypt_cnt.bit_count()) // 2
        log.info("flash_encrypt", f"flash encryption is enabled ({left} plaintext flashes left)")
        return True
    if run.config.secure_flash_require_already_enabled:
        text = "flash encryption is not enabled, and SECURE_FLASH_REQUIRE_ALREADY_ENABLED is set, refusing to boot."
        log.error("boot", text)
        run.decide("load_image", text)
        return False
    key = efuse.flash_encryption_key
    if key is None or efuse.flash_crypt_cnt.bit_count() == _counter_bits(efuse):
        log.error("boot", f"Initialization of Flash Encryption key failed ({int(EspErr.ESP_FAIL)})")
        run.decide(
            "esp_flash_encryption_init_checks", "the eFuses hold no flash encryption key, or no counter bit is left"
        )
        return False
    if efuse.chip == "esp32" and not efuse.flash_crypt_config:
        efuse.burn_flash_crypt_config(0xF)
    encrypt_contents(run, FlashCrypt(efuse.chip, key, flash_crypt_config=efuse.flash_crypt_config or 0xF), rows)
    efuse.burn_flash_crypt_cnt()
    run.wrote = run.encrypted_now = True
    log.info("boot", "Resetting with flash encryption enabled...")
    return True


def encrypt_contents(run: Run, engine: FlashCrypt, rows: Iterable[Partition]) -> None:
    """``esp_flash_encrypt_contents``: bootloader, partition table, then the partitions that are to be encrypted.

    Images are encrypted only if they verify as plain bytes, tables only if they are valid.
    """
    chip, config = run.chip, run.config
    start = chip.target.bootloader_offset
    loader = Partition("bootloader", _BOOTLOADER, 0, start, config.partition_table_offset - start)
    verdict = chip.verify_image(loader, build="bootloader", mode="verify_silent", config=config)
    if verdict.err == EspErr.ESP_OK:
        _encrypt_region(run, engine, start, verdict.image_len)
        run.decide("encrypt_bootloader", "bootloader encrypted")
    _encrypt_region(run, engine, config.partition_table_offset, _SECTOR)
    run.decide("encrypt_and_load_partition_table", "partition table encrypted")
    for row in rows:
        length = _length_to_encrypt(run, row)
        if length:
            _encrypt_region(run, engine, row.offset, length)
            run.decide("encrypt_partition", f"{row.label} encrypted")


def _length_to_encrypt(run: Run, row: Partition) -> int:
    """``should_encrypt`` and what it finds: bytes from the partition's start."""
    if row.type in {_APP, _BOOTLOADER}:
        verdict = run.chip.verify_image(row, build="bootloader", mode="verify_silent", config=run.config)
        if verdict.err != EspErr.ESP_OK:
            return 0
        only_image = run.config.secure_flash_encrypt_only_image_len_in_app_part and row.type == _APP
        return verdict.image_len if only_image else row.size
    if row.type == _PARTITION_TABLE:
        found = verify_partition_table(run.chip.flash.read(row.offset, _TABLE_MAX_LEN), run.chip.flash.size)
        return row.size if found.err == EspErr.ESP_OK else 0
    return row.size if row.encrypted or (row.type == _DATA and row.subtype in _ALWAYS) else 0


def _encrypt_region(run: Run, engine: FlashCrypt, start: int, length: int) -> None:
    """``esp_flash_encrypt_region``: sector by sector read, erase, write encrypted."""
    flash = run.chip.flash
    for address in range(start, start + length, _SECTOR):
        try:
            plain = flash.read(address, _SECTOR)
            flash.erase(address, _SECTOR)
            flash.program(address, engine.encrypt(address, plain))
        except FlashError:
            run.decide("esp_flash_encrypt_region", f"flash operation failed at 0x{address:x}")
            return


def _counter_bits(efuse: EFuse) -> int:
    return 7 if efuse.chip == "esp32" else 3
