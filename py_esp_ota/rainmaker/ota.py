"""OTA of an ESP RainMaker node: enabling it, the first boot after an update, and the messages that start one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from py_esp_ota.errors import EspErr, EspError, OtaError
from py_esp_ota.idf.rollback import OtaImgState
from py_esp_ota.rainmaker import ota_test_rollback
from py_esp_ota.rainmaker.core import Core
from py_esp_ota.rainmaker.features import RmakerFeatures, rmaker_features
from py_esp_ota.rainmaker.json_text import shown
from py_esp_ota.rainmaker.messages import (
    ID_NOT_FOUND,
    JSON_PAYLOAD_ERROR,
    OTAURL,
    STREAM_NOT_FOUND,
    TOPIC_LIMIT,
    URL_NOT_FOUND,
    OtaStatus,
    OtaUrl,
    OtaUrlError,
    ParamValue,
    ota_status_to_string,
    topic,
)
from py_esp_ota.rainmaker.ota_fetch import period
from py_esp_ota.rainmaker.ota_handle import (
    OTA_SERVICE,
    RMAKER_OTA_FAIL_JOB_ID_NVS_NAME,
    RMAKER_OTA_FAIL_REASON_NVS_NAME,
    RMAKER_OTA_JOB_ID_NVS_NAME,
    RMAKER_OTA_UPDATE_FLAG_NVS_NAME,
    TAG,
    TAG_TOPICS,
    DiagState,
    DiagStatus,
    OtaConfig,
    OtaData,
    OtaEvent,
    OtaHandle,
    OtaType,
    job_id_in_buffer,
)
from py_esp_ota.rainmaker.ota_workflow import default_cb
from py_esp_ota.rainmaker.params import Param, ParamDevice

__all__ = [
    "DiagState",
    "DiagStatus",
    "OtaConfig",
    "OtaData",
    "OtaEvent",
    "OtaHandle",
    "OtaStatus",
    "OtaType",
    "RmakerOta",
    "default_cb",
    "ota_status_to_string",
]

TAG_PARAMS = "esp_rmaker_ota_using_params"
RMAKER_OTA_FETCH_DELAY_S = 5
_TELLING_S = 1.0
ROLLED_BACK = "Firmware rolled back"
VERIFIED = "OTA Upgrade finished and verified successfully"
PARAM_OTA_STATUS = "esp.param.ota_status"
PARAM_OTA_INFO = "esp.param.ota_info"
PARAM_OTA_URL = "esp.param.ota_url"
SERVICE_OTA = "esp.service.ota"


# What the console says of a message that is refused; the report has words of its own.
_REFUSED = {
    JSON_PAYLOAD_ERROR: "Invalid JSON received: {}",
    ID_NOT_FOUND: "Aborted. OTA Job ID not found in JSON",
    URL_NOT_FOUND: "Aborted. URL not found in JSON",
    STREAM_NOT_FOUND: "Aborted. Stream ID not found in JSON",
}


def _what_came_first(job: OtaUrl | OtaUrlError) -> Iterator[str]:
    """The console's lines about a message, in the order of reading, as far as each build gets."""
    if job.url is not None:
        yield f"URL: {job.url}"
    if job.file_md5 is not None:
        yield f"File MD5: {job.file_md5}"


def _what_came(job: OtaUrl, *, with_stream: bool) -> Iterator[str]:
    """All of them."""
    yield from _what_came_first(job)
    if with_stream:
        yield f"Stream ID: {job.stream_id}"
    yield f"File Size: {job.file_size}"
    if job.fw_version is not None:
        yield f"Firmware version: {job.fw_version}"


def _as_read(job: OtaUrl, features: RmakerFeatures) -> OtaUrl:
    """A message as a release reads it: what it does not know yet is passed over."""
    return replace(
        job,
        fw_version=job.fw_version if features.hands_on_version else None,
        file_md5=job.file_md5 if features.hands_on_md5 else None,
        metadata=job.metadata if features.hands_on_metadata else None,
    )


class RmakerOta:
    """OTA of one boot. ``enable`` makes it; the node calls the ``on_*`` methods as its life goes on."""

    def __init__(self, handle: OtaHandle) -> None:
        self.handle = handle
        self._rollback_timer: asyncio.Task[object] | None = None
        self._otaurl = topic(handle.core.node_id, OTAURL)[:TOPIC_LIMIT]

    @classmethod
    def enable(cls, core: Core, config: OtaConfig | None = None) -> RmakerOta:
        """``esp_rmaker_ota_enable``: without a config all defaults, over topics. Once per boot.

        Raises:
            OtaError: ESP_ERR_INVALID_ARG for another type, ESP_FAIL the second time.
            Restart: The first self-test failed and there is a firmware to go back to.
        """
        config = config or cls._defaults(core)
        if core.config.esp_rmaker_ota_test_rollback:
            for line in ota_test_rollback.BANNER:
                core.log.error(TAG, line)
        if config.type not in tuple(OtaType):
            core.log.error(TAG, "Invalid arguments for esp_rmaker_ota_enable()")
            raise OtaError(EspErr.ESP_ERR_INVALID_ARG, "{type!r} is no OTA type", type=config.type)
        if core.ota_enabled:
            core.log.error(TAG, "OTA already initialised")
            raise OtaError(EspErr.ESP_FAIL, "OTA is already enabled")
        core.ota_enabled = True
        ota = cls(OtaHandle(core, config))
        if config.type is OtaType.PARAMS:
            core.params.add(ota._service())
            core.log.info(TAG_PARAMS, "OTA enabled with Params")
        else:
            core.log.info(TAG_TOPICS, "OTA enabled with Topics")
        ota._manage_rollback()
        return ota

    @staticmethod
    def _defaults(core: Core) -> OtaConfig:
        if not rmaker_features(core.config.rainmaker_version).has_defaults:
            core.log.error(TAG, "Invalid arguments for esp_rmaker_ota_enable()")
            raise OtaError(EspErr.ESP_ERR_INVALID_ARG, "this release has no defaults")
        return OtaConfig()

    # ---------------------------------------------------------------------------------------------- first boot after

    def _manage_rollback(self) -> None:
        """``esp_rmaker_ota_manage_rollback``: what the running slot's state and the flag in NVS mean together."""
        handle = self.handle
        if not handle.features.confirms_over_mqtt:
            self._judge_at_once()
            return
        handle.validation_in_progress = handle.nvs_get(RMAKER_OTA_UPDATE_FLAG_NVS_NAME) is not None
        state = self._state()
        if state is None:
            return
        handle.core.log.info(TAG, f"OTA state = {state - (1 << 32) if state >> 31 else state}")
        if state == OtaImgState.PENDING_VERIFY:
            self._first_boot()
        elif handle.validation_in_progress:
            handle.rolled_back = True
            handle.nvs_erase(RMAKER_OTA_UPDATE_FLAG_NVS_NAME)
            if handle.config.type is OtaType.PARAMS:
                handle.report_status(OtaStatus.REJECTED, ROLLED_BACK)

    def _judge_at_once(self) -> None:
        """The same until June 2022: the self-test decides, and nobody is told."""
        log, state = self.handle.core.log, self._state()
        if state is None:
            return
        log.info(TAG, f"OTA state = {state - (1 << 32) if state >> 31 else state}")
        if state != OtaImgState.PENDING_VERIFY:
            return
        log.info(TAG, "First Boot after an OTA")
        ops = self.handle.core.ops
        if self._diagnose(DiagState.INIT) is not DiagStatus.FAIL:
            log.info(TAG, "Diagnostics completed successfully! Continuing execution ...")
            with suppress(EspError):
                ops.mark_app_valid_cancel_rollback()
            return
        log.error(TAG, "Diagnostics failed! Start rollback to the previous version ...")
        with suppress(EspError):
            ops.mark_app_invalid_rollback_and_reboot()

    def _first_boot(self) -> None:
        log = self.handle.core.log
        log.info(TAG, "First Boot after an OTA")
        if self._diagnose(DiagState.INIT) is DiagStatus.FAIL:
            log.error(TAG, "Diagnostics failed! Start rollback to the previous version ...")
            self.mark_invalid()
            return
        log.info(TAG, "Diagnostics completed successfully! Continuing execution ...")
        self.handle.ota_in_progress = True
        self.handle.core.mqtt.on_connected.append(self._on_mqtt_connected)
        period = self.handle.core.config.esp_rmaker_ota_rollback_wait_period
        self._rollback_timer = self.handle.core.every(period, self._rollback, "rollback timer")

    def _diagnose(self, state: DiagState) -> DiagStatus:
        if self.handle.config.ota_diag is None:
            return DiagStatus.SUCCESS
        answer = self.handle.config.ota_diag(state)
        if isinstance(answer, bool):
            return DiagStatus.SUCCESS if answer else DiagStatus.FAIL
        return answer

    def _rollback(self) -> None:
        """``esp_ota_rollback``: nobody confirmed the firmware in time."""
        handle = self.handle
        period = handle.core.config.esp_rmaker_ota_rollback_wait_period
        text = f"Could not verify firmware even after {period} seconds since boot-up. Rolling back."
        handle.core.log.error(TAG, text)
        if handle.core.config.esp_rmaker_ota_rollback_report_failed:
            self._leave_failure(f"MQTT did not connect within {period} seconds")
        self.mark_invalid()

    def _leave_failure(self, reason: str) -> None:
        """For the old firmware: why it is back, and for which job. One with a longer id is only forgotten."""
        handle = self.handle
        err = handle.nvs_set(RMAKER_OTA_FAIL_REASON_NVS_NAME, reason)
        if err is not EspErr.ESP_OK:
            handle.core.log.warning(TAG, f"Failed to store failure reason: {err.name}")
        job_id = job_id_in_buffer(handle.nvs_get(RMAKER_OTA_JOB_ID_NVS_NAME))
        if job_id is not None:
            err = handle.nvs_set(RMAKER_OTA_FAIL_JOB_ID_NVS_NAME, job_id)
            if err is not EspErr.ESP_OK:
                handle.core.log.warning(TAG, f"Failed to store failure job ID: {err.name}")
        handle.nvs_erase(RMAKER_OTA_JOB_ID_NVS_NAME)

    def _state(self) -> int | None:
        """``esp_ota_get_state_partition`` of the running slot; ``None`` where there is no otadata for it."""
        ops = self.handle.core.ops
        try:
            return int(ops.get_state_partition(ops.get_running_partition()))
        except EspError:
            return None

    def mark_valid(self) -> EspErr:
        """``esp_rmaker_ota_mark_valid``: confirm, report success and ask what is next."""
        if self._state() not in {None, OtaImgState.PENDING_VERIFY}:
            self.handle.core.log.warning(TAG, "OTA Already marked as valid")
            return EspErr.ESP_ERR_INVALID_STATE
        self._confirm(VERIFIED)
        return EspErr.ESP_OK

    def _confirm(self, info: str) -> None:
        handle = self.handle
        if self._on_mqtt_connected in handle.core.mqtt.on_connected:
            handle.core.mqtt.on_connected.remove(self._on_mqtt_connected)
        if not handle.features.asks_twice:  # said before it is done
            handle.report_status(OtaStatus.SUCCESS, info)
        with suppress(EspError):
            handle.core.ops.mark_app_valid_cancel_rollback()
        if handle.features.forgets_flag:
            handle.nvs_erase(RMAKER_OTA_UPDATE_FLAG_NVS_NAME)
        handle.ota_in_progress = False
        self._stop_rollback_timer()
        if handle.features.asks_twice:
            handle.report_status(OtaStatus.SUCCESS, info)
        if handle.config.type is OtaType.TOPICS:
            self._ask_soon()

    def _ask_soon(self) -> None:
        if self.handle.features.waits_to_ask:
            self.handle.fetch_with_delay(RMAKER_OTA_FETCH_DELAY_S)
        else:
            self.handle.fetch()

    def _stop_rollback_timer(self) -> None:
        if self._rollback_timer is not None:
            self._rollback_timer.cancel()
            self._rollback_timer = None

    def _fail_on_purpose(self) -> None:
        """``esp_rmaker_ota_test_handle_post_mqtt``: report a failure and go back, until the job came often enough."""
        handle = self.handle
        limit = handle.core.config.esp_rmaker_ota_test_rollback_count
        cycle = ota_test_rollback.advance_cycle(handle)
        info = ota_test_rollback.info(cycle, limit)
        if ota_test_rollback.is_last(cycle, limit):
            handle.core.log.warning(TAG, info)
            ota_test_rollback.clear_cycle_state(handle)
            if self._state() == OtaImgState.PENDING_VERIFY:
                self._confirm(info)
            else:
                text = "TEST_ROLLBACK end reached but partition not in PENDING_VERIFY; nothing to do."
                handle.core.log.warning(TAG, text)
            return
        handle.core.log.error(TAG, info)
        self._stop_rollback_timer()
        handle.report_status(OtaStatus.FAILED, info)
        handle.nvs_erase(*ota_test_rollback.FORGOTTEN)
        handle.core.add_task(self._go_back_when_told)

    async def _go_back_when_told(self) -> None:
        """esp-mqtt has written the report when it returns; here a task of its own does, and nothing comes before it."""
        sent = self.handle.last_sent
        if sent is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_TELLING_S):
                    await sent.acked.wait()
        self.mark_invalid()

    def mark_invalid(self) -> EspErr:
        """``esp_rmaker_ota_mark_invalid``: roll back and restart; ESP_OK also when there is nothing to go back to.

        Raises:
            Restart: The app was marked invalid.
        """
        if self._state() not in {None, OtaImgState.PENDING_VERIFY}:
            self.handle.core.log.error(TAG, "Cannot rollback due to invalid OTA state.")
            return EspErr.ESP_ERR_INVALID_STATE
        with suppress(EspError):
            self.handle.core.ops.mark_app_invalid_rollback_and_reboot()
        return EspErr.ESP_OK

    # ---------------------------------------------------------------------------------------------- the node's life

    def _on_mqtt_connected(self) -> None:
        """The handler of ``RMAKER_MQTT_EVENT_CONNECTED``, there only while the firmware is unconfirmed."""
        asks_twice = self.handle.features.asks_twice
        status = self._diagnose(DiagState.POST_MQTT) if asks_twice else DiagStatus.SUCCESS
        if status is DiagStatus.SUCCESS:
            if self.handle.core.config.esp_rmaker_ota_test_rollback:
                self._fail_on_purpose()
            else:
                self.mark_valid()
        elif status is DiagStatus.FAIL:
            self.handle.core.log.error(TAG, "Diagnostics failed! Start rollback to the previous version ...")
            self.mark_invalid()
        else:
            self.handle.core.log.warning(TAG, "Waiting for application to validate OTA.")

    async def on_started(self) -> None:
        """``esp_rmaker_ota_work_fn``, over topics: say that the firmware was rolled back, subscribe, ask for work."""
        handle = self.handle
        if handle.config.type is not OtaType.TOPICS:
            return
        if handle.rolled_back:
            self._report_rolled_back()
            handle.rolled_back = False
        handle.core.log.info(TAG_TOPICS, f"Subscribing to: {self._otaurl}")
        handle.core.mqtt.unsubscribe(self._otaurl)  # a stale one, upstream says; there is none
        if not handle.core.mqtt.subscribe(OTAURL, self.on_otaurl):
            handle.core.log.error(TAG_TOPICS, "OTA URL Subscription Error -1")
        config = handle.core.config
        if not config.esp_rmaker_ota_autofetch:
            return
        if not handle.ota_in_progress or not handle.features.confirms_over_mqtt:
            self._ask_soon()
        if config.esp_rmaker_ota_autofetch_period > 0:
            overflows = handle.features.watches_fetch and not handle.features.back_off_grows
            seconds = period(config.esp_rmaker_ota_autofetch_period, overflows=overflows)
            handle.core.every(seconds, handle.fetch, "otafetch period")

    def _report_rolled_back(self) -> None:
        """``failed`` against the job that the new firmware left a reason for, else ``rejected``."""
        handle = self.handle
        job_id = handle.nvs_get(RMAKER_OTA_FAIL_JOB_ID_NVS_NAME)
        if not isinstance(job_id, str):
            handle.report_status(OtaStatus.REJECTED, ROLLED_BACK)
            return
        handle.core.log.info(TAG_TOPICS, f"Rollback failure job_id found: {shown(job_id)}")
        reason = handle.nvs_get(RMAKER_OTA_FAIL_REASON_NVS_NAME)
        if isinstance(reason, str):
            handle.core.log.info(TAG_TOPICS, f"Rollback failure reason found: {shown(reason)}")
        handle.job_id = job_id
        handle.report_status(OtaStatus.FAILED, reason if isinstance(reason, str) else "Firmware verification failed")
        handle.job_id = None
        handle.nvs_erase(RMAKER_OTA_FAIL_JOB_ID_NVS_NAME, RMAKER_OTA_FAIL_REASON_NVS_NAME, RMAKER_OTA_JOB_ID_NVS_NAME)

    # -------------------------------------------------------------------------------------------------- over topics

    def on_otaurl(self, payload: bytes) -> None:
        """``ota_url_handler``: the decision table of an ``otaurl`` message."""
        handle = self.handle
        if handle.ota_in_progress:
            handle.core.log.error(TAG_TOPICS, "OTA already in progress. Please try later.")
            return
        handle.ota_in_progress = True
        log = handle.core.log
        text = payload.split(b"\0", 1)[0].decode(errors="replace")
        log.info(TAG_TOPICS, f"Upgrade Handler got:{text} on {self._otaurl} topic\n")
        over_mqtt = handle.core.config.esp_rmaker_ota_use_mqtt
        try:
            job = OtaUrl.decode(payload, needs_stream=over_mqtt)
        except OtaUrlError as error:
            if error.ota_job_id is not None:
                self._remember(error.ota_job_id)
            log.block(("I", TAG_TOPICS, shown(line)) for line in _what_came_first(error))
            log.error(TAG_TOPICS, _REFUSED[error.info].format(text))
            handle.report_status(OtaStatus.FAILED, error.info)
            handle.finish()
            return
        job = _as_read(job, handle.features)
        self._remember(job.ota_job_id)
        log.block(("I", TAG_TOPICS, shown(line)) for line in _what_came(job, with_stream=over_mqtt))
        config = handle.config
        self._queue(
            OtaData(
                url=job.url,
                stream_id=job.stream_id if over_mqtt else None,
                filesize=job.file_size,
                fw_version=job.fw_version,
                file_md5=job.file_md5,
                ota_job_id=job.ota_job_id,
                server_cert=config.server_cert,
                priv=config.priv,
                metadata=job.metadata,
            )
        )

    def _remember(self, job_id: str) -> None:
        if self.handle.features.confirms_over_mqtt:
            self.handle.nvs_set(RMAKER_OTA_JOB_ID_NVS_NAME, job_id.encode("utf-8", "surrogateescape"))
        self.handle.core.log.info(TAG_TOPICS, f"OTA Job ID: {shown(job_id)}")
        self.handle.job_id = job_id

    def _queue(self, data: OtaData) -> bool:
        """``esp_rmaker_work_queue_add_task`` of ``esp_rmaker_ota_common_cb``; a full queue drops the job silently."""
        handle = self.handle
        callback = handle.config.ota_cb or default_cb

        async def common_cb() -> None:
            try:
                await callback(handle, data)
            finally:
                handle.finish()

        queued = handle.core.add_task(common_cb)
        if not queued:
            handle.finish()
        return queued

    # -------------------------------------------------------------------------------------------------- over params

    def _service(self) -> ParamDevice:
        """``esp_rmaker_ota_service_create`` (components/esp_rainmaker/src/standard_types/)."""
        return ParamDevice(
            OTA_SERVICE,
            SERVICE_OTA,
            [
                Param("Status", PARAM_OTA_STATUS, "", ("read",)),
                Param("Info", PARAM_OTA_INFO, "", ("read",)),
                Param("URL", PARAM_OTA_URL, "", ("write",)),
            ],
            is_service=True,
            write=self._on_write,
        )

    def _on_write(self, param: Param, value: ParamValue) -> EspErr:
        """``esp_rmaker_ota_service_cb``: a written URL starts an update; the param itself keeps its value."""
        handle = self.handle
        if handle.ota_in_progress:
            handle.core.log.error(TAG_PARAMS, "OTA already in progress. Please try later.")
            return EspErr.ESP_FAIL
        if param.type != PARAM_OTA_URL or not isinstance(value, str):
            return EspErr.ESP_FAIL
        handle.core.log.info(TAG_PARAMS, f"Received value = {shown(value)} for {OTA_SERVICE} - {param.name}")
        handle.ota_in_progress = True
        data = OtaData(url=value, server_cert=handle.config.server_cert, priv=handle.config.priv)
        return EspErr.ESP_OK if self._queue(data) else EspErr.ESP_FAIL
