"""ESP-IDF's ``native_ota_example``: ``esp_ota_ops``, and its errors as they are."""

from __future__ import annotations

from py_esp_ota.errors import EspErr, FlashError, OtaError
from py_esp_ota.field.profiles.data.idf_example import PROFILE
from py_esp_ota.field.profiles.profile import Answer
from py_esp_ota.field.profiles.updaters.answering import UpdaterError, refused
from py_esp_ota.idf.app_update.ota_ops import OTA_WITH_SEQUENTIAL_WRITES, OtaOps

#: ``BUFFSIZE``.
_BUFFER = 1024
_NO_SLOT = PROFILE.answers.of("ESP_ERR_INVALID_ARG")


def update(ops: OtaOps, image: bytes) -> None:
    """Write ``image`` into the next slot and choose it. Raises ``UpdaterError``."""
    slot = ops.get_next_update_partition()
    if slot is None:
        raise refused("esp_ota_begin", _NO_SLOT, "the partition table has no OTA slot")
    step = "esp_ota_begin"
    try:
        handle = ops.begin(slot, OTA_WITH_SEQUENTIAL_WRITES)
        step = "esp_ota_write"
        for start in range(0, len(image), _BUFFER):
            ops.write(handle, image[start : start + _BUFFER])
        step = "esp_ota_end"
        ops.end(handle)
        step = "esp_ota_set_boot_partition"
        ops.set_boot_partition(slot)
    except (OtaError, FlashError) as error:
        raise _refused(step, error.err, error) from error


def _refused(step: str, err: EspErr, error: OtaError | FlashError) -> UpdaterError:
    return refused(step, Answer(int(err), err.name, err.name), error)
