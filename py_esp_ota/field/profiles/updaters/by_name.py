"""The updaters by the name that a profile has for its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from py_esp_ota.field.profiles.updaters import (
    arduino_update,
    esphome_backend,
    micropython_partition,
    native,
    tasmota_safeboot,
    wled_upload,
)
from py_esp_ota.idf.app_update.ota_ops import OtaOps

#: Writes an image into the next slot and chooses it. Raises ``UpdaterError``.
Updater = Callable[[OtaOps, bytes], None]

#: RainMaker's agent is a story of its own; what it calls in the end is what the example calls.
UPDATERS: Mapping[str, Updater] = {
    "arduino": arduino_update.update,
    "esphome": esphome_backend.update,
    "micropython": micropython_partition.update,
    "idf-example": native.update,
    "rainmaker": native.update,
    "tasmota": tasmota_safeboot.update,
    "wled": wled_upload.update,
}
