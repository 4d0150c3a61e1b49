"""What a node remembers of a download, to go on with it (components/esp_rainmaker/src/ota/esp_rmaker_https_ota.c)."""

from __future__ import annotations

from py_esp_ota.errors import EspError
from py_esp_ota.idf.esp_https_ota.features import https_ota_features
from py_esp_ota.ports import U16
from py_esp_ota.rainmaker.ota_handle import RMAKER_OTA_NVS_NAMESPACE, TAG_HTTPS, OtaHandle
from py_esp_ota.sdkconfig import Sdkconfig

RMAKER_OTA_WRITTEN_LENGTH_NVS_NAME = "ota_written"  # u16, KiB
_IN_BYTES = "ota_writen"  # u32, until version 1.12.7
RMAKER_OTA_FILE_MD5_NVS_NAME = "ota_file_md5"  # string

_KIB = 1024
_NOT_SAVED = "Failed to save OTA written length to NVS"
_NOT_STARTED = "Failed to set written length 0 and file MD5 to NVS"
_NO_MD5 = (
    "File MD5 not present, not resuming OTA because can not verify the already downloaded firmware is the same as the "
    "new firmware, please upgrade the backend to support it"
)


def resumption_is_built(config: Sdkconfig) -> bool:
    """``RMAKER_OTA_HTTP_OTA_RESUMPTION``: the option, on an ESP-IDF that can."""
    return config.esp_rmaker_http_ota_resumption and https_ota_features(config.idf_version).resumption


def offset_to_resume(stored_md5: object, stored: object, file_md5: str, unit: int = _KIB) -> int | None:
    """Bytes of this very file that are in flash; ``None`` for another file, or when one of the two is not there.

    The stored MD5 is compared as far as the received one goes: an empty one is that of any file.
    """
    if not isinstance(stored_md5, str) or not isinstance(stored, int):
        return None
    return stored * unit if stored_md5[: len(file_md5)] == file_md5 else None


class Resumption:
    """The memory of one download, in NVS: which file, and how many KiB of it are written."""

    def __init__(self, ota: OtaHandle, file_md5: str | None) -> None:
        self._ota = ota
        self._file_md5 = file_md5 if resumption_is_built(ota.core.config) else None
        self._key = RMAKER_OTA_WRITTEN_LENGTH_NVS_NAME if ota.features.keeps_kib else _IN_BYTES
        self._unit = _KIB if ota.features.keeps_kib else 1
        if file_md5 is None and resumption_is_built(ota.core.config):
            ota.core.log.warning(TAG_HTTPS, _NO_MD5)

    def recall(self) -> int | None:
        """Where to resume; for another file than the last one the memory starts anew, and ``None`` comes back."""
        if self._file_md5 is None:
            return None
        written = self._ota.nvs_get(self._key)
        stored = self._ota.nvs_get(RMAKER_OTA_FILE_MD5_NVS_NAME)
        offset = offset_to_resume(stored, written, self._file_md5, self._unit)
        if offset is None:
            if isinstance(stored, str) and isinstance(written, int):
                text = "File MD5 mismatch, seems a new firmware, not resuming OTA"
                self._ota.core.log.warning(TAG_HTTPS, text)
            self._store(0, self._file_md5)
        return offset

    def remember(self, written: int) -> None:
        """After each step: so many bytes are in flash."""
        if self._file_md5 is not None:
            self._store(written, None)

    def forget(self) -> None:
        """Everything came: whether it is good is another question, and a bad image must not be resumed."""
        if resumption_is_built(self._ota.core.config):
            self._ota.nvs_erase(self._key, RMAKER_OTA_FILE_MD5_NVS_NAME)

    def _store(self, written: int, file_md5: str | None) -> None:
        nvs = self._ota.core.nvs
        length = written if self._unit == 1 else U16(written // _KIB & 0xFFFF)
        try:
            nvs.set(RMAKER_OTA_NVS_NAMESPACE, self._key, length)
            if file_md5 is not None:
                nvs.set(RMAKER_OTA_NVS_NAMESPACE, RMAKER_OTA_FILE_MD5_NVS_NAME, file_md5)
        except EspError:
            self._ota.core.log.error(TAG_HTTPS, _NOT_SAVED if file_md5 is None else _NOT_STARTED)
