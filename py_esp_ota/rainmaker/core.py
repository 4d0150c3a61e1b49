"""What every part of the agent needs: identity, doors, params, the work queue and timers of one boot."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Any, NoReturn

from py_esp_ota._core import AppDesc
from py_esp_ota.errors import Restart
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.log import Log
from py_esp_ota.ports import Clock, Fetch, Nvs
from py_esp_ota.rainmaker import json_text
from py_esp_ota.rainmaker.features import as_built
from py_esp_ota.rainmaker.messages import ALERT, PARAMS_LOCAL, PARAMS_LOCAL_INIT, ParamValue
from py_esp_ota.rainmaker.mqtt import MqttClient
from py_esp_ota.rainmaker.params import Param, ParamStore
from py_esp_ota.sdkconfig import Sdkconfig

TAG_PARAM = "esp_rmaker_param"
WORK_QUEUE_SIZE = 8
ESP_RMAKER_MAX_ALERT_LEN = 100
_PARAMS_SIZE_MARGIN = 50

Work = Callable[[], Awaitable[object]]


class RmakerState(IntEnum):
    """``esp_rmaker_state_t`` (components/esp_rainmaker/include/esp_rmaker_core.h), as far as this node goes."""

    INIT_DONE = 1
    STARTING = 2
    CONFIG_REPORTED = 3
    STARTED = 4


@dataclass(kw_only=True, eq=False)
class Core:
    """One boot of the agent. Everything it starts runs in ``group`` and ends with it."""

    node_id: str
    app: AppDesc  # the running app's descriptor
    fw_version: str  # of the node info, which an app may set; no check of an image looks at it
    ops: OtaOps
    nvs: Nvs
    clock: Clock
    fetch: Fetch
    log: Log
    mqtt: MqttClient
    group: asyncio.TaskGroup
    params: ParamStore = field(init=False)
    state: RmakerState = RmakerState.INIT_DONE
    ota_enabled: bool = False
    params_mqtt_init_done: bool = False
    group_id: str | None = None  # the group whose topics take the place of the node's own
    network_id: str | None = None  # of the Thread network it is in
    attributes: dict[str, str] = field(default_factory=dict)
    _params_size: int = field(init=False)
    _work: asyncio.Queue[Work] = field(default_factory=lambda: asyncio.Queue(WORK_QUEUE_SIZE))

    def __post_init__(self) -> None:
        self.params = ParamStore(well_formed=self.config.well_formed_json)
        self._params_size = self.config.esp_rmaker_max_param_data_size

    @cached_property
    def config(self) -> Sdkconfig:
        """The options of this build, as its release of RainMaker has them."""
        return as_built(self.ops.config)

    def spawn(self, coro: Coroutine[Any, Any, object], name: str) -> asyncio.Task[object]:
        """Run a coroutine beside the others until it or the boot ends."""
        return self.group.create_task(coro, name=f"{self.node_id} {name}")

    def after(self, seconds: float, action: Callable[[], object], name: str) -> asyncio.Task[object]:
        """``xTimerStart`` of a one-shot timer."""
        return self.spawn(_later(seconds, action), name)

    def every(self, seconds: float, action: Callable[[], object], name: str) -> asyncio.Task[object]:
        """``xTimerStart`` of a timer with auto-reload, the first time after one period."""
        return self.spawn(_again_and_again(seconds, action), name)

    def add_task(self, work: Work) -> bool:
        """``esp_rmaker_work_queue_add_task``: ``False`` when the queue is full."""
        try:
            self._work.put_nowait(work)
        except asyncio.QueueFull:
            return False
        return True

    async def work_queue_task(self) -> NoReturn:
        """``esp_rmaker_work_queue_task``: one piece of work at a time, in order."""
        while True:
            work = await self._work.get()
            await work()

    def update_and_report(self, param: Param, value: ParamValue) -> None:
        """``esp_rmaker_param_update_and_report``; before STARTED the value stays marked."""
        param.update(value)
        if self.state is RmakerState.STARTED:
            self.report_updated_params()

    def update_and_notify(self, param: Param, value: ParamValue) -> None:
        """``esp_rmaker_param_update_and_notify``: first to the users, then as any change."""
        if self.state is not RmakerState.STARTED:
            param.update(value)
            return
        param.update_and_notify(value)
        payload = self.params.take_notifying()
        if payload is not None:
            self._say_params(ALERT, payload, "Notifying params")
        self.report_updated_params()

    def report_updated_params(self) -> None:
        """``esp_rmaker_report_updated_params``."""
        payload = self.params.take_changed()
        if payload is not None:
            suffix = f"{PARAMS_LOCAL}/{self.group_id}" if self.group_id else PARAMS_LOCAL
            self._say_params(suffix, payload, "Reporting params")

    def report_node_state(self) -> None:
        """``esp_rmaker_report_node_state``: all there is."""
        payload = self.params.everything()
        if payload is not None:
            self._say_params(PARAMS_LOCAL_INIT, payload, "Reporting params (init)")

    def _say_params(self, suffix: str, payload: bytes, what: str) -> None:
        if len(payload) >= self._params_size:
            room = len(payload) + 1 + _PARAMS_SIZE_MARGIN
            text = f"{self._params_size} bytes not sufficient for Node params. Reallocating {room} bytes."
            self.log.warning(TAG_PARAM, text)
            self._params_size = room
        self.log.info(TAG_PARAM, f"{what}: {payload.decode(errors='replace')}")
        if self.params_mqtt_init_done:
            self.mqtt.publish(suffix, payload)
        else:
            self.log.warning(TAG_PARAM, "Not reporting params since params mqtt not initialized yet.")

    def handle_set_params(self, payload: bytes, *, report: bool = True) -> None:
        """``esp_rmaker_handle_set_params``: write and report device by device, or only write."""
        self.log.info(TAG_PARAM, f"Received params: {payload.decode(errors='replace')}")
        try:
            for device, written in self.params.handle_set(payload):
                self.log.info(TAG_PARAM, f"Found {len(written)} params in write request for {device.name}")
                for param, err in written:
                    if err:
                        text = f"Remote update to param {device.name} - {param.name} failed"
                        self.log.error("esp_rmaker_device", text)
                if report:
                    self.report_updated_params()
        except ValueError as error:
            self.log.error(TAG_PARAM, f"params are no JSON: {error}")

    def raise_alert(self, text: str) -> bool:
        """``esp_rmaker_raise_alert``: 100 bytes of it, as they are; ``False`` when the budget is used up."""
        said = json_text.to_bytes(text, ESP_RMAKER_MAX_ALERT_LEN)
        payload = b'{"esp.alert.str":"' + said + b'"}'
        if self.config.well_formed_json:
            short = {"esp.alert.str": said.decode(errors="ignore")}
            payload = json_text.to_bytes(json_text.generate(short, well_formed=True))
        self.log.info(TAG_PARAM, f"Reporting alert: {payload.decode(errors='replace')}")
        return self.mqtt.publish(ALERT, payload) is not None

    def reboot(self, seconds: float) -> None:
        """``esp_rmaker_reboot``: restart after a while, whatever runs then."""
        self.after(seconds, _restart, "reboot timer")


async def _later(seconds: float, action: Callable[[], object]) -> None:
    await asyncio.sleep(seconds)
    action()


async def _again_and_again(seconds: float, action: Callable[[], object]) -> NoReturn:
    while True:
        await asyncio.sleep(seconds)
        action()


def _restart() -> NoReturn:
    raise Restart
