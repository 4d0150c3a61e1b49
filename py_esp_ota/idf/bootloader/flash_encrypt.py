"""The bootloader's part in flash encryption: encrypt the flash in place at the first boot.

Source: components/bootloader_support/src/flash_encryption/flash_encrypt.c. Lines about fuses that are not modelled
(download mode, JTAG, the batch that burns them) are not printed.
"""

from __future__ import annotations

from py_esp_ota._core import EFuse, FlashCrypt, Partition, verify_partition_table
from py_esp_ota.errors import EspErr, FlashError
from py_esp_ota.idf.bootloader.run import Run

_TAG = "flash_encrypt"
_SECTOR = 0x1000
_TABLE_MAX_LEN = 0xC00
_APP, _DATA, _BOOTLOADER, _PARTITION_TABLE = range(4)
_CRYPT_CONFIG = 0xF
_ALWAYS = frozenset({0x00, 0x04, 0x90})  # data/ota, data/nvs_keys, data/tee_ota


def check_flash_encryption(run: Run) -> bool:
    """The flash encryption steps of ``load_image`` (components/bootloader_support/src/bootloader_utility.c).

    Returns whether to go on with this image. ``run.encrypted_now`` asks for a reset first. A chip makes up its key at
    this moment; here the key is what the eFuses hold, and without one the step fails as where no key can be had.
    """
    efuse, log = run.chip.efuse, run.log
    if not run.config.secure_flash_enc_enabled:
        return True
    log.info("boot", "Checking flash encryption...")
    if efuse.flash_encryption_enabled:
        left = (counter_bits(efuse) - efuse.flash_crypt_cnt.bit_count()) // 2
        log.info(_TAG, f"flash encryption is enabled ({left} plaintext flashes left)")
        return True
    if run.config.secure_flash_require_already_enabled:
        text = "flash encryption is not enabled, and SECURE_FLASH_REQUIRE_ALREADY_ENABLED is set, refusing to boot."
        log.error("boot", text)
        run.decide("load_image", text)
        return False
    engine = _init(run)
    if engine is None:
        log.error("boot", f"Initialization of Flash Encryption key failed ({int(EspErr.ESP_FAIL)})")
        return False
    err = encrypt_contents(run, engine)
    if err != EspErr.ESP_OK:
        log.error("boot", f"Encryption flash contents failed ({int(err)})")
        run.decide("esp_flash_encrypt_contents", f"{err.name}; the flash stays as far as it came")
        return False
    _enable(run)
    run.encrypted_now = True
    log.info("boot", "Resetting with flash encryption enabled...")
    return True


def _init(run: Run) -> FlashCrypt | None:
    """``esp_flash_encrypt_init``: the key, and on ESP32 which of its bits the address flips."""
    efuse = run.chip.efuse
    key = efuse.flash_encryption_key
    if key is None:
        run.decide("esp_flash_encrypt_init", "the eFuses hold no flash encryption key, and none is made up here")
        return None
    if efuse.flash_crypt_cnt == 0:
        run.log.info(_TAG, "Using pre-loaded flash encryption key in efuse")
        if efuse.chip == "esp32":
            run.log.info(_TAG, f"Setting CRYPT_CONFIG efuse to 0x{_CRYPT_CONFIG:X}")
            if efuse.flash_crypt_config == 0:
                efuse.burn_flash_crypt_config(_CRYPT_CONFIG)
                run.wrote = True
            elif efuse.flash_crypt_config != _CRYPT_CONFIG:
                text = f"EFUSE_ENCRYPT_CONFIG should be set 0xF but it is 0x{efuse.flash_crypt_config:x}"
                run.log.error(_TAG, text)  # and goes on with what is burnt
    return FlashCrypt(efuse.chip, key, flash_crypt_config=efuse.flash_crypt_config)


def _enable(run: Run) -> None:
    """``esp_flash_encrypt_enable``: one counter bit more, or all of them in release mode."""
    efuse = run.chip.efuse
    if run.config.secure_flash_encryption_mode_release:
        run.log.info(_TAG, "Setting CRYPT_CNT for permanent encryption")
        while efuse.flash_crypt_cnt.bit_count() < counter_bits(efuse):
            efuse.burn_flash_crypt_cnt()
    else:
        efuse.burn_flash_crypt_cnt()
    run.wrote = True
    run.decide("esp_flash_encrypt_enable", f"flash encryption counter = 0x{efuse.flash_crypt_cnt:x}")
    run.log.info(_TAG, "Flash encryption completed")


def encrypt_contents(run: Run, engine: FlashCrypt) -> EspErr:
    """``esp_flash_encrypt_contents``: bootloader, partition table, then the partitions that are to be encrypted.

    Images are encrypted only if they verify as plain bytes. The first failure ends it.
    """
    err = _encrypt_bootloader(run, engine)
    if err != EspErr.ESP_OK:
        return err
    # Whether the rows fit the flash was asked when this run loaded the table.
    offset = run.config.partition_table_offset
    table = verify_partition_table(run.chip.flash.read(offset, _TABLE_MAX_LEN), 0xFFFFFFFF)
    if table.err != EspErr.ESP_OK:
        run.log.error(_TAG, "Failed to read partition table data - not plaintext?")
        return EspErr.ESP_ERR_INVALID_STATE
    err = _encrypt_region(run, engine, offset, _SECTOR)
    if err != EspErr.ESP_OK:
        run.log.error(_TAG, f"Failed to encrypt partition table in place. {_hex(err)}")
        return err
    run.log.info(_TAG, "partition table encrypted and loaded successfully")
    for index, row in enumerate(table.rows):
        err = _encrypt_partition(run, engine, index, row)
        if err != EspErr.ESP_OK:
            return err
    return EspErr.ESP_OK


def _encrypt_bootloader(run: Run, engine: FlashCrypt) -> EspErr:
    """``encrypt_bootloader``. A chip here may run without a bootloader in flash: then there is nothing to encrypt."""
    chip, config = run.chip, run.config
    start = chip.target.bootloader_offset
    room = config.partition_table_offset - start
    if chip.flash.read(start, _SECTOR) == b"\xff" * _SECTOR:
        run.decide("encrypt_bootloader", "there is no bootloader in flash")
        return EspErr.ESP_OK
    loader = Partition("bootloader", _BOOTLOADER, 0, start, room)
    verdict = chip.verify_image(loader, build="bootloader", mode="verify", config=config)
    run.log.core(verdict.log)
    if verdict.err != EspErr.ESP_OK:
        run.log.warning(_TAG, "no valid bootloader was found")
        return EspErr.ESP_ERR_NOT_FOUND
    if config.secure_boot_v2_enabled and verdict.image_len > room:
        text = "Bootloader is too large to fit Secure Boot V2 signature sector and partition table"
        run.log.error(_TAG, f"{text} (configured offset 0x{config.partition_table_offset:x})")
        return EspErr.ESP_ERR_INVALID_SIZE
    err = _encrypt_region(run, engine, start, verdict.image_len)
    if err != EspErr.ESP_OK:
        run.log.error(_TAG, f"Failed to encrypt bootloader in place: 0x{_hex(err)}")
        return err
    run.log.info(_TAG, "bootloader encrypted successfully")
    return EspErr.ESP_OK


def _encrypt_partition(run: Run, engine: FlashCrypt, index: int, row: Partition) -> EspErr:
    """``encrypt_partition``."""
    length = _length_to_encrypt(run, row)
    if length is None:
        return EspErr.ESP_OK
    where = f"at offset 0x{row.offset:x} (length 0x{length:x})"
    run.log.info(_TAG, f"Encrypting partition {index} {where}...")
    err = _encrypt_region(run, engine, row.offset, length)
    run.log.info(_TAG, "Done encrypting")
    if err == EspErr.ESP_OK:
        run.decide("encrypt_partition", f"{row.label} {where} encrypted")
    else:
        run.log.error(_TAG, f"Failed to encrypt partition {index}")
    return err


def _length_to_encrypt(run: Run, row: Partition) -> int | None:
    """``should_encrypt``: how many bytes from the partition's start; ``None`` leaves it alone."""
    if row.type in {_APP, _BOOTLOADER}:
        verdict = run.chip.verify_image(row, build="bootloader", mode="verify", config=run.config)
        run.log.core(verdict.log)
        if verdict.err != EspErr.ESP_OK:
            return None
        only_image = run.config.secure_flash_encrypt_only_image_len_in_app_part and row.type == _APP
        return verdict.image_len if only_image else row.size
    if row.type == _PARTITION_TABLE:
        try:
            found = verify_partition_table(run.chip.flash.read(row.offset, _TABLE_MAX_LEN), 0xFFFFFFFF)
        except FlashError:
            return None
        return row.size if found.err == EspErr.ESP_OK else None
    return row.size if row.encrypted or (row.type == _DATA and row.subtype in _ALWAYS) else None


def _encrypt_region(run: Run, engine: FlashCrypt, start: int, length: int) -> EspErr:
    """``esp_flash_encrypt_region``: sector by sector read, erase, write encrypted."""
    if start % _SECTOR:
        run.log.error(_TAG, f"esp_flash_encrypt_region bad src_addr 0x{start:x}")
        return EspErr.ESP_FAIL
    flash = run.chip.flash
    for address in range(start, start + length, _SECTOR):
        try:
            plain = flash.read(address, _SECTOR)
            flash.erase(address, _SECTOR)
            flash.program(address, engine.encrypt(address, plain))
        except FlashError:
            # The bootloader's flash driver has one code for everything the ROM refuses.
            err = EspErr.ESP_ERR_FLASH_OP_FAIL
            run.log.error(_TAG, f"flash operation failed: 0x{_hex(err)}")
            return err
        # A run that fails half-way leaves another flash to the next one.
        run.wrote = True
    return EspErr.ESP_OK


def _hex(err: EspErr) -> str:
    return f"{int(err) & 0xFFFFFFFF:x}"


def counter_bits(efuse: EFuse) -> int:
    """How many bits the flash encryption counter has."""
    return 7 if efuse.chip == "esp32" else 3
