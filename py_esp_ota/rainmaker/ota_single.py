"""What a node did with an update before it made attempts: one download, and what was reported of it.

``esp_rmaker_ota_default_cb`` as components/esp_rainmaker/src/ota/esp_rmaker_ota.c had it until version 1.6.0.
"""

from __future__ import annotations

from py_esp_ota.errors import EspErr, HttpsOtaError
from py_esp_ota.idf.esp_https_ota import https_ota
from py_esp_ota.idf.esp_https_ota.https_ota import HttpsOta, HttpsOtaConfig, esp_err_to_name
from py_esp_ota.rainmaker.checks import CHIP_REVISION_MISMATCH, progress_to_report
from py_esp_ota.rainmaker.messages import OtaStatus
from py_esp_ota.rainmaker.ota_attempt import accepts
from py_esp_ota.rainmaker.ota_handle import TAG, OtaData, OtaHandle
from py_esp_ota.rainmaker.ota_https import http_config

_DESCRIPTION = 39  # a buffer of 40 with its NUL
_STEPS_PER_LINE = 50


async def download_once(ota: OtaHandle, data: OtaData) -> bool:
    """Download and install; whether there is something to boot. Each failure has been reported, some of them twice."""
    core = ota.core
    if data.filesize:
        core.log.debug(TAG, f"Received file size: {data.filesize}")
    ota.report_status(OtaStatus.IN_PROGRESS, "Starting OTA Upgrade")
    core.log.warning(TAG, "Starting OTA. This may take time.")
    config = HttpsOtaConfig(http_config=http_config(data.url, core.config.esp_rmaker_ota_http_rx_buffer_size))
    try:
        handle = await https_ota.begin(config, ops=core.ops, fetch=core.fetch)
    except HttpsOtaError:
        core.log.error(TAG, "ESP HTTPS OTA Begin failed")
        ota.report_status(OtaStatus.FAILED, "ESP HTTPS OTA Begin failed")
        return False
    try:
        good = await _download(ota, handle)
        return await _finish(ota, handle) and good
    finally:
        await handle.close()  # a reset or a power cut comes through here as well


async def _download(ota: OtaHandle, handle: HttpsOta) -> bool:
    """From the header to the last byte; whether no step said no."""
    log = ota.core.log
    try:
        new_app_info = await handle.get_img_desc()
    except HttpsOtaError:
        log.error(TAG, "esp_https_ota_read_img_desc failed")
        ota.report_status(OtaStatus.FAILED, "Failed to read image decription")
        return False
    if not accepts(ota, new_app_info):
        log.error(TAG, "image header verification failed")
        return False
    ota.report_status(OtaStatus.IN_PROGRESS, "Downloading Firmware Image")
    good = True
    try:
        await _perform(ota, handle)
    except HttpsOtaError as error:
        if error.err is EspErr.ESP_ERR_INVALID_VERSION and ota.features.rejects_chip:
            ota.report_status(OtaStatus.REJECTED, CHIP_REVISION_MISMATCH)
            return False
        good, name = False, esp_err_to_name(error)
        if ota.features.rejects:
            log.error(TAG, f"ESP_HTTPS_OTA upgrade failed {name}")
        ota.report_status(OtaStatus.FAILED, f"OTA failed: Error {name}"[:_DESCRIPTION])
    if handle.is_complete_data_received():
        ota.report_status(OtaStatus.IN_PROGRESS, "Firmware Image download complete")
    else:
        log.error(TAG, "Complete data was not received.")
    return good


async def _perform(ota: OtaHandle, handle: HttpsOta) -> None:
    """Step by step to the last byte, of the size that the server says. Raises ``HttpsOtaError``."""
    config, last, steps = ota.core.config, 0, 0
    while await handle.perform() is EspErr.ESP_ERR_HTTPS_OTA_IN_PROGRESS:
        read = handle.get_image_len_read()
        steps += 1
        if steps % _STEPS_PER_LINE == 0:
            ota.core.log.info(TAG, f"Image bytes read: {read}")
        if not config.esp_rmaker_ota_progress_support:
            continue
        size, interval = handle.get_image_size(), config.esp_rmaker_ota_progress_interval
        percent = progress_to_report(read, size, last, interval)
        if percent is not None:
            last = percent
            ota.report_status(OtaStatus.IN_PROGRESS, f"Downloaded {percent}% Firmware Image")


async def _finish(ota: OtaHandle, handle: HttpsOta) -> bool:
    """Whatever came before: what was begun is ended, and so is often refused a second time."""
    err = EspErr.ESP_OK
    try:
        await handle.finish()
    except HttpsOtaError as error:
        err = error.err
    if err is EspErr.ESP_ERR_OTA_VALIDATE_FAILED:
        ota.core.log.error(TAG, "Image validation failed, image is corrupted")
        ota.report_status(OtaStatus.FAILED, "Image validation failed")
    return err is EspErr.ESP_OK
