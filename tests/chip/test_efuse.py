"""eFuses as a value: what fits, what burns, and what never goes back."""

import pytest

from py_esp_ota._core import EFuse, Target
from py_esp_ota.errors import OtaError

DIGEST = bytes(range(32))
BURNT = EFuse(
    "esp32s3",
    chip_revision=2,
    block_revision=101,
    secure_version=3,
    disable_wafer_version_major=True,
    disable_blk_version_major=True,
    secure_boot_en=True,
    aggressive_revoke=True,
    key_digests=[DIGEST, None, DIGEST[::-1]],
    revoked=[2],
    flash_crypt_cnt=1,
    flash_encryption_key=bytes(64),
    hmac_keys=[None, None, None, DIGEST],
    recovery_bootloader_sector=0x3F0,
)
C5 = EFuse(
    "esp32c5",
    recovery_bootloader_sector=0x3F0,
    bootloader_secure_version=2,
    bootloader_anti_rollback_en=True,
    bootloader_anti_rollback_update_in_rom=True,
    flash_encryption_key=bytes(32),
    flash_encryption_key_open=True,
    key_purposes=[None, 8, 4],
)


@pytest.mark.parametrize("chip", Target.names())
def test_a_new_chip_has_nothing_burnt(chip):
    efuse = EFuse(chip)
    assert (efuse.chip, efuse.secure_version, efuse.flash_encryption_enabled) == (chip, 0, False)
    assert efuse.key_digests == [None] * (1 if chip in {"esp32", "esp32c2"} else 3)
    assert efuse.secure_version_size == {"esp32": 32, "esp32c2": 4, "esp32c5": 9}.get(chip, 16)


@pytest.mark.parametrize("efuse", [EFuse(), EFuse("esp32", flash_crypt_config=0xF), BURNT, C5], ids=repr)
def test_a_file_brings_back_every_fuse(efuse):
    assert EFuse.from_json(efuse.to_json()) == efuse


def test_a_copy_is_independent():
    copy = BURNT.copy()
    copy.burn_secure_version(4)
    assert (BURNT.secure_version, copy.secure_version) == (3, 4)
    assert copy != BURNT


def test_burning_adds_and_never_takes_away():
    efuse = EFuse("esp32", flash_crypt_config=1)
    efuse.burn_flash_crypt_config(0xC)
    assert efuse.flash_crypt_config == 0xD
    efuse.burn_secure_version(5)
    with pytest.raises(OtaError, match=r"ESP_FAIL.*at least 5"):
        efuse.burn_secure_version(4)
    with pytest.raises(OtaError, match=r"ESP_ERR_INVALID_ARG.*at most 8"):
        efuse.burn_secure_version(9, size=8)
    for on in (True, False, True):
        efuse.burn_flash_crypt_cnt()
        assert efuse.flash_encryption_enabled is on
    efuse.burn_secure_boot_en()
    assert efuse.secure_boot_en


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"chip": "esp8266"}, "unknown chip"),
        ({"secure_version": 17}, "secure_version: found 17, expected at most 16"),
        ({"secure_version": -1}, "out of range"),
        ({"key_digests": [b"short"]}, "32 bytes, not 5"),
        ({"key_digests": [None, None, None, DIGEST]}, "slot: found 3, expected below 3"),
        ({"revoked": [3]}, "slot: found 3"),
        ({"chip": "esp32", "revoked": [0]}, "revocation bits"),
        ({"flash_crypt_cnt": 8}, "the field has 3 bits"),
        ({"flash_crypt_config": 16}, "the field has 4 bits"),
        ({"recovery_bootloader_sector": 0x1000}, "the field has 12 bits"),
        ({"key_purposes": [1] * 7}, "has 7 entries; this chip has 6"),
        ({"chip": "esp32", "key_purposes": [2]}, "has 1 entries; this chip has 0"),
        ({"bootloader_secure_version": 1}, "a chip with that field"),
        ({"chip": "esp32c5", "bootloader_secure_version": 5}, "at most 4"),
        ({"flash_encryption_key": bytes(64)}, r"64 bytes, expected one of \[32\]"),
    ],
)
def test_what_does_not_fit_is_a_value_error(wrong, says):
    with pytest.raises(ValueError, match=says):
        EFuse(**wrong)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", r"no eFuse file: .*Expecting value"),
        ("[1]", "one JSON object"),
        ("{}", '"chip" is missing'),
        ('{"chip": 5}', "no eFuse file"),
        ('{"chip": "esp32c3", "colour": 1}', "colour"),
        ('{"chip": "esp32c3", "secure_version": "x"}', "no eFuse file"),
        ('{"chip": "esp32c3", "key_digests": ["zz"]}', "hexadecimal"),
        ('{"chip": "esp32c3", "key_digests": "00"}', "no eFuse file"),
    ],
)
def test_a_bad_file_is_refused_with_a_reason(text, says):
    with pytest.raises(ValueError, match=says):
        EFuse.from_json(text)


def test_keys_take_the_first_unused_blocks():
    assert BURNT.key_purposes == [9, 11, 2, 8, 3, None]
    assert BURNT.free_key_blocks == [5]
    assert (C5.key_purposes, C5.free_key_blocks) == ([None, 8, 4, None, None, None], [0, 3, 4, 5])
    full = EFuse("esp32s31", key_purposes=[8] * 4)
    with pytest.raises(OtaError, match=r"ESP_ERR_NOT_ENOUGH_UNUSED_KEY_BLOCKS.*1 unused.*2 unused"):
        full.burn_flash_encryption_key(bytes(64))
    full.burn_key_block(4, 8)
    with pytest.raises(OtaError, match=r"ESP_ERR_INVALID_STATE.*an unused block"):
        full.burn_key_block(4, 8)
    with pytest.raises(OtaError, match=r"ESP_ERR_INVALID_ARG.*below 5"):
        full.burn_key_block(5, 8)


def test_fuses_of_the_rom_that_chooses_a_bootloader():
    assert (C5.has_recovery_bootloader, C5.recovery_bootloader_address) == (True, 0x3F0000)
    assert not EFuse("esp32p4", chip_revision=299).has_recovery_bootloader
    efuse = EFuse("esp32c5")
    efuse.burn_recovery_bootloader_sector(0x0F0)
    efuse.burn_recovery_bootloader_sector(0x300)
    efuse.burn_bootloader_secure_version(3)
    efuse.burn_bootloader_secure_version(1)
    assert (efuse.recovery_bootloader_sector, efuse.bootloader_secure_version) == (0x3F0, 3)
    with pytest.raises(OtaError, match="ESP_ERR_NOT_SUPPORTED"):
        EFuse().burn_recovery_bootloader_sector(1)
    with pytest.raises(OtaError, match="ESP_ERR_INVALID_ARG"):
        efuse.burn_recovery_bootloader_sector(0x1000)
