"""Where the keys of an encrypted NVS come from: a partition that fills itself, or an HMAC key in eFuse."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from board import table
from nvs_bench import crc

from py_esp_ota._core import EFuse, Flash
from py_esp_ota.chip import Chip
from py_esp_ota.errors import EspErr, NvsError, OtaError, PowerLoss
from py_esp_ota.firmware import merge
from py_esp_ota.idf.nvs import FlashNvs
from py_esp_ota.idf.nvs_sec_provider import read_security_cfg
from py_esp_ota.sdkconfig import Sdkconfig

FLASH_ENC = Sdkconfig(nvs_encryption=True)
HMAC = Sdkconfig(nvs_encryption=True, nvs_sec_key_protect_using_hmac=True, nvs_sec_hmac_efuse_key_id=2)
ROWS = table(("nvs", 1, 2, 0x9000, 0x4000), ("nvs_key", 1, 4, 0xD000, 0x1000))
# What nvs_flash_generate_keys writes past the encryption: blocks of 16 bytes that differ from their neighbours.
RAW = b"\xff" * 16 + b"\x99" * 16 + b"\xee" * 16 + b"\x88" * 16
WORDS = "secret words of the app"


def board(chip: str = "esp32c3", rows=ROWS, **fuses) -> Chip:
    return Chip(chip, flash=Flash.from_bytes(merge({0x8000: rows.to_bytes()})), efuse=EFuse(chip, **fuses))


def encrypting(key: bytes = bytes(range(32))) -> Chip:
    """A chip whose flash encryption is on: the table is encrypted too, as the first boot leaves it."""
    chip = board(flash_crypt_cnt=1, flash_encryption_key=key)
    plain = ROWS.to_bytes().ljust(0x1000, b"\xff")
    chip.flash.erase(0x8000, 0x1000)
    chip.flash.program(0x8000, chip.flash.encryption.encrypt(0x8000, plain))
    return chip


def refused(action, *words) -> EspErr:
    with pytest.raises(NvsError) as error:
        action(*words)
    return error.value.err


def kept(chip: Chip, config: Sdkconfig) -> bool:
    """A value is written, found again after a reset, and is nowhere to be read."""
    FlashNvs(chip, config).set("app", "k", WORDS)
    assert b"secret" not in chip.flash.to_bytes()
    return FlashNvs(chip, config).get("app", "k") == WORDS


# ----------------------------------------------------------------------------------------------- keys in a partition


def test_a_blank_key_partition_is_filled_at_the_first_use():
    chip = board()
    assert kept(chip, FLASH_ENC)
    assert chip.flash.read(0xD000, 0x60) == RAW + crc(RAW).to_bytes(4, "little") + b"\xff" * 28
    assert read_security_cfg(chip, FLASH_ENC) == RAW, "without flash encryption everybody has these keys"


def test_under_flash_encryption_each_chip_reads_keys_of_its_own():
    """The constants are written past the encryption, and what they decrypt to is the keys."""
    seen = set()
    for key in (bytes(32), bytes(range(32))):
        chip = encrypting(key)
        assert kept(chip, FLASH_ENC)
        assert chip.flash.read(0xD000, 64) == RAW
        keys = read_security_cfg(chip, FLASH_ENC)
        stored = chip.flash.encryption.encrypt(0xD040, crc(keys).to_bytes(4, "little") + b"\xff" * 12)
        assert chip.flash.read(0xD040, 16) == stored
        seen.add(keys)
    assert len(seen) == 2
    assert RAW not in seen


def test_the_keys_are_made_again_after_each_power_cut_in_their_making():
    """Erase, two keys, CRC: whatever is missing, the next init begins anew; from then on nothing is written."""
    operation = 0
    while True:
        chip = encrypting()
        chip.flash.program(0xD000, b"\0" * 16)
        chip.flash.fault = f"cut@{operation}"
        try:
            FlashNvs(chip, FLASH_ENC).get("app", "k")
        except PowerLoss:
            chip.flash.fault = ""
            chip.flash.power_on()
        else:
            break
        assert kept(chip, FLASH_ENC)
        operation += 1
    assert operation == 4
    before = chip.flash.operations
    assert FlashNvs(chip, FLASH_ENC).get("app", "k") is None
    assert chip.flash.operations == before


def test_before_v5_2_only_a_blank_key_partition_is_filled():
    before = Sdkconfig(nvs_encryption=True, idf_version=(5, 1, 7))
    assert kept(board(), before)
    damaged = board()
    damaged.flash.program(0xD000, b"\x5a" * 64)
    assert refused(FlashNvs(damaged, before).get, "app", "k") is EspErr.ESP_ERR_NVS_CORRUPT_KEY_PART
    assert kept(damaged, FLASH_ENC), "newer ones erase it, and what was encrypted with it is lost"


@pytest.mark.parametrize(("release", "err"), [((6, 2, 0), EspErr.ESP_ERR_INVALID_ARG), ((5, 1, 7), EspErr.ESP_FAIL)])
def test_a_table_without_a_key_partition(release, err):
    chip = board(rows=table(("nvs", 1, 2, 0x9000, 0x4000)))
    nvs = FlashNvs(chip, Sdkconfig(nvs_encryption=True, idf_version=release))
    assert refused(nvs.get, "app", "k") is err


# ------------------------------------------------------------------------------------------------ an HMAC key in eFuse


def derived(key: bytes) -> bytes:
    """EKEY_SEED and TKEY_SEED of nvs_sec_provider, eight words each."""
    seeds = (0xAEBE5A5A, 0xCEDEA5A5)
    return b"".join(hmac.digest(key, seed.to_bytes(4, "little") * 8, hashlib.sha256) for seed in seeds)


def test_the_hmac_key_is_burnt_at_the_first_use_and_the_keys_derived_from_it():
    chip = board()
    chip.fill_random = lambda size: bytes(range(size))
    assert refused(read_security_cfg, chip, HMAC) is EspErr.ESP_ERR_NVS_SEC_HMAC_KEY_NOT_FOUND
    assert kept(chip, HMAC)
    assert chip.efuse.hmac_keys == [None, None, bytes(range(32)), None, None, None]
    assert read_security_cfg(chip, HMAC) == derived(bytes(range(32)))
    assert chip.flash.read(0xD000, 64) == b"\xff" * 64, "no key partition is needed"


def test_a_key_that_is_burnt_already_is_used():
    chip = board(hmac_keys=[None, None, b"k" * 32])
    chip.fill_random = lambda size: pytest.fail("no key is made")
    assert kept(chip, HMAC)
    assert read_security_cfg(chip, HMAC) == derived(b"k" * 32)
    other = Chip(flash=chip.flash, efuse=EFuse("esp32c3", hmac_keys=[None, None, b"l" * 32]))
    assert FlashNvs(other, HMAC).get("app", "k") is None, "the flash in another chip tells nothing"


def test_a_block_that_another_key_has_is_refused():
    """Digests and the flash encryption key have the lowest blocks, as the bootloader takes them."""
    chip = board(flash_encryption_key=bytes(32), key_digests=[bytes(32), bytes(32)])
    assert refused(FlashNvs(chip, HMAC).get, "app", "k") is EspErr.ESP_ERR_NVS_SEC_HMAC_KEY_GENERATION_FAILED
    assert kept(board(flash_encryption_key=bytes(32), key_digests=[bytes(32)]), HMAC)
    early = board(hmac_keys=[b"k" * 32], key_digests=[bytes(32)], flash_encryption_key=bytes(32))
    assert refused(FlashNvs(early, HMAC).get, "app", "k") is EspErr.ESP_ERR_NVS_SEC_HMAC_KEY_GENERATION_FAILED
    assert EFuse.from_json(early.efuse.to_json()) == early.efuse


@pytest.mark.parametrize("chip", ["esp32", "esp32c2", "esp32c61"])
def test_chips_without_the_peripheral_have_no_such_key(chip):
    efuse = EFuse(chip)
    assert efuse.hmac_keys == []
    with pytest.raises(OtaError) as error:
        efuse.burn_hmac_key(0, bytes(32))
    assert error.value.err is EspErr.ESP_ERR_NOT_SUPPORTED
    assert refused(FlashNvs(board(chip), HMAC).get, "app", "k") is EspErr.ESP_ERR_NVS_SEC_HMAC_KEY_GENERATION_FAILED


def test_a_block_is_burnt_once():
    efuse = EFuse("esp32s3")
    efuse.burn_hmac_key(5, b"k" * 32)
    assert EFuse.from_json(efuse.to_json()) == efuse
    for block, err in ((5, EspErr.ESP_ERR_INVALID_STATE), (6, EspErr.ESP_ERR_INVALID_ARG)):
        with pytest.raises(OtaError) as error:
            efuse.burn_hmac_key(block, b"l" * 32)
        assert error.value.err is err
    with pytest.raises(ValueError, match="an HMAC key has 32 bytes, not 16"):
        efuse.burn_hmac_key(0, bytes(16))


@pytest.mark.parametrize("block", [-1, 6])
def test_the_scheme_needs_a_block(block):
    with pytest.raises(ValueError, match=f"NVS_SEC_HMAC_EFUSE_KEY_ID is {block}, expected 0 to 5"):
        Sdkconfig(nvs_encryption=True, nvs_sec_key_protect_using_hmac=True, nvs_sec_hmac_efuse_key_id=block).check()
