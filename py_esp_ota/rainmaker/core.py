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
from py_esp_ota.rainmaker.features import as_built
from py_esp_ota.rainmaker.messages import PARAMS_LOCAL
from py_esp_ota.rainmaker.mqtt import MqttClient
from py_esp_ota.rainmaker.params import ParamStore
from py_esp_ota.sdkconfig import Sdkconfig

WORK_QUEUE_SIZE = 8

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
    app: AppDesc  # the running app's descriptor; its version is the node-info fw_version
    ops: OtaOps
    nvs: Nvs
    clock: Clock
    fetch: Fetch
    log: Log
    mqtt: MqttClient
    group: asyncio.TaskGroup
    params: ParamStore = field(default_factory=ParamStore)
    state: RmakerState = RmakerState.INIT_DONE
    ota_enabled: bool = False
    _work: asyncio.Queue[Work] = field(default_factory=lambda: asyncio.Queue(WORK_QUEUE_SIZE))

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

    def report_updated_params(self) -> None:
        """``esp_rmaker_report_updated_params``; before STARTED the values stay marked."""
        if self.state is not RmakerState.STARTED:
            return
        payload = self.params.take_changed()
        if payload is not None:
            self.log.info("esp_rmaker_param", f"Reporting params: {payload.decode(errors='replace')}")
            self.mqtt.publish(PARAMS_LOCAL, payload)

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
