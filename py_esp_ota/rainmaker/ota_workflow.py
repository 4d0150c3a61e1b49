"""What a node does with an update: time, attempts, success (components/esp_rainmaker/src/ota/esp_rmaker_ota.c)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import tzinfo

from py_esp_ota.errors import EspErr, EspError
from py_esp_ota.rainmaker.messages import OtaStatus
from py_esp_ota.rainmaker.ota_attempt import Attempt
from py_esp_ota.rainmaker.ota_handle import (
    RMAKER_OTA_UPDATE_FLAG_NVS_NAME,
    TAG,
    OtaData,
    OtaEvent,
    OtaHandle,
    OtaType,
)
from py_esp_ota.rainmaker.ota_https import use_https
from py_esp_ota.rainmaker.ota_mqtt import use_mqtt
from py_esp_ota.rainmaker.ota_single import download_once
from py_esp_ota.rainmaker.ota_time import handle_time, local_minute, named_zone, posix_zone, read_metadata

OTA_REBOOT_TIMER_SEC = 10
_RMAKER_TIME_NVS_NAMESPACE = "rmaker_time"
_TZ_POSIX_NVS_NAME = "tz_posix"
_START_INFO = 63  # buffers of 64 and 192 with their NUL
_FAIL_INFO = 191


@dataclass(frozen=True, slots=True)
class _Way:
    """How an image comes, and what reports call it."""

    name: str
    use: Callable[[OtaHandle, OtaData], Awaitable[Attempt]]


_HTTPS = _Way("HTTPS", use_https)
_MQTT = _Way("MQTT", use_mqtt)


async def default_cb(ota: OtaHandle, data: OtaData) -> EspErr:
    """``esp_rmaker_ota_default_cb``, ``esp_rmaker_ota_https_cb``, ``_mqtt_cb`` and ``esp_rmaker_ota_start_workflow``.

    A custom callback may call this one. ESP_FAIL when nothing was installed, for whatever reason; in a build with OTA
    over MQTT also, and without a word, when there is no stream or no size.
    """
    over_mqtt = ota.core.config.esp_rmaker_ota_use_mqtt
    if over_mqtt and (data.stream_id is None or not data.filesize):
        return EspErr.ESP_FAIL
    way = _MQTT if over_mqtt else _HTTPS
    if data.metadata is not None and not _handle_metadata(ota, data.metadata):
        ota.core.log.warning(TAG, "Cannot proceed with the OTA as per the metadata received.")
        return EspErr.ESP_FAIL
    ota.post_event(OtaEvent.STARTING)
    if not ota.features.attempts:
        return await _once(ota, data)
    attempts = await _retry_loop(ota, data, way)
    if attempts is None:
        return EspErr.ESP_FAIL
    _succeed(ota, attempts, way)
    return EspErr.ESP_OK


async def _once(ota: OtaHandle, data: OtaData) -> EspErr:
    """What follows until version 1.6.0."""
    if not await download_once(ota, data):
        return EspErr.ESP_FAIL
    if ota.core.config.bootloader_app_rollback_enable and ota.features.confirms_over_mqtt:
        ota.nvs_set(RMAKER_OTA_UPDATE_FLAG_NVS_NAME, b"\x01")
        ota.report_status(OtaStatus.IN_PROGRESS, "Rebooting into new firmware")
    else:
        ota.report_status(OtaStatus.SUCCESS, "OTA Upgrade finished successfully")
    _reboot(ota, "OTA upgrade successful.")
    return EspErr.ESP_OK


def _handle_metadata(ota: OtaHandle, metadata: str) -> bool:
    """``esp_rmaker_ota_handle_metadata``: whether to go on now."""
    core = ota.core
    if not core.config.esp_rmaker_ota_time_support:
        return True
    now = core.clock.now()
    info = read_metadata(metadata)
    decision = handle_time(info, int(now), local_minute(now, _zone(ota)))
    core.log.block((level, TAG, text) for level, text in (*info.lines(), *decision.lines))
    if decision.status is not None:
        ota.report_status(decision.status, decision.info)
    if decision.refetch_after is not None:
        ota.fetch_with_delay(decision.refetch_after)
    return decision.go


def _zone(ota: OtaHandle) -> tzinfo:
    """``esp_rmaker_timezone_enable``: the zone in NVS, a blob with a POSIX text, else the build's."""
    core = ota.core
    try:
        stored = core.nvs.get(_RMAKER_TIME_NVS_NAMESPACE, _TZ_POSIX_NVS_NAME)
    except EspError:
        stored = None
    return posix_zone(stored) if isinstance(stored, bytes) else named_zone(core.config.esp_rmaker_def_timezone)


async def _retry_loop(ota: OtaHandle, data: OtaData, way: _Way) -> int | None:
    """``esp_rmaker_ota_retry_loop``: the attempt that succeeded, without a pause between them; ``None`` if none did."""
    total = ota.core.config.esp_rmaker_ota_max_retries
    for number in range(1, total + 1):
        info = f"Starting OTA Upgrade ({way.name} attempt {number}/{total})"
        ota.report_status(OtaStatus.IN_PROGRESS, info[:_START_INFO])
        ota.core.log.warning(TAG, f"Starting {way.name} OTA attempt {number}/{total}. This may take time.")
        attempt = await way.use(ota, data)
        if attempt.err is EspErr.ESP_OK:
            return number
        if attempt.rejected:
            return None
        ota.core.log.error(TAG, f"{way.name} OTA attempt {number} failed: {attempt.err_desc}")
        failure = f"OTA Attempt {number}/{total} failed: {attempt.err_desc}"
        ota.report_status(OtaStatus.FAILED, failure[:_FAIL_INFO])
    if ota.config.type is OtaType.TOPICS:
        ota.fetch_with_delay(ota.core.config.esp_rmaker_ota_retry_delay_minutes * 60)
    return None


def _succeed(ota: OtaHandle, attempts: int, way: _Way) -> None:
    """With rollback the new firmware will say that it works; without, this one says so now."""
    config = ota.core.config
    plural = "" if attempts == 1 else "s"
    if config.bootloader_app_rollback_enable:
        ota.nvs_set(RMAKER_OTA_UPDATE_FLAG_NVS_NAME, b"\x01")
        info = f"Rebooting into new firmware (after {attempts} {way.name} attempt{plural})"
        ota.report_status(OtaStatus.IN_PROGRESS, info)
    else:
        info = f"{way.name} OTA Upgrade finished successfully (after {attempts} attempt{plural})"
        ota.report_status(OtaStatus.SUCCESS, info)
    _reboot(ota, f"{way.name} OTA upgrade successful.")


def _reboot(ota: OtaHandle, done: str) -> None:
    """In a while, or when the application says so."""
    if ota.core.config.esp_rmaker_ota_disable_auto_reboot:
        ota.core.log.info(TAG, f"{done} Auto reboot is disabled. Requesting a Reboot via Event handler.")
        ota.post_event(OtaEvent.REQ_FOR_REBOOT)
        return
    ota.core.log.info(TAG, f"{done} Rebooting in {OTA_REBOOT_TIMER_SEC} seconds...")
    ota.core.reboot(OTA_REBOOT_TIMER_SEC)
