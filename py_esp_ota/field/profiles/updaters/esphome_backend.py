"""ESPHome's ``IDFOTABackend`` (esphome/components/ota/ota_backend_esp_idf.cpp), as its component ``ota`` uses it.

The MD5 that the sender gives along is taken to fit.
"""

from __future__ import annotations

from contextlib import suppress

from py_esp_ota._core import Partition
from py_esp_ota.errors import EspErr, EspError, FlashError, OtaError
from py_esp_ota.field.profiles.data.esphome import ANSWERS
from py_esp_ota.field.profiles.profile import Answer
from py_esp_ota.field.profiles.updaters.answering import refused
from py_esp_ota.idf.app_update.ota_ops import OtaOps

#: ``OTA_BUFFER_SIZE``.
BUFFER = 1024
_OK = ANSWERS.of("OTA_RESPONSE_OK")
_UNKNOWN = "OTA_RESPONSE_ERROR_UNKNOWN"
#: By the step and ``esp_err_t``; anything else is unknown.
_OF = {
    ("begin", EspErr.ESP_ERR_INVALID_SIZE): "OTA_RESPONSE_ERROR_ESP32_NOT_ENOUGH_SPACE",
    ("begin", EspErr.ESP_ERR_FLASH_OP_FAIL): "OTA_RESPONSE_ERROR_WRITING_FLASH",
    ("begin", EspErr.ESP_ERR_OTA_PARTITION_CONFLICT): "OTA_RESPONSE_ERROR_NO_UPDATE_PARTITION",
    ("write", EspErr.ESP_ERR_OTA_VALIDATE_FAILED): "OTA_RESPONSE_ERROR_MAGIC",
    ("write", EspErr.ESP_ERR_FLASH_OP_FAIL): "OTA_RESPONSE_ERROR_WRITING_FLASH",
    ("end", EspErr.ESP_ERR_OTA_VALIDATE_FAILED): "OTA_RESPONSE_ERROR_UPDATE_END",
    ("end", EspErr.ESP_ERR_FLASH_OP_FAIL): "OTA_RESPONSE_ERROR_WRITING_FLASH",
}


class IdfOtaBackend:
    """One update. Each step answers as the device does to ``esphome upload``; ``cause`` is what ESP-IDF said.

    Raises ``PowerLoss``, and ``Restart`` where an app must not write.
    """

    def __init__(self, ops: OtaOps) -> None:
        self.cause: EspError | str = ""
        self._ops = ops
        self._partition: Partition | None = None
        self._handle = 0

    def begin(self, image_size: int) -> Answer:
        """``begin``: the running app is good enough, and what the image needs is erased."""
        ops = self._ops
        if ops.config.bootloader_app_rollback_enable:
            with suppress(OtaError):
                ops.mark_app_valid_cancel_rollback()
        self._partition = ops.get_next_update_partition()
        if self._partition is None:
            return self._no(ANSWERS.of("OTA_RESPONSE_ERROR_NO_UPDATE_PARTITION"), "there is no OTA slot")
        try:
            self._handle = ops.begin(self._partition, image_size)
        except (OtaError, FlashError) as error:
            return self._because("begin", error)
        return _OK

    def write(self, data: bytes) -> Answer:
        """``write``."""
        try:
            self._ops.write(self._handle, data)
        except (OtaError, FlashError) as error:
            return self._because("write", error)
        return _OK

    def end(self) -> Answer:
        """``end``: verify, and choose."""
        try:
            self._ops.end(self._handle)
            self._ops.set_boot_partition(self._partition)
        except (OtaError, FlashError) as error:
            return self._because("end", error)
        return _OK

    def _because(self, step: str, error: EspError) -> Answer:
        return self._no(ANSWERS.of(_OF.get((step, error.err), _UNKNOWN)), error)

    def _no(self, answer: Answer, cause: EspError | str) -> Answer:
        self.cause = cause
        return answer


def update(ops: OtaOps, image: bytes) -> None:
    """Write ``image`` as ``handle_data_`` does. Raises ``UpdaterError``."""
    backend = IdfOtaBackend(ops)
    answer = backend.begin(len(image))
    for start in range(0, len(image), BUFFER):
        if answer.code:
            break
        answer = backend.write(image[start : start + BUFFER])
    answer = answer if answer.code else backend.end()
    if answer.code:
        raise refused("ESPHome", answer, backend.cause)
