"""A node's presence as a param, with a last will that takes it back (``esp_rmaker_connectivity.c``)."""

from __future__ import annotations

import asyncio

from py_esp_ota.errors import EspErr
from py_esp_ota.ports import Message
from py_esp_ota.rainmaker.core import Core
from py_esp_ota.rainmaker.messages import PARAMS_LOCAL, ParamValue, topic
from py_esp_ota.rainmaker.params import Param, ParamDevice

TAG = "esp_rmaker_connectivity"
LWT_DISCONNECT_MESSAGE = b'{"Connectivity":{"Connected":false}}'
_MAX_GROUP_ID_LENGTH = 32
_LWT_TOPIC_LIMIT = 127  # a buffer of 128 with its NUL


class Connectivity:
    """``esp_rmaker_connectivity_enable``: ``Connected`` is reported a while after each connect.

    ``group_id`` is the stored group, ``""`` without one.
    """

    def __init__(self, core: Core, group_id: str) -> None:
        self._core = core
        self._group_id = group_id if len(group_id) <= _MAX_GROUP_ID_LENGTH else ""
        self._timer: asyncio.Task[object] | None = None
        self._connected = Param("Connected", "esp.param.connected", True, ("read",))
        core.params.add(
            ParamDevice(
                "Connectivity", "esp.service.connectivity", [self._connected], is_service=True, write=_not_written
            )
        )
        core.mqtt.on_connected.append(self._on_connected)
        core.mqtt.on_disconnected.append(self._stop_timer)
        self._configure_lwt()

    def update_lwt(self, group_id: str) -> None:
        """``esp_rmaker_connectivity_update_lwt``: a will is told while connecting, so a new one needs another."""
        if group_id == self._group_id:
            return
        if len(group_id) > _MAX_GROUP_ID_LENGTH:
            text = f"Group ID length ({len(group_id)}) exceeds maximum ({_MAX_GROUP_ID_LENGTH})"
            self._core.log.error(TAG, text)
            return
        self._group_id = group_id
        self._configure_lwt()
        if self._core.mqtt.connected:
            self._core.log.info(TAG, "Scheduling MQTT reconnection to apply new LWT settings")
            self._core.add_task(self._reconnect)

    async def _reconnect(self) -> None:
        self._core.log.info(TAG, "Performing deferred MQTT config update")
        self._core.mqtt.reconnect()

    def _configure_lwt(self) -> None:
        """``esp_rmaker_connectivity_configure_lwt``: never by basic ingest."""
        suffix = f"{PARAMS_LOCAL}/{self._group_id}" if self._group_id else PARAMS_LOCAL
        name = topic(self._core.node_id, suffix)[:_LWT_TOPIC_LIMIT]
        self._core.log.info(TAG, f"Configuring LWT topic: {name}")
        self._core.mqtt.will = Message(name, LWT_DISCONNECT_MESSAGE)

    def _on_connected(self) -> None:
        delay = self._core.config.esp_rmaker_connectivity_report_delay
        if not delay:
            self._report()
            return
        self._core.log.info(TAG, f"MQTT Connected - will report Connected=true after {delay} seconds")
        self._stop_timer()
        self._timer = self._core.after(delay, self._report, "connectivity timer")

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _report(self) -> None:
        self._timer = None
        if not self._core.mqtt.connected:
            self._core.log.warning(TAG, "MQTT disconnected before reporting Connected=true, skipping")
            return
        self._core.log.info(TAG, "Reporting Connected=true")
        self._core.update_and_report(self._connected, value=True)


def _not_written(_param: Param, _value: ParamValue) -> EspErr:
    return EspErr.ESP_OK
