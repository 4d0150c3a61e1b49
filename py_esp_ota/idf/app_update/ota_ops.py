"""``esp_ota_ops``: how a running app writes the next one and decides who boots (components/app_update/esp_ota_ops.c).

One :class:`OtaOps` lives as long as one run of the app; a reset ends it and every handle with it. Flash is touched in
upstream's order, so a power cut leaves what it would leave on a chip. It is made of layers, one file each:

===========  ====================================================================================
``updates``  begin, resume, set_final_partition, write, end, abort
``keys``     revoke_secure_boot_public_key
``states``   confirm, reject, what can be rolled back to, the slot before
``boot``     who boots next
``images``   descriptions of images, and whether they suit this chip
``app``      the running app, its table and its flash
===========  ====================================================================================

The app-side view of otadata is in ``otadata``, the rules of its entries in ``idf.rollback``, and what an older release
of ESP-IDF did otherwise in ``idf.features``.
"""

from __future__ import annotations

from py_esp_ota._core import Partition
from py_esp_ota.chip import Chip
from py_esp_ota.idf.app_update.updates import OTA_SIZE_UNKNOWN, OTA_WITH_SEQUENTIAL_WRITES, OtaUpdates
from py_esp_ota.idf.log import Log
from py_esp_ota.sdkconfig import Sdkconfig

__all__ = ["OTA_SIZE_UNKNOWN", "OTA_WITH_SEQUENTIAL_WRITES", "OtaOps"]


class OtaOps(OtaUpdates):
    """The OTA functions of one running app. Every one raises ``OtaError`` or ``FlashError`` where C returns a code.

    ``running`` is the partition the bootloader loaded. A partition argument may be ``None`` where C takes ``NULL``:
    ESP_ERR_INVALID_ARG. A C assertion ends the app, as ``abort()`` does: ``Restart``. So does a write to where an app
    must not write. A function that the app's release of ESP-IDF does not have answers ESP_ERR_NOT_SUPPORTED.
    """

    def __init__(self, chip: Chip, running: Partition, config: Sdkconfig, log: Log) -> None:
        super().__init__(chip, running, config, log)
        self._records = {}
        self._last_handle = 0
