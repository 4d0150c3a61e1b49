"""The OTA handle: its configuration, what is known of the job at hand, and how a status leaves the node."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum

from py_esp_ota.errors import EspErr, EspError
from py_esp_ota.ports import NvsValue
from py_esp_ota.rainmaker.core import Core
from py_esp_ota.rainmaker.features import RmakerFeatures, rmaker_features
from py_esp_ota.rainmaker.messages import OTASTATUS, OtaStatus, OtaStatusReport, ota_status_to_string
from py_esp_ota.rainmaker.ota_fetch import Fetcher
from py_esp_ota.rainmaker.outbox import Outgoing

TAG = "esp_rmaker_ota"
TAG_TOPICS = "esp_rmaker_ota_using_topics"
TAG_HTTPS = "esp_rmaker_https_ota"

RMAKER_OTA_NVS_NAMESPACE = "rmaker_ota"
RMAKER_OTA_JOB_ID_NVS_NAME = "rmaker_ota_id"
RMAKER_OTA_UPDATE_FLAG_NVS_NAME = "ota_update"
RMAKER_OTA_FAIL_REASON_NVS_NAME = "ota_fail_rsn"
RMAKER_OTA_FAIL_JOB_ID_NVS_NAME = "ota_fail_jid"
_JOB_ID_BUFFER = 64

OTA_SERVICE = "OTA"


class OtaType(IntEnum):
    """``esp_rmaker_ota_type_t``."""

    PARAMS = 1
    TOPICS = 2


class DiagState(IntEnum):
    """``esp_rmaker_ota_diag_state_t``: when the self-test is asked."""

    INIT = 0
    POST_MQTT = 1


class DiagStatus(IntEnum):
    """``esp_rmaker_ota_diag_status_t``: what it answers."""

    FAIL = 0
    PENDING = 1
    SUCCESS = 2


class OtaEvent(IntEnum):
    """``esp_rmaker_ota_event_t``."""

    INVALID = 0
    STARTING = 1
    IN_PROGRESS = 2
    SUCCESSFUL = 3
    FAILED = 4
    REJECTED = 5
    DELAYED = 6
    REQ_FOR_REBOOT = 7


_STATUS_EVENTS = {
    OtaStatus.IN_PROGRESS: OtaEvent.IN_PROGRESS,
    OtaStatus.SUCCESS: OtaEvent.SUCCESSFUL,
    OtaStatus.FAILED: OtaEvent.FAILED,
    OtaStatus.DELAYED: OtaEvent.DELAYED,
    OtaStatus.REJECTED: OtaEvent.REJECTED,
}


def ota_status_to_event(status: int) -> OtaEvent:
    """``esp_rmaker_ota_status_to_event``."""
    return {int(member): event for member, event in _STATUS_EVENTS.items()}.get(status, OtaEvent.INVALID)


def job_id_in_buffer(stored: NvsValue | None) -> str | None:
    """``nvs_get_blob`` of a job id into 64 bytes: ``None`` for a longer one, as for none and one of another type."""
    if not isinstance(stored, bytes) or len(stored) > _JOB_ID_BUFFER:
        return None
    return stored.decode("utf-8", "surrogateescape")


@dataclass(frozen=True, kw_only=True, slots=True)
class OtaData:
    """``esp_rmaker_ota_data_t``: what the callback is told."""

    url: str
    stream_id: str | None = None  # in builds with OTA over MQTT
    filesize: int = 0
    fw_version: str | None = None
    file_md5: str | None = None
    ota_job_id: str | None = None
    server_cert: str | None = None
    priv: object = None
    metadata: str | None = None


OtaCallback = Callable[["OtaHandle", OtaData], Awaitable[object]]
Diagnostics = Callable[[DiagState], DiagStatus | bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class OtaConfig:
    """``esp_rmaker_ota_config_t``, with the type that ``esp_rmaker_ota_enable`` takes beside it.

    ``ota_diag`` may answer with a bool as in early releases: ``True`` is SUCCESS, ``False`` is FAIL. ``server_cert``
    and ``priv`` are passed on to ``ota_cb``. ``on_event`` listens on the default event loop for ``RMAKER_OTA_EVENT``.
    """

    ota_cb: OtaCallback | None = None
    ota_diag: Diagnostics | None = None
    server_cert: str | None = None
    priv: object = None
    type: OtaType = OtaType.TOPICS
    on_event: Callable[[OtaEvent, str | None], None] | None = None


@dataclass(eq=False)
class OtaHandle:
    """``esp_rmaker_ota_t``: the state of OTA during one boot."""

    core: Core
    config: OtaConfig
    ota_in_progress: bool = False
    validation_in_progress: bool = False  # the ota_update flag was found at boot
    rolled_back: bool = False
    job_id: str | None = None  # in RAM: from a good ota_job_id until the callback returns
    last_reported_status: OtaStatus | None = None
    last_sent: Outgoing | None = None  # the latest report over topics
    fetcher: Fetcher = field(init=False)

    def __post_init__(self) -> None:
        self.fetcher = Fetcher(self.core)

    @property
    def features(self) -> RmakerFeatures:
        """What the release of this build has."""
        return rmaker_features(self.core.config.rainmaker_version)

    # ------------------------------------------------------------------------------------------------------- reports

    def report_status(self, status: OtaStatus, additional_info: str) -> EspErr:
        """``esp_rmaker_ota_report_status``: by params or by topics; the event is posted whatever became of it."""
        if self.features.confirms_over_mqtt:
            self.core.log.info(TAG, f"Reporting {ota_status_to_string(status)}: {additional_info}")
        if self.config.type is OtaType.PARAMS:
            err = self._report_status_using_params(status, additional_info)
        else:
            err = self._report_status_using_topics(status, additional_info)
        if err is EspErr.ESP_OK:
            self.last_reported_status = status
        self.post_event(ota_status_to_event(status), additional_info)
        return err

    def post_event(self, event: OtaEvent, data: str | None = None) -> None:
        """``esp_rmaker_ota_post_event``."""
        if self.config.on_event is not None and self.features.posts_events:
            self.config.on_event(event, data)

    def _report_status_using_params(self, status: OtaStatus, additional_info: str) -> EspErr:
        """``esp_rmaker_ota_report_status_using_params``: two reports, the text before the status."""
        service = self.core.params.device(OTA_SERVICE)
        self.core.update_and_report(service.param("Info"), additional_info)
        self.core.update_and_report(service.param("Status"), ota_status_to_string(status))
        return EspErr.ESP_OK

    def _report_status_using_topics(self, status: OtaStatus, additional_info: str) -> EspErr:
        """``esp_rmaker_ota_report_status_using_topics``."""
        known, job_id = self._job_id_for_report()
        if not known:
            self.core.log.warning(TAG_TOPICS, "Not reporting any status, since there is no Job ID available")
            return EspErr.ESP_ERR_INVALID_STATE
        report = OtaStatusReport(
            ota_job_id=job_id,
            status=ota_status_to_string(status),
            network_id=self.core.network_id,
            additional_info=additional_info,
            ts=int(self.core.clock.now()) if self.features.attempts else None,
        )
        payload = report.encode(well_formed=self.core.config.well_formed_json)
        if self.features.confirms_over_mqtt:
            self.core.log.info(TAG_TOPICS, payload.decode(errors="replace"))
        self.last_sent = self.core.mqtt.publish(OTASTATUS, payload)
        if self.last_sent is not None:
            return EspErr.ESP_OK
        self.core.log.error(TAG_TOPICS, f"esp_rmaker_mqtt_publish_data returned error {int(EspErr.ESP_FAIL)}")
        return EspErr.ESP_FAIL

    def _job_id_for_report(self) -> tuple[bool, str | None]:
        """Whether to report at all, and for which job. An id from NVS serves once: it is erased before it is used."""
        if self.job_id is not None or not self.features.confirms_over_mqtt:
            return True, self.job_id
        try:
            stored = self.core.nvs.get(RMAKER_OTA_NVS_NAMESPACE, RMAKER_OTA_JOB_ID_NVS_NAME)
        except EspError:  # the namespace cannot be opened: reported without an id
            return True, None
        job_id = job_id_in_buffer(stored)
        if job_id is not None:
            self.nvs_erase(RMAKER_OTA_JOB_ID_NVS_NAME)
        return job_id is not None or not self.features.asks_twice, job_id

    # ----------------------------------------------------------------------------------------------------------- NVS

    def nvs_get(self, key: str) -> NvsValue | None:
        """A value of the OTA namespace; ``None`` also when the store refuses."""
        try:
            return self.core.nvs.get(RMAKER_OTA_NVS_NAMESPACE, key)
        except EspError:
            return None

    def nvs_set(self, key: str, value: bytes | str | int) -> EspErr:
        """Store a value in the OTA namespace. Most callers are, like upstream, deaf to refusals."""
        try:
            self.core.nvs.set(RMAKER_OTA_NVS_NAMESPACE, key, value)
        except EspError as refused:
            return refused.err
        return EspErr.ESP_OK

    def nvs_erase(self, *keys: str) -> None:
        """Forget values of the OTA namespace; like upstream, deaf to refusals."""
        for key in keys:
            with suppress(EspError):
                self.core.nvs.erase(RMAKER_OTA_NVS_NAMESPACE, key)

    # -------------------------------------------------------------------------------------------------------- fetch

    def fetch(self) -> EspErr:
        """``esp_rmaker_ota_fetch``."""
        return self.fetcher.fetch()

    def fetch_with_delay(self, seconds: int) -> None:
        """``esp_rmaker_ota_fetch_with_delay``."""
        self.fetcher.fetch_with_delay(seconds)

    def finish(self) -> None:
        """``esp_rmaker_ota_finish_using_topics`` and ``_using_params``: the job leaves RAM, its id stays in NVS."""
        self.job_id = None
        self.ota_in_progress = False
