"""``nvs_sec_provider``: where the keys of an encrypted NVS come from.

Two schemes. Under flash encryption a partition of its own holds them; with the HMAC peripheral they are derived from a
key in eFuse. Each can be read, and made where there are none.
"""

from __future__ import annotations

from py_esp_ota._core import Partition, PartitionTable, derive_nvs_keys, generate_nvs_keys, read_nvs_keys
from py_esp_ota.chip import Chip
from py_esp_ota.errors import EspErr, NvsError, OtaError, PartitionTableError
from py_esp_ota.sdkconfig import Sdkconfig

_DATA, _NVS_KEYS = 0x01, 0x04
_HMAC_KEY_SIZE = 32
_REGENERATES_ANY = (
    5,
    2,
    0,
)  # the first release with nvs_sec_provider: whatever is wrong with the keys, new ones are made


def security_cfg(chip: Chip, config: Sdkconfig) -> bytes:
    """The first half of ``nvs_flash_init`` (components/nvs_flash/src/nvs_api.cpp): read the keys, or make them.

    Returns the 64 bytes of both keys. Before v5.2 only a blank key partition is filled; since then a damaged one is
    erased and filled too. Raises ``NvsError`` and ``PowerLoss``.
    """
    try:
        return read_security_cfg(chip, config)
    except NvsError as refused:
        blank = refused.err is EspErr.ESP_ERR_NVS_KEYS_NOT_INITIALIZED
        if config.idf_version < _REGENERATES_ANY and not blank:
            raise
        return generate_keys(chip, config)


def read_security_cfg(chip: Chip, config: Sdkconfig) -> bytes:
    """``nvs_flash_read_security_cfg_v2``.

    Raises ``NvsError``: ESP_ERR_NVS_KEYS_NOT_INITIALIZED, ESP_ERR_NVS_CORRUPT_KEY_PART, or
    ESP_ERR_NVS_SEC_HMAC_KEY_NOT_FOUND.
    """
    if not config.nvs_sec_key_protect_using_hmac:
        return read_nvs_keys(chip.flash, _key_partition(chip, config))
    block = config.nvs_sec_hmac_efuse_key_id
    key = _hmac_key(chip, block)
    if key is None:
        what = "eFuse block {block} holds no HMAC key"
        raise NvsError(EspErr.ESP_ERR_NVS_SEC_HMAC_KEY_NOT_FOUND, what, block=block)
    return derive_nvs_keys(key)


def generate_keys(chip: Chip, config: Sdkconfig) -> bytes:
    """``nvs_flash_generate_keys_v2``: fill the key partition, or burn an HMAC key where there is none.

    Raises ``NvsError``: ESP_ERR_NVS_SEC_HMAC_KEY_GENERATION_FAILED for a block that another key has, or a chip without
    the peripheral; ``PowerLoss``.
    """
    if not config.nvs_sec_key_protect_using_hmac:
        return generate_nvs_keys(chip.flash, _key_partition(chip, config))
    block = config.nvs_sec_hmac_efuse_key_id
    key = _hmac_key(chip, block)
    if key is None:
        key = chip.fill_random(_HMAC_KEY_SIZE)
        try:
            chip.efuse.burn_hmac_key(block, key)
        except OtaError as refused:
            what = "the HMAC key cannot be burnt: {why}"
            raise NvsError(EspErr.ESP_ERR_NVS_SEC_HMAC_KEY_GENERATION_FAILED, what, why=str(refused)) from refused
    return derive_nvs_keys(key)


def _hmac_key(chip: Chip, block: int) -> bytes | None:
    keys = chip.efuse.hmac_keys
    return keys[block] if block < len(keys) else None


def _key_partition(chip: Chip, config: Sdkconfig) -> Partition:
    """The first row of subtype nvs_keys. Without one the releases say different things."""
    try:
        table = PartitionTable.load(chip.flash, config.partition_table_offset, md5=config.partition_table_md5)
        row = table.find(type=_DATA, subtype=_NVS_KEYS)
    except PartitionTableError:  # a table that is refused has no rows
        row = None
    if row is None:
        err = EspErr.ESP_FAIL if config.idf_version < _REGENERATES_ANY else EspErr.ESP_ERR_INVALID_ARG
        raise NvsError(err, "there is no data/nvs_keys partition")
    return row
