"""An ESP RainMaker node: one boot of the app, from ``app_main`` to the restart."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import NoReturn

from py_esp_ota.errors import PowerLoss, Restart
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.log import Log
from py_esp_ota.ports import Clock, Fetch, MqttConnect, Nvs
from py_esp_ota.rainmaker.cmd_resp import CmdResp
from py_esp_ota.rainmaker.connectivity import Connectivity
from py_esp_ota.rainmaker.core import Core, RmakerState
from py_esp_ota.rainmaker.features import as_built
from py_esp_ota.rainmaker.groups import Groups
from py_esp_ota.rainmaker.messages import CONFIG, PARAMS_REMOTE, NodeConfig
from py_esp_ota.rainmaker.mqtt import MqttClient
from py_esp_ota.rainmaker.network import Network
from py_esp_ota.rainmaker.ota import OtaConfig, RmakerOta
from py_esp_ota.rainmaker.params import ParamDevice
from py_esp_ota.rainmaker.user_mapping import MappingState, UserNodeMapping

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
        fw_version: Node info; the version in the app's descriptor when not given.
        connectivity: Whether the node has the service that tells its presence, and a last will.
        groups: Whether the node has the service that puts it into a group.
        thread_partition_id: Of the Thread network that it attaches to at its start.
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
        fw_version: str | None = None,
        connectivity: bool = False,
        groups: bool = False,
        thread_partition_id: int = 0,
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
        self._fw_version = fw_version
        self._connectivity = connectivity
        self._has_groups = groups
        self._thread_partition_id = thread_partition_id
        self.ota: RmakerOta | None = None  # once run() has enabled it: the application's way to mark_valid
        self.user_mapping: UserNodeMapping | None = None  # once run() has begun
        self.groups: Groups | None = None
        self.network: Network | None = None

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
        app = self._ops.get_partition_description(self._ops.get_running_partition())
        core = Core(
            node_id=self.node_id,
            app=app,
            ops=self._ops,
            nvs=self._nvs,
            clock=self._clock,
            fetch=self._fetch,
            log=self._log,
            mqtt=MqttClient(self.node_id, self._mqtt, as_built(self._ops.config), self._log),
            group=group,
            fw_version=self._fw_version or app.version,
        )
        for device in self._devices:
            core.params.add(device)
        self.ota = RmakerOta.enable(core, self._ota_config)
        self.groups = groups = self._enable_services(core)
        self.user_mapping = mapping = UserNodeMapping(core)
        self.network = Network(core, lambda: core.add_task(lambda: self._report_details(core, mapping)))
        self.network.on_attached(self._thread_partition_id)
        core.add_task(lambda: self._start_rainmaker(core, mapping, groups))
        core.spawn(core.work_queue_task(), "work queue")

    def _enable_services(self, core: Core) -> Groups:
        """What an app enables between OTA and the start, in the order of RainMaker's example ``led_light``."""
        presence: Connectivity | None = None
        groups = Groups(core, lambda group_id: presence.update_lwt(group_id) if presence else None)
        if self._connectivity:
            presence = Connectivity(core, groups.stored or "")
        if self._has_groups:
            core.params.add(groups.service())
        return groups

    async def _start_rainmaker(self, core: Core, mapping: UserNodeMapping, groups: Groups) -> None:
        """``esp_rmaker_task``, the first thing on the work queue."""
        core.state = RmakerState.STARTING
        mqtt = core.mqtt

        def on_first_connection() -> None:
            mqtt.on_connected.remove(on_first_connection)
            core.add_task(lambda: self._post_mqtt_connect(core, mapping, groups))

        mqtt.on_connected.append(on_first_connection)
        if core.config.esp_rmaker_cmd_resp_enable:
            commands = CmdResp(core)
            mqtt.on_connected.append(commands.on_connected)
            core.attributes["cmd-resp"] = "1"
        core.spawn(mqtt.run(), "MQTT")

    async def _post_mqtt_connect(self, core: Core, mapping: UserNodeMapping, groups: Groups) -> None:
        """``esp_rmaker_post_mqtt_connect_task`` and what follows from its events, in upstream's order."""
        if core.mqtt.publish(CONFIG, self._config(core).encode(well_formed=core.config.well_formed_json)) is None:
            core.log.error(TAG, "esp_rmaker_report_node_config failed. Aborting!!!")
            self._give_up(core)
            return
        core.state = RmakerState.CONFIG_REPORTED
        mapping.on_config_reported()
        if mapping.state is not MappingState.DONE:
            self._wait_for_mapping(core, mapping, groups)
        elif self._params_mqtt_init(core, groups):
            self._on_started(core)
        else:
            core.log.error(TAG, "esp_rmaker_params_mqtt_init failed. Aborting!!!")
            self._give_up(core)

    async def _report_details(self, core: Core, mapping: UserNodeMapping) -> None:
        """``esp_rmaker_report_node_config_and_state``."""
        sent = core.mqtt.publish(CONFIG, self._config(core).encode(well_formed=core.config.well_formed_json))
        if sent is None:
            core.log.error(TAG, "Report node config failed.")
        elif mapping.state is MappingState.DONE:
            core.report_node_state()

    def _wait_for_mapping(self, core: Core, mapping: UserNodeMapping, groups: Groups) -> None:
        """Without a user there are no params and no OTA: somebody else's would see them."""

        async def params_mqtt_init() -> None:
            self._params_mqtt_init(core, groups)
            self._on_started(core)

        event = MappingState.DONE
        if mapping.state is not MappingState.STARTED:
            mapping.reset()
            event = MappingState.RESET
        mapping.once(event, lambda: core.add_task(params_mqtt_init))
        core.log.info(TAG, "Waiting for User Node Association.")

    def _on_started(self, core: Core) -> None:
        """``RMAKER_EVENT_STARTED``."""
        core.state = RmakerState.STARTED
        if self.ota is not None:
            core.add_task(self.ota.on_started)

    def _params_mqtt_init(self, core: Core, groups: Groups) -> bool:
        """``esp_rmaker_params_mqtt_init``."""
        groups.restore()
        if not core.mqtt.subscribe(PARAMS_REMOTE, core.handle_set_params):
            return False
        core.params_mqtt_init_done = True
        core.report_node_state()
        return True

    def _give_up(self, core: Core) -> None:
        """The end of ``esp_rmaker_post_mqtt_connect_task`` without success: no MQTT until the next boot."""
        core.mqtt.disconnect()
        core.state = RmakerState.INIT_DONE

    def _config(self, core: Core) -> NodeConfig:
        return NodeConfig(
            node_id=self.node_id,
            name=self.name,
            fw_version=core.fw_version,
            type=self.type,
            model=core.app.project_name,
            project_name=core.app.project_name,
            platform=core.ops.chip.target.name,
            attributes=[{"name": name, "value": value} for name, value in core.attributes.items()],
            devices=core.params.config(services=False),
            services=core.params.config(services=True),
        )


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
