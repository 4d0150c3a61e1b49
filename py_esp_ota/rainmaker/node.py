"""An ESP RainMaker node: one boot of the app, from ``app_main`` to the restart."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import NoReturn

from py_esp_ota.errors import PowerLoss, Restart
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.log import Log
from py_esp_ota.ports import Clock, Fetch, MqttConnect, Nvs
from py_esp_ota.rainmaker.core import Core, RmakerState
from py_esp_ota.rainmaker.features import as_built
from py_esp_ota.rainmaker.messages import CONFIG, PARAMS_LOCAL_INIT, PARAMS_REMOTE, NodeConfig
from py_esp_ota.rainmaker.mqtt import MqttClient
from py_esp_ota.rainmaker.ota import OtaConfig, RmakerOta
from py_esp_ota.rainmaker.params import ParamDevice
from py_esp_ota.rainmaker.user_mapping import UserNodeMapping

TAG = "esp_rmaker_core"


class RmakerNode:
    """``esp_rmaker_node_t`` with its OTA service.

    Args:
        node_id: The node's identity, its MQTT client id too.
        ops: ``esp_ota_ops`` of the running app; carries the chip and the build's options.
        nvs: Where OTA remembers jobs over resets.
        clock: Wall-clock time.
        mqtt: Opens connections to the broker.
        fetch: The HTTP client.
        log: The console.
        ota: How OTA is enabled.
        name: Node info.
        type: Node info.
        devices: Devices with params, besides the services the agent adds.
    """

    def __init__(
        self,
        *,
        node_id: str,
        ops: OtaOps,
        nvs: Nvs,
        clock: Clock,
        mqtt: MqttConnect,
        fetch: Fetch,
        log: Log,
        ota: OtaConfig,
        name: str = "ESP RainMaker Device",
        type: str = "Lightbulb",  # noqa: A002 - the reference's word
        devices: Sequence[ParamDevice] = (),
    ) -> None:
        self.node_id = node_id
        self.name = name
        self.type = type
        self._ops = ops
        self._nvs = nvs
        self._clock = clock
        self._mqtt = mqtt
        self._fetch = fetch
        self._log = log
        self._ota_config = ota
        self._devices = devices
        self.ota: RmakerOta | None = None  # once run() has enabled it: the application's way to mark_valid
        self.user_mapping: UserNodeMapping | None = None  # once run() has begun

    async def run(self) -> NoReturn:
        """``esp_rmaker_node_init``, ``esp_rmaker_ota_enable`` and ``esp_rmaker_start``: live until the chip resets.

        Whatever ends it, every task of this boot is cancelled and every connection closed.

        Raises:
            Restart: The app restarts the chip.
            PowerLoss: The power went away.
        """
        try:
            async with asyncio.TaskGroup() as group:
                self._start(group)
        except BaseExceptionGroup as ended:
            raise _cause(ended) from None
        raise AssertionError("the work queue never ends")

    def _start(self, group: asyncio.TaskGroup) -> None:
        core = Core(
            node_id=self.node_id,
            app=self._ops.get_partition_description(self._ops.get_running_partition()),
            ops=self._ops,
            nvs=self._nvs,
            clock=self._clock,
            fetch=self._fetch,
            log=self._log,
            mqtt=MqttClient(self.node_id, self._mqtt, as_built(self._ops.config), self._log),
            group=group,
        )
        for device in self._devices:
            core.params.add(device)
        self.ota = ota = RmakerOta.enable(core, self._ota_config)
        self.user_mapping = mapping = UserNodeMapping(core)
        core.state = RmakerState.STARTING
        started = False

        def on_connected() -> None:
            nonlocal started
            ota.on_mqtt_connected()
            if not started:  # on later connections the client only subscribes again
                started = True
                core.add_task(lambda: self._post_mqtt_connect(core, ota, mapping))

        core.spawn(core.work_queue_task(), "work queue")
        core.spawn(core.mqtt.run(on_connected), "MQTT")

    async def _post_mqtt_connect(self, core: Core, ota: RmakerOta, mapping: UserNodeMapping) -> None:
        """``esp_rmaker_post_mqtt_connect_task`` and what follows from its events, in upstream's order."""
        core.mqtt.publish(CONFIG, self._config(core).encode())
        core.state = RmakerState.CONFIG_REPORTED
        mapping.on_config_reported()
        await core.mqtt.subscribe(PARAMS_REMOTE, lambda payload: _set_params(core, payload))
        core.mqtt.publish(PARAMS_LOCAL_INIT, core.params.everything())
        core.state = RmakerState.STARTED
        await ota.on_started()

    def _config(self, core: Core) -> NodeConfig:
        return NodeConfig(
            node_id=self.node_id,
            name=self.name,
            fw_version=core.app.version,
            type=self.type,
            model=core.app.project_name,
            project_name=core.app.project_name,
            platform=core.ops.chip.target.name,
            devices=core.params.config(services=False),
            services=core.params.config(services=True),
        )


def _set_params(core: Core, payload: bytes) -> None:
    """``esp_rmaker_set_params_callback``: write, then report what changed."""
    core.log.info("esp_rmaker_param", f"Received params: {payload.decode(errors='replace')}")
    try:
        results = core.params.handle_set(payload)
    except ValueError as error:
        core.log.error("esp_rmaker_param", f"params are no JSON: {error}")
        return
    for device, param, err in results:
        if err:
            core.log.error("esp_rmaker_param", f"Remote update to param {device.name} - {param.name} failed")
    core.report_updated_params()


def _cause(ended: BaseExceptionGroup[BaseException]) -> BaseException:
    """What ended a boot: a power cut beats a restart, a restart beats an error of the program."""
    leaves = list(_leaves(ended))
    for kind in (PowerLoss, Restart):
        for leaf in leaves:
            if isinstance(leaf, kind):
                return leaf
    return leaves[0]


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
