"""One attempt to install an image over an MQTT stream (components/esp_rainmaker/src/ota/esp_rmaker_mqtt_ota.c)."""

from __future__ import annotations

import asyncio

from py_esp_ota.errors import EspErr, EspError
from py_esp_ota.idf.esp_https_ota.https_ota import esp_err_to_name
from py_esp_ota.rainmaker.checks import CHIP_REVISION_MISMATCH, progress_to_report
from py_esp_ota.rainmaker.core import Core
from py_esp_ota.rainmaker.messages import OtaStatus
from py_esp_ota.rainmaker.mqtt_ota import TAG, MqttOta, State
from py_esp_ota.rainmaker.ota_attempt import DONE, REJECTED, Attempt, accepts, failed
from py_esp_ota.rainmaker.ota_handle import RMAKER_OTA_NVS_NAMESPACE, OtaData, OtaHandle

RMAKER_OTA_MQTT_OFFSET_NVS_NAME = "mqtt_ota_off"  # u32, blocks
RMAKER_OTA_MQTT_MD5_NVS_NAME = "mqtt_ota_md5"  # string

WAIT_FOR_MQTT_POLL_S = 0.5
WAIT_FOR_MQTT_TIMEOUT_S = 60
_STEPS_PER_LINE = 50
_ERR_DESC = 127  # a buffer of 128 with its NUL
_RESUMES_SINCE = (5, 5, 0)


async def use_mqtt(ota: OtaHandle, data: OtaData) -> Attempt:
    """``esp_rmaker_ota_use_mqtt``: begin, check the header, download, finish; each with its own report or text."""
    core = ota.core
    if data.stream_id is None or not data.filesize:
        return failed("Missing stream_id or filesize for MQTT OTA")
    if ota.features.asks_by_bitmap and not await _wait_for_mqtt(core):
        return failed("MQTT not connected")
    resumption = Resumption(ota, data.file_md5)
    resume = resumption.recall()
    core.log.debug(TAG, f"Received file size: {data.filesize}")
    core.log.warning(TAG, "Starting OTA. This may take time.")
    handle = MqttOta(core, data.stream_id, data.filesize, resume=resume, batch_done=resumption.remember)
    try:
        await handle.begin()
    except EspError as error:
        return failed(_describe("ESP MQTT OTA Begin failed", error))
    if core.config.esp_rmaker_ota_progress_support:
        handle.progress = _Progress(ota)
    ended = await _download(ota, handle, resumed=resume > 0)
    if ended is not None:
        await handle.end(set_boot_partition=False)
        return ended
    finished = await _finish(handle)
    resumption.forget()
    return finished


async def _wait_for_mqtt(core: Core) -> bool:
    """``wait_for_mqtt``: a minute at most, looking twice a second."""
    for attempt in range(int(WAIT_FOR_MQTT_TIMEOUT_S / WAIT_FOR_MQTT_POLL_S)):
        if core.mqtt.connected:
            return True
        if attempt == 0:
            core.log.warning(TAG, "Waiting for MQTT to reconnect before starting OTA attempt.")
        await asyncio.sleep(WAIT_FOR_MQTT_POLL_S)
    core.log.error(TAG, f"MQTT did not reconnect within {WAIT_FOR_MQTT_TIMEOUT_S} seconds.")
    return False


async def _download(ota: OtaHandle, handle: MqttOta, *, resumed: bool) -> Attempt | None:
    """From the header to the last block; ``None`` when everything came. What is resumed was checked when it began."""
    if not resumed:
        try:
            new_app_info = await handle.get_img_desc()
        except EspError as error:
            return failed(_describe("Failed to read image description", error))
        if not accepts(ota, new_app_info):
            return REJECTED
    ota.report_status(OtaStatus.IN_PROGRESS, "Downloading Firmware Image")
    steps = 0
    while handle.state is not State.SUCCESS:
        try:
            await handle.perform()
        except EspError as error:
            if error.err is EspErr.ESP_ERR_INVALID_VERSION:
                ota.report_status(OtaStatus.REJECTED, CHIP_REVISION_MISMATCH)
                return REJECTED
            return failed(_describe("OTA failed", error))
        steps += 1
        if steps % _STEPS_PER_LINE == 0:
            ota.core.log.info(TAG, f"Image bytes read: {handle.read_length}")
    ota.report_status(OtaStatus.IN_PROGRESS, "Firmware Image download complete")
    return None


async def _finish(handle: MqttOta) -> Attempt:
    try:
        await handle.end(set_boot_partition=True)
    except EspError as error:
        invalid = error.err is EspErr.ESP_ERR_OTA_VALIDATE_FAILED
        return failed("Image validation failed" if invalid else _describe("OTA finish failed", error))
    return DONE


def _describe(what: str, error: EspError) -> str:
    return f"{what}: {esp_err_to_name(error)}"[:_ERR_DESC]


class _Progress:
    """``mqtt_ota_progress_cb``: each multiple of the interval once."""

    def __init__(self, ota: OtaHandle) -> None:
        self._ota = ota
        self._last = 0

    def __call__(self, read: int, total: int) -> None:
        interval = self._ota.core.config.esp_rmaker_ota_progress_interval
        percent = progress_to_report(read, total, self._last, interval)
        if percent is not None:
            self._last = percent
            self._ota.report_status(OtaStatus.IN_PROGRESS, f"Downloaded {percent}% Firmware Image")


class Resumption:
    """The memory of one stream, in NVS: which file, and how many blocks of it are written.

    Needs ESP-IDF v5.5 and RainMaker 1.15.
    """

    def __init__(self, ota: OtaHandle, file_md5: str | None) -> None:
        self._ota = ota
        self._built = ota.features.asks_by_bitmap and ota.core.config.idf_version >= _RESUMES_SINCE
        self._file_md5 = file_md5 if self._built else None

    def recall(self) -> int:
        """How many blocks of this very file are in flash; the memory begins anew where it is none."""
        if self._file_md5 is None:
            return 0
        core, blocks = self._ota.core, 0
        offset, stored = self._ota.nvs_get(RMAKER_OTA_MQTT_OFFSET_NVS_NAME), self._stored_md5()
        if isinstance(offset, int) and stored is not None:
            if stored == self._file_md5:
                blocks = offset
                length = (blocks * core.config.esp_rmaker_mqtt_ota_block_size) & 0xFFFFFFFF
                core.log.info(TAG, f"Resuming MQTT OTA from block {blocks} ({length} bytes, md5 match).")
            else:
                core.log.info(TAG, "Stored MQTT OTA state has different MD5; starting fresh.")
                self.forget()
        if blocks == 0:
            self._store(0, self._file_md5)
        return blocks

    def remember(self, blocks: int) -> None:
        """After each whole batch: so many blocks are in flash, from the first on."""
        if self._file_md5 is not None:
            self._store(blocks, None)

    def forget(self) -> None:
        """Everything came, or it is another file."""
        if self._built:
            self._ota.nvs_erase(RMAKER_OTA_MQTT_OFFSET_NVS_NAME, RMAKER_OTA_MQTT_MD5_NVS_NAME)

    def _stored_md5(self) -> str | None:
        stored = self._ota.nvs_get(RMAKER_OTA_MQTT_MD5_NVS_NAME)
        return stored if isinstance(stored, str) else None

    def _store(self, blocks: int, file_md5: str | None) -> None:
        """``mqtt_ota_set_resume_state``: deaf to refusals, but after one nothing more is stored."""
        nvs = self._ota.core.nvs
        try:
            nvs.set(RMAKER_OTA_NVS_NAMESPACE, RMAKER_OTA_MQTT_OFFSET_NVS_NAME, blocks)
            if file_md5 is not None:
                nvs.set(RMAKER_OTA_NVS_NAMESPACE, RMAKER_OTA_MQTT_MD5_NVS_NAME, file_md5)
        except EspError:
            return
