"""One attempt to install an image over HTTPS (components/esp_rainmaker/src/ota/esp_rmaker_https_ota.c)."""

from __future__ import annotations

from py_esp_ota.errors import EspErr, HttpsOtaError, Restart
from py_esp_ota.idf import newlib
from py_esp_ota.idf.esp_https_ota import https_ota
from py_esp_ota.idf.esp_https_ota.https_ota import HttpClientConfig, HttpsOta, HttpsOtaConfig, esp_err_to_name
from py_esp_ota.rainmaker.checks import (
    CHIP_REVISION_MISMATCH,
    divides_by_zero,
    progress_to_report,
)
from py_esp_ota.rainmaker.messages import OtaStatus
from py_esp_ota.rainmaker.ota_attempt import DONE, REJECTED, Attempt, accepts, failed
from py_esp_ota.rainmaker.ota_handle import TAG_HTTPS, OtaData, OtaHandle
from py_esp_ota.rainmaker.ota_resume import Resumption

DEF_HTTP_TX_BUFFER_SIZE = 1024
_TX_BUFFER_MARGIN = 128
_ERR_DESC = 127  # a buffer of 128 with its NUL
_STEPS_PER_LINE = 50


def describe(what: str, error: HttpsOtaError) -> str:
    """``<what>: <esp_err name> (errno=<n>: <text>)``, as long as its buffer is."""
    number = error.fact.get("errno", 0)
    number = number if isinstance(number, int) else 0
    text = newlib.strerror(number) if number else "Invalid"
    return f"{what}: {esp_err_to_name(error)} (errno={number}: {text})"[:_ERR_DESC]


def http_config(url: str, rx_buffer_size: int) -> HttpClientConfig:
    """The HTTP client's settings: five seconds, the certificate bundle, a request buffer that fits long URLs."""
    long_url = len(url) > DEF_HTTP_TX_BUFFER_SIZE
    return HttpClientConfig(
        url=url,
        timeout_ms=5000,
        buffer_size=rx_buffer_size,
        buffer_size_tx=len(url) + _TX_BUFFER_MARGIN if long_url else DEF_HTTP_TX_BUFFER_SIZE,
    )


async def use_https(ota: OtaHandle, data: OtaData) -> Attempt:
    """``esp_rmaker_ota_use_https``: begin, check the header, download, finish; each with its own report or text."""
    core = ota.core
    if data.filesize:
        core.log.debug(TAG_HTTPS, f"Received file size: {data.filesize}")
    resumption = Resumption(ota, data.file_md5)
    offset = resumption.recall()
    core.log.warning(TAG_HTTPS, "Starting OTA. This may take time.")
    config = HttpsOtaConfig(
        http_config=http_config(data.url, core.config.esp_rmaker_ota_http_rx_buffer_size),
        ota_resumption=offset is not None,
        ota_image_bytes_written=offset or 0,
    )
    try:
        handle = await https_ota.begin(config, ops=core.ops, fetch=core.fetch)
    except HttpsOtaError as error:
        return failed(describe("OTA Begin failed", error))
    try:
        ended = await _download(ota, data, handle, resumption)
        if ended is not None:
            await handle.abort()
            return ended
        return await _finish(handle)
    finally:
        await handle.close()  # a reset or a power cut comes through here as well


async def _download(ota: OtaHandle, data: OtaData, handle: HttpsOta, resumption: Resumption) -> Attempt | None:
    """From the header to the last byte; ``None`` when everything came and the image may be finished."""
    try:
        new_app_info = await handle.get_img_desc()
    except HttpsOtaError as error:
        return failed(describe("Failed to read image description", error))
    if not accepts(ota, new_app_info):
        return REJECTED
    ota.report_status(OtaStatus.IN_PROGRESS, "Downloading Firmware Image")
    try:
        await _perform(ota, data, handle, resumption)
    except HttpsOtaError as error:
        if error.err is EspErr.ESP_ERR_INVALID_VERSION:
            ota.report_status(OtaStatus.REJECTED, CHIP_REVISION_MISMATCH)
            return REJECTED
        return failed(describe("OTA failed", error))
    if not handle.is_complete_data_received():
        return failed("Complete data was not received")
    resumption.forget()
    ota.report_status(OtaStatus.IN_PROGRESS, "Firmware Image download complete")
    return None


async def _perform(ota: OtaHandle, data: OtaData, handle: HttpsOta, resumption: Resumption) -> None:
    """Step by step to the last byte. Raises ``HttpsOtaError``, and ``Restart`` where progress divides by zero."""
    config, last, steps = ota.core.config, 0, 0
    while await handle.perform() is EspErr.ESP_ERR_HTTPS_OTA_IN_PROGRESS:
        read = handle.get_image_len_read()
        steps += 1
        if steps % _STEPS_PER_LINE == 0:
            ota.core.log.info(TAG_HTTPS, f"Image bytes read: {read}")
        resumption.remember(read)
        if not config.esp_rmaker_ota_progress_support:
            continue
        if divides_by_zero(data.filesize, ota.core.ops.chip.target.name):
            raise Restart("IntegerDivideByZero in esp_rmaker_ota_use_https: the message has no file_size")
        percent = progress_to_report(read, data.filesize, last, config.esp_rmaker_ota_progress_interval)
        if percent is not None:
            last = percent
            ota.report_status(OtaStatus.IN_PROGRESS, f"Downloaded {percent}% Firmware Image")


async def _finish(handle: HttpsOta) -> Attempt:
    try:
        await handle.finish()
    except HttpsOtaError as error:
        if error.err is EspErr.ESP_ERR_OTA_VALIDATE_FAILED:
            return failed("Image validation failed")
        return failed(describe("OTA finish failed", error))
    return DONE
