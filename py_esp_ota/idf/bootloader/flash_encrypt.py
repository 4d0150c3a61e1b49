"""The bootloader's part in flash encryption: encrypt the flash in place at the first boot.

Source: components/bootloader_support/src/flash_encryption/flash_encrypt.c. The key comes from ``flash_keys``, and
``security`` puts the steps in order.
"""

from __future__ import annotations

from py_esp_ota._core import EFuse, FlashCrypt, Partition, TableVerdict, verify_partition_table
from py_esp_ota.errors import EspErr, FlashError
from py_esp_ota.idf.bootloader.run import Run
from py_esp_ota.idf.features import features
from py_esp_ota.idf.image_format import say_bootloader_offset
from py_esp_ota.sdkconfig import Sdkconfig

_TAG = "flash_encrypt"
_SECTOR = 0x1000
_TABLE_MAX_LEN = 0xC00
_APP, _DATA, _BOOTLOADER, _PARTITION_TABLE = range(4)
_PRIMARY = 0
_SIGNATURE_V1 = 68
_ALWAYS = frozenset({0x00, 0x04, 0x90})  # data/ota, data/nvs_keys, data/tee_ota


def encryption_state(run: Run) -> bool:
    """``esp_flash_encrypt_state``: whether it is on, and how often it can still be turned off to flash plain bytes."""
    efuse = run.chip.efuse
    if not efuse.flash_encryption_enabled:
        return False
    left = (counter_bits(efuse) - efuse.flash_crypt_cnt.bit_count()) // 2
    run.log.info(_TAG, f"flash encryption is enabled ({left} plaintext flashes left)")
    return True


def enable(run: Run) -> None:
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


def encrypt_contents(run: Run) -> EspErr:
    """``esp_flash_encrypt_contents``: bootloader, partition table, then the partitions that are to be encrypted.

    Images are encrypted only if they verify as plain bytes. The first failure ends it.
    """
    engine = FlashCrypt.of_key(run.chip.efuse)
    if engine is None:  # a key that no chip takes, from a file written by hand
        return EspErr.ESP_FAIL
    err = _encrypt_bootloader(run, engine)
    if err != EspErr.ESP_OK:
        return err
    offset = run.config.partition_table_offset
    table = _plain_table(run, offset)
    if not isinstance(table, TableVerdict):
        return table
    err = _encrypt_region(run, engine, offset, _SECTOR)
    if err != EspErr.ESP_OK:
        run.log.error(_TAG, f"Failed to encrypt partition table in place. {_hex(err)}")
        return err
    run.log.info(_TAG, "partition table encrypted and loaded successfully")
    loaders = {_BOOTLOADER, _PARTITION_TABLE} if features(run.config.idf_version).encrypts_loaders else set()
    for index, row in enumerate(table.rows):
        if row.type in loaders and row.subtype == _PRIMARY:
            continue  # encrypted above
        err = _encrypt_partition(run, engine, index, row)
        if err != EspErr.ESP_OK:
            return err
    return EspErr.ESP_OK


def _plain_table(run: Run, offset: int) -> TableVerdict | EspErr:
    """``read_and_verify_partition_table``: a table of plain bytes, or why there is none."""
    newer = features(run.config.idf_version).encrypts_loaders
    try:
        data = run.chip.flash.read(offset, _TABLE_MAX_LEN)
    except FlashError:
        where = f" at 0x{offset:x}" if newer else ""
        run.log.error(_TAG, f"Failed to read partition table data{where}")
        return EspErr.ESP_ERR_FLASH_OP_FAIL
    # Whether the rows fit the flash was asked when this run loaded the table.
    table = verify_partition_table(data, 0xFFFFFFFF)
    if table.err == EspErr.ESP_OK:
        return table
    empty = " or empty" if newer else ""
    run.log.error(_TAG, f"Failed to read partition table data - not plaintext{empty}?")
    return table.err if newer else EspErr.ESP_ERR_INVALID_STATE


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
    config, loaders = run.config, features(run.config.idf_version).encrypts_loaders
    if row.type == _APP or (row.type == _BOOTLOADER and loaders):
        staged = row.offset if row.type == _BOOTLOADER else None
        if staged is not None:
            say_bootloader_offset(run.chip, config, staged, run.log)
        verdict = run.chip.verify_image(row, build="bootloader", mode="verify", config=config, bootloader_offset=staged)
        run.log.core(verdict.log)
        if verdict.err != EspErr.ESP_OK:
            return None
        if not config.secure_flash_encrypt_only_image_len_in_app_part or row.type != _APP:
            return row.size
        return verdict.image_len + (_signature_room(config) if features(config.idf_version).encrypts_signature else 0)
    if row.type == _PARTITION_TABLE and loaders:
        table = _plain_table(run, row.offset)
        return row.size if isinstance(table, TableVerdict) and table.rows else None
    return row.size if row.encrypted or (row.type == _DATA and row.subtype in _ALWAYS) else None


def _signature_room(config: Sdkconfig) -> int:
    """``esp_secure_boot_sig_block_size``: bytes of a signature that an app has without Secure Boot."""
    if not (config.secure_signed_apps_no_secure_boot and config.secure_signed_on_update):
        return 0
    return _SIGNATURE_V1 if config.signature_scheme == "ecdsa_v1" else _SECTOR


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
