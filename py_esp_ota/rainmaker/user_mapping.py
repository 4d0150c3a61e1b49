"""User-node mapping: ``esp_rmaker_user_mapping.c``. The node tells the cloud who its user is, and a secret with it.

Of the provisioning that brings user and secret to a node here is only what it ends in, ``start``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import IntEnum

from py_esp_ota.rainmaker.core import Core, RmakerState
from py_esp_ota.rainmaker.messages import NO_SECRET, NO_USER, USER_MAPPING, UserMapping

TAG = "esp_rmaker_user_mapping"
RETRY_DELAY_S = 5  # USER_MAPPING_RETRY_DELAY_SECONDS
MAX_RETRIES = 5  # USER_MAPPING_MAX_RETRIES


class MappingState(IntEnum):
    """``esp_rmaker_user_mapping_state_t``."""

    RESET = 0
    STARTED = 1
    REQ_SENT = 2
    DONE = 3


@dataclass(slots=True, eq=False)
class _Data:
    """``esp_rmaker_user_mapping_data_t``."""

    user_id: str
    secret_key: str
    sent: bool = False


class UserNodeMapping:
    """One boot of it, without ``ESP_RMAKER_USER_ID_CHECK`` and with factory reset reporting, as by default."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._data: _Data | None = None
        self._awaits_config = False
        self._then: dict[MappingState, Callable[[], object]] = {}
        self.state = MappingState.DONE  # esp_rmaker_user_node_mapping_init

    def once(self, state: MappingState, act: Callable[[], object]) -> None:
        """Do something at the next ``RMAKER_EVENT_USER_NODE_MAPPING_DONE`` or ``_RESET``."""
        self._then[state] = act

    def start(self, user_id: str, secret_key: str) -> None:
        """``esp_rmaker_start_user_node_mapping``: tell the cloud now, or when the config is reported."""
        self._data = _Data(user_id, secret_key)
        if user_id == NO_USER:  # esp_rmaker_user_mapping_detect_reset
            self._core.log.info(TAG, "User Node mapping reset detected.")
            self.state = MappingState.STARTED
        else:
            self.state = MappingState.DONE
        if self._core.state in {RmakerState.CONFIG_REPORTED, RmakerState.STARTED}:
            self._queue("Failed to queue user mapping task. Starting retry mechanism.")
        else:
            waiting = "RainMaker config is not reported, waiting for the event before retrying user mapping."
            self._core.log.info(TAG, waiting)
            self._awaits_config = True

    def reset(self) -> None:
        """``esp_rmaker_reset_user_node_mapping``: nobody is this node's user any more."""
        self.start(NO_USER, NO_SECRET)

    def on_config_reported(self) -> None:
        """``esp_rmaker_user_mapping_config_reported_event_handler``."""
        if not self._awaits_config:
            return
        self._awaits_config = False
        self._core.log.info(TAG, "RainMaker config reported, queuing pending user mapping task.")
        full = "Failed to queue user mapping task after RainMaker config reported. Starting retry mechanism."
        if self._queue(full):
            self._core.log.info(TAG, "Successfully queued user mapping task after RainMaker config reported.")

    def _queue(self, full: str) -> bool:
        if self._core.add_task(self._publish):
            return True
        self._core.log.warning(TAG, full)
        self._retry_later(1)
        return False

    def _retry_later(self, count: int) -> None:
        """``user_mapping_schedule_retry``."""
        if count > MAX_RETRIES:
            self._core.log.error(TAG, f"User mapping task queue failed after {MAX_RETRIES} attempts. Giving up.")
            return
        self._core.log.info(TAG, f"Scheduling user mapping retry {count}/{MAX_RETRIES} in {RETRY_DELAY_S} seconds")
        self._core.after(RETRY_DELAY_S, lambda: self._retry(count), "user mapping retry")

    def _retry(self, count: int) -> None:
        """``user_mapping_retry_timer_cb``."""
        self._core.log.info(TAG, f"Retrying user mapping task queue (attempt {count}/{MAX_RETRIES})")
        if self._core.add_task(self._publish):
            self._core.log.info(TAG, f"Successfully queued user mapping task on retry {count}")
            return
        self._core.log.warning(TAG, f"Failed to queue user mapping task on retry {count}")
        self._retry_later(count + 1)

    async def _publish(self) -> None:
        """``esp_rmaker_user_mapping_cb``."""
        data = self._data
        if data is None or data.sent:
            return
        said = UserMapping(
            node_id=self._core.node_id,
            user_id=data.user_id,
            secret_key=data.secret_key,
            reset=self.state is not MappingState.DONE,
        )
        payload = said.encode(well_formed=self._core.config.well_formed_json)
        message = self._core.mqtt.publish(USER_MAPPING, payload)
        self._core.log.info(TAG, f"MQTT Publish: {payload.decode(errors='replace')}")
        if message is None:
            self._core.log.error(TAG, "MQTT Publish Error -1")
            return
        self.state = MappingState.REQ_SENT
        data.sent = True
        self._core.spawn(self._acknowledged(data, message.acked.wait()), "user mapping PUBACK")

    async def _acknowledged(self, data: _Data, acked: Awaitable[object]) -> None:
        """``esp_rmaker_user_mapping_event_handler``: the PUBACK, unless another mapping began meanwhile."""
        await acked
        if self._data is not data:
            return
        self._core.log.info(TAG, "User Node association message published successfully.")
        self.state = MappingState.RESET if data.user_id == NO_USER else MappingState.DONE
        self._data = None
        if (act := self._then.pop(self.state, None)) is not None:
            act()
