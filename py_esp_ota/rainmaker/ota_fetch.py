"""Asking the cloud for an update until the question has arrived.

Only the PUBACK of the question counts: an ``otafetch`` that arrived and was not answered is never repeated.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import Enum, auto

from py_esp_ota.errors import EspErr
from py_esp_ota.rainmaker.core import Core
from py_esp_ota.rainmaker.features import rmaker_features
from py_esp_ota.rainmaker.messages import OTAFETCH, OtaFetch
from py_esp_ota.rainmaker.outbox import Outgoing

TAG = "esp_rmaker_ota_using_topics"
OTA_FETCH_TIMEOUT_S = 60
OTA_FETCH_RETRY_BASE_DELAY_S = 30
OTA_FETCH_MAX_RETRIES = 5
FREERTOS_HZ = 100  # CONFIG_FREERTOS_HZ of a default build
_TICKS = 1 << 32  # of a TickType_t


class FetchEvent(Enum):
    """What can happen to a question."""

    NOT_SENT = auto()  # no connection, or the publish was refused
    SENT = auto()
    PUBACK = auto()
    TIMEOUT = auto()


@dataclass(frozen=True, slots=True)
class FetchState:
    """``ota_fetch_state_t``."""

    waiting: bool = False
    retry_count: int = 0


def backoff(retry: int) -> int:
    """``ota_fetch_schedule_retry``: seconds before the n-th repetition, doubling from 30 to 480 and staying there."""
    return OTA_FETCH_RETRY_BASE_DELAY_S << (min(retry, OTA_FETCH_MAX_RETRIES) - 1)


def timer_period(seconds: int) -> float:
    """What a timer makes of ``seconds``: a number of ticks that starts over after 497 days."""
    return seconds * FREERTOS_HZ % _TICKS / FREERTOS_HZ


def period(hours: int, *, overflows: bool) -> float:
    """Seconds between two periodic questions; from version 1.6.0 until 1.12.9 milliseconds times 100 lost bits."""
    if not overflows:
        return hours * 3600
    return hours * 3_600_000 * FREERTOS_HZ % _TICKS // 1000 / FREERTOS_HZ


def retry_text(retry: int, delay: int) -> str:
    """What the console calls the n-th repetition: beyond the fifth they are persistent."""
    if retry <= OTA_FETCH_MAX_RETRIES:
        return f"retry {retry} in {delay} seconds"
    return f"persistent retry {retry} at max interval ({delay} seconds)"


def step(state: FetchState, event: FetchEvent, *, grows: bool = True) -> tuple[FetchState, int | None]:
    """The state machine: the next state, and after how many seconds to ask again (``None``: not by this event).

    Until version 1.12.9 each question began to count anew, so that the back-off never grew.
    """
    match event:
        case FetchEvent.SENT:
            return FetchState(waiting=True, retry_count=state.retry_count), None
        case FetchEvent.PUBACK:
            return FetchState(), None
        case FetchEvent.NOT_SENT | FetchEvent.TIMEOUT:
            retry = state.retry_count + 1 if grows else 1 if event is FetchEvent.NOT_SENT else 2
            return FetchState(waiting=False, retry_count=retry), backoff(retry)


class Fetcher:
    """``esp_rmaker_ota_fetch`` and its timers, for one boot."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self.state = FetchState()

    def fetch(self) -> EspErr:
        """``esp_rmaker_ota_fetch``: ESP_OK also while an earlier question still waits for its PUBACK."""
        core, features = self._core, rmaker_features(self._core.config.rainmaker_version)
        if not features.watches_fetch:
            return self._ask(quietly=not features.confirms_over_mqtt)
        if self.state.waiting:
            core.log.warning(TAG, "OTA fetch already in progress. Skipping.")
            return EspErr.ESP_OK
        if not core.mqtt.connected:
            core.log.warning(TAG, "MQTT not connected. Cannot fetch OTA.")
            return self._fail(EspErr.ESP_ERR_INVALID_STATE)
        core.log.info(TAG, "Fetching OTA details, if any.")
        question = OtaFetch(node_id=core.node_id, fw_version=core.fw_version, network_id=core.network_id)
        sent = core.mqtt.publish(OTAFETCH, question.encode(well_formed=core.config.well_formed_json))
        if sent is None:
            core.log.error(TAG, f"OTA Fetch Publish Error {int(EspErr.ESP_FAIL)}")
            return self._fail(EspErr.ESP_FAIL)
        self._advance(FetchEvent.SENT)
        core.spawn(self._watch(sent), "otafetch PUBACK")
        return EspErr.ESP_OK

    def _ask(self, *, quietly: bool) -> EspErr:
        """The same until version 1.6.0: asked once, and whether it arrived is nobody's business."""
        core = self._core
        if not quietly:
            core.log.info(TAG, "Fetching OTA details, if any.")
        question = OtaFetch(node_id=core.node_id, fw_version=core.app.version)
        if core.mqtt.publish(OTAFETCH, question.encode()) is None:
            core.log.error(TAG, f"OTA Fetch Publish Error {int(EspErr.ESP_FAIL)}")
            return EspErr.ESP_FAIL
        return EspErr.ESP_OK

    def fetch_with_delay(self, seconds: int) -> None:
        """``esp_rmaker_ota_fetch_with_delay``: one more one-shot timer; nothing ever cancels it."""
        self._core.after(timer_period(seconds), self.fetch, "otafetch timer")

    async def _watch(self, sent: Outgoing) -> None:
        try:
            async with asyncio.timeout(OTA_FETCH_TIMEOUT_S):
                await sent.acked.wait()
        except TimeoutError:
            self._core.log.warning(TAG, "OTA fetch timeout - no PUBACK received")
            self._advance(FetchEvent.TIMEOUT)
        else:
            self._advance(FetchEvent.PUBACK)

    def _fail(self, err: EspErr) -> EspErr:
        self._core.log.warning(TAG, f"OTA fetch attempt failed: {err.name}")
        self._advance(FetchEvent.NOT_SENT)
        return err

    def _advance(self, event: FetchEvent) -> None:
        grows = rmaker_features(self._core.config.rainmaker_version).back_off_grows
        self.state, delay = step(self.state, event, grows=grows)
        if delay is not None:
            self._core.log.info(TAG, f"OTA fetch failed, {retry_text(self.state.retry_count, delay)}")
            self.fetch_with_delay(delay)
