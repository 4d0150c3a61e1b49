"""The key of the first boot, and what is burnt with it for good.

Sources: ``esp_flash_encrypt_init`` (components/bootloader_support/src/flash_encryption/flash_encrypt.c),
``esp_efuse_write_keys`` (components/efuse/src/efuse_controller/keys), and
components/bootloader_support/src/<chip>/flash_encryption_secure_features.c. Of the fuses that close download mode, JTAG
and ROM's BASIC only the lines are here: no boot reads them.
"""

from __future__ import annotations

from dataclasses import dataclass

from py_esp_ota._core import EFuse
from py_esp_ota.errors import EspErr
from py_esp_ota.idf.bootloader.run import Run
from py_esp_ota.idf.efuse import Batch
from py_esp_ota.sdkconfig import Sdkconfig

_TAG = "flash_encrypt"
_CRYPT_CONFIG = 0xF
_XTS_AES_256 = (2, 3)
_XTS_AES_128 = 4
#: Chips whose key blocks take a key for XTS-AES-256. ESP32-C5 has such keys in its Key Manager alone.
_HAS_256 = frozenset({"esp32s2", "esp32s3", "esp32p4", "esp32h4", "esp32s31"})
#: ``SOC_EFUSE_BLOCK9_KEY_PURPOSE_QUIRK``: the last key block takes no key for XTS-AES.
_BLOCK9_QUIRK = frozenset({"esp32c3", "esp32c6", "esp32h2", "esp32h4", "esp32s3"})
_BLOCK9 = 5
#: ``SOC_FLASH_ENCRYPTION_XTS_AES_SUPPORT_PSEUDO_ROUND``, and the first chip revision that has it.
_PSEUDO_ROUNDS = {"esp32c5": 0, "esp32c61": 0, "esp32h2": 102, "esp32h4": 0, "esp32p4": 300, "esp32s31": 0}
#: Chips whose download mode reaches the flash past the cache: nothing is said of it.
_NO_CACHE_LINE = frozenset({"esp32h2", "esp32h21"})


@dataclass(frozen=True, slots=True)
class _Plan:
    """The key that a build wants: what it is burnt for, by the chip's own numbers, and its bytes."""

    purposes: tuple[int, ...]
    length: int


def _plan(chip: str, config: Sdkconfig) -> _Plan:
    """The choice SECURE_FLASH_ENCRYPTION_KEYSIZE; what a chip has not is no choice."""
    if chip == "esp32":
        return _Plan((2,), 32)
    if chip == "esp32c2":
        derived = config.secure_flash_encryption_aes128_derived or config.secure_boot
        return _Plan((2,), 16) if derived else _Plan((1,), 32)
    if config.secure_flash_encryption_aes256 and chip in _HAS_256:
        return _Plan(_XTS_AES_256, 64)
    return _Plan((_XTS_AES_128,), 32)


def init(run: Run, outer: Batch | None) -> EspErr:
    """``esp_flash_encrypt_init``: a key, if no counter bit was ever burnt; burnt with ``outer`` when there is one."""
    if run.chip.efuse.flash_crypt_cnt:
        return EspErr.ESP_OK
    batch = outer or Batch(run.chip.efuse, run.log)
    err = _check_and_generate(run, batch.efuse)
    if err != EspErr.ESP_OK:
        if outer is None:
            batch.cancel()
        run.decide("esp_flash_encrypt_init", f"{err.name}; nothing is burnt")
        return err
    _enable_secure_features(run, batch.efuse)
    if outer is None:
        batch.commit()
        run.wrote = True
    return EspErr.ESP_OK


def _check_and_generate(run: Run, batch: EFuse) -> EspErr:
    """``check_and_generate_encryption_keys``, for keys in eFuses. The chip reads what it read before the batch."""
    efuse, log = run.chip.efuse, run.log
    plan = _plan(efuse.chip, run.config)
    if plan.purposes == _XTS_AES_256:
        used = [purpose in efuse.key_purposes for purpose in _XTS_AES_256]
        if _XTS_AES_128 in efuse.key_purposes:
            log.error(_TAG, "XTS_AES_128_KEY is already in use, XTS_AES_256_KEY_1/2 can not be used")
            return EspErr.ESP_ERR_INVALID_STATE
        if used[0] is not used[1]:
            log.error(_TAG, "Invalid efuse key blocks: Both AES-256 key blocks must be set.")
            return EspErr.ESP_ERR_INVALID_STATE
    if not _has_key(efuse, plan):
        log.info(_TAG, "Generating new flash encryption key...")
        return _write_keys(run, batch, plan)
    if efuse.flash_encryption_key is None or efuse.flash_encryption_key_open:
        log.error(_TAG, "Invalid key state, check read&write protection for key and keypurpose(if exists)")
        return EspErr.ESP_ERR_INVALID_STATE
    log.info(_TAG, "Using pre-loaded flash encryption key in efuse")
    return EspErr.ESP_OK


def _has_key(efuse: EFuse, plan: _Plan) -> bool:
    """Whether the blocks for this key are in use. The one block of ESP32-C2 is, when Secure Boot has its half."""
    if efuse.key_purposes:
        return all(purpose in efuse.key_purposes for purpose in plan.purposes)
    shared = efuse.chip == "esp32c2" and any(efuse.key_digests)
    return efuse.flash_encryption_key is not None or shared


def _write_keys(run: Run, batch: EFuse, plan: _Plan) -> EspErr:
    """``esp_efuse_write_keys``: the first unused blocks take the key, read- and write-protected."""
    log, needed = run.log, len(plan.purposes)
    blocks = batch.free_key_blocks[:needed] if batch.key_purposes else [0]
    if len(blocks) < needed:
        log.error("efuse", f"Not enough unused key blocks available. Required {needed}, was {len(blocks)}")
        log.error(_TAG, f"Not enough free efuse key blocks (need {needed}) to continue")
        return EspErr.ESP_ERR_NOT_ENOUGH_UNUSED_KEY_BLOCKS
    for block, purpose in zip(blocks, plan.purposes, strict=True):
        log.info("efuse", f"Writing EFUSE_BLK_KEY{block} with purpose {purpose}")
        if block == _BLOCK9 and batch.chip in _BLOCK9_QUIRK:
            text = f"BLOCK9 can not have the {purpose} purpose because of HW bug (see TRM for more details)"
            log.error("efuse", text)
            log.error("efuse", f"Failed to write EFUSE_BLK_KEY{block} with purpose {purpose}. Can't continue.")
            err = EspErr.ESP_ERR_NOT_SUPPORTED
            log.error(_TAG, f"Failed to write efuse block with purpose (err=0x{err:x}). Can't continue.")
            return err
    key = run.chip.fill_random(plan.length)
    if batch.flash_encryption_key is None:
        batch.burn_flash_encryption_key(key)
    else:
        # A key for XTS-AES-256 is there: the hardware goes on with that one, and the new block is lost.
        batch.burn_key_block(blocks[0], plan.purposes[0])
    run.decide("check_and_generate_encryption_keys", f"a key of {plan.length} bytes is burnt for good")
    return EspErr.ESP_OK


def _enable_secure_features(run: Run, batch: EFuse) -> None:
    """``esp_flash_encryption_enable_secure_features``: what is said, and on ESP32 which key bits the address flips."""
    chip, config, log = batch.chip, run.config, run.log
    if chip == "esp32":
        log.info(_TAG, f"Setting CRYPT_CONFIG efuse to 0x{_CRYPT_CONFIG:X}")
        if batch.flash_crypt_config == 0:
            batch.burn_flash_crypt_config(_CRYPT_CONFIG)
        elif batch.flash_crypt_config != _CRYPT_CONFIG:
            text = f"EFUSE_ENCRYPT_CONFIG should be set 0xF but it is 0x{batch.flash_crypt_config:x}"
            log.error(_TAG, text)  # and goes on with what is burnt
    if config.secure_flash_encryption_mode_release:
        log.info(_TAG, "Disable UART bootloader encryption...")
    else:
        log.warning(_TAG, "Not disabling UART bootloader encryption")
    closing = [
        (chip == "esp32", "UART bootloader decryption", config.secure_flash_uart_bootloader_allow_dec),
        (chip not in _NO_CACHE_LINE, _cache(chip), config.secure_flash_uart_bootloader_allow_cache),
        (True, "JTAG", config.secure_boot_allow_jtag),
    ]
    for there, what, allowed in closing:
        if there and allowed:
            log.warning(_TAG, f"Not disabling {what} - SECURITY COMPROMISED")
        elif there:
            log.info(_TAG, f"Disable {what}...")
    if chip == "esp32" and config.secure_boot_allow_rom_basic:
        log.warning(_TAG, "Not disabling ROM BASIC fallback - SECURITY COMPROMISED")
    elif chip == "esp32":
        log.info(_TAG, "Disable ROM BASIC interpreter fallback...")
    rounds = config.secure_flash_pseudo_round_func
    wanted = config.secure_flash_encryption_mode_release if rounds is None else rounds
    if wanted and chip in _PSEUDO_ROUNDS and batch.chip_revision >= _PSEUDO_ROUNDS[chip]:
        log.info(_TAG, "Enable XTS-AES pseudo rounds function...")


def _cache(chip: str) -> str:
    return "UART bootloader MMU cache" if chip == "esp32" else "UART bootloader cache"
