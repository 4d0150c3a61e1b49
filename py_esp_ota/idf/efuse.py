"""``esp_efuse``: what firmware reads of the eFuses, and what it says while it burns them (components/efuse)."""

from __future__ import annotations

from py_esp_ota._core import EFuse
from py_esp_ota.errors import EspErr, OtaError
from py_esp_ota.idf.features import Version, since
from py_esp_ota.idf.log import Log
from py_esp_ota.sdkconfig import Sdkconfig

_TAG = "efuse"
_SECTOR = 0x1000
_SECTOR_MASK = 0xFFF

#: ``SOC_RECOVERY_BOOTLOADER_SUPPORTED``: the releases of each line from which on firmware knows of it.
_RECOVERY_SINCE: dict[str, tuple[Version, ...]] = {
    "esp32c5": ((5, 5, 1),),
    "esp32c61": ((5, 5, 1),),
    "esp32p4": ((5, 5, 5), (6, 1, 0)),
    "esp32s31": ((6, 1, 0),),
}


class Batch:
    """``esp_efuse_batch_write_begin``: fuses that are burnt together, or not at all.

    ``efuse`` is what they will be; the chip still reads what they were.
    """

    def __init__(self, efuse: EFuse, log: Log) -> None:
        self.efuse = efuse.copy()
        self._chip, self._log = efuse, log
        log.info(_TAG, "Batch mode of writing fields is enabled")

    def commit(self) -> None:
        """``esp_efuse_batch_write_commit``."""
        self._chip.burn_all(self.efuse)
        self._log.info(_TAG, "Batch mode. Prepared fields are committed")

    def cancel(self) -> None:
        """``esp_efuse_batch_write_cancel``."""
        self._log.info(_TAG, "Batch mode of writing fields is cancelled")


def _secure_version_size(config: Sdkconfig) -> int | None:
    """``APP_SEC_VER_SIZE_EFUSE_FIELD``: bits, ``None`` for all the chip has; four in a build without anti-rollback."""
    return config.bootloader_app_sec_ver_size_efuse_field if config.bootloader_app_anti_rollback else 4


def read_secure_version(efuse: EFuse, config: Sdkconfig) -> int:
    """``esp_efuse_read_secure_version``: the burnt bits of the field, as wide as the build has it."""
    return efuse.read_secure_version(size=_secure_version_size(config))


def check_secure_version(efuse: EFuse, config: Sdkconfig, secure_version: int) -> bool:
    """``esp_efuse_check_secure_version``: whether such an app may run."""
    return secure_version >= read_secure_version(efuse, config)


def update_secure_version(efuse: EFuse, config: Sdkconfig, secure_version: int, log: Log) -> None:
    """``esp_efuse_update_secure_version``: no app below this version from here on.

    Raises ``OtaError``: ESP_ERR_INVALID_ARG for a version beyond the field, ESP_FAIL for one below what is burnt.
    """
    burnt, size = read_secure_version(efuse, config), _secure_version_size(config)
    width = min(efuse.secure_version_size, efuse.secure_version_size if size is None else size)
    if secure_version == burnt:
        return
    try:
        efuse.burn_secure_version(secure_version, size=width)
    except OtaError as error:
        if error.err == EspErr.ESP_ERR_INVALID_ARG:
            log.error(_TAG, f"Max secure version is {width}. Given {secure_version} version can not be written.")
        else:
            text = "Anti-rollback is not set. secure_version of app is lower that eFuse field"
            log.error(_TAG, f"{text}({burnt}).")
        raise
    log.info(_TAG, f"Anti-rollback is set. eFuse field is updated({secure_version}).")


def knows_recovery_bootloader(chip: str, config: Sdkconfig) -> bool:
    """``SOC_RECOVERY_BOOTLOADER_SUPPORTED``, in this release."""
    return chip in _RECOVERY_SINCE and since(config.idf_version, _RECOVERY_SINCE[chip])


def set_recovery_bootloader_offset(efuse: EFuse, config: Sdkconfig, offset: int, log: Log) -> None:
    """``esp_efuse_set_recovery_bootloader_offset``: tell ROM for good where a second bootloader lies.

    Raises ``OtaError``: ESP_ERR_NOT_SUPPORTED on chips and in releases without it, ESP_ERR_INVALID_ARG for an address
    beyond the field, ESP_ERR_NOT_ALLOWED when it is disabled for ever, ESP_FAIL when another address is burnt.
    """
    if not knows_recovery_bootloader(efuse.chip, config):
        what = "firmware for {chip} has no esp_efuse_set_recovery_bootloader_offset"
        raise OtaError(EspErr.ESP_ERR_NOT_SUPPORTED, what, chip=efuse.chip)
    if not efuse.has_recovery_bootloader:
        log.error(_TAG, "Recovery bootloader eFuse field is not available for this chip revision")
        raise OtaError(EspErr.ESP_ERR_NOT_SUPPORTED, "this chip's ROM knows no recovery bootloader")
    if efuse.recovery_bootloader_sector == 0:
        log.info(_TAG, "Recovery bootloader offset has not been set yet.")
        if offset // _SECTOR > _SECTOR_MASK:
            text = "Given address exceeds the allowed range of the efuse field"
            log.error(_TAG, f"esp_efuse_set_recovery_bootloader_offset(172): {text}")
            raise OtaError(EspErr.ESP_ERR_INVALID_ARG, "0x{found:x} is beyond the eFuse field", found=offset)
        efuse.burn_recovery_bootloader_sector(offset // _SECTOR)
    elif efuse.recovery_bootloader_address is None:
        log.error(_TAG, "Recovery bootloader offset is disabled")
        raise OtaError(EspErr.ESP_ERR_NOT_ALLOWED, "the recovery bootloader is disabled for ever")
    burnt = efuse.recovery_bootloader_sector * _SECTOR
    if burnt != offset:
        log.error(_TAG, f"Verification failed. eFuse recovery bootloader offset=0x{burnt:x}, expected=0x{offset:x}")
        raise OtaError(EspErr.ESP_FAIL, "0x{burnt:x} is burnt, not 0x{expected:x}", burnt=burnt, expected=offset)
    log.info(_TAG, f"Recovery bootloader offset in eFuse = 0x{burnt:x}")
