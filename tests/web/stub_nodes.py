"""Virtual nodes that are only told of: plausible values for the pages, without a flash or a chip behind them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from py_esp_ota.cloud.boards import BoardFacts
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.virtual_nodes import (
    Act,
    Boot,
    Dials,
    FlashLook,
    NewNodes,
    NvsItem,
    OtadataEntry,
    Region,
    Slot,
    VirtualNode,
)
from py_esp_ota.ports import Message
from py_esp_ota.rainmaker.messages import CONFIG, PARAMS_LOCAL_INIT, topic

KIB = 1024
DEVICES = [
    {
        "name": "Lamp",
        "type": "esp.device.lightbulb",
        "primary": "Power",
        "params": [
            {"name": "Name", "type": "esp.param.name", "data_type": "string", "properties": ["read", "write"]},
            {"name": "Power", "type": "esp.param.power", "data_type": "bool", "properties": ["read", "write"]},
            {
                "name": "Brightness",
                "type": "esp.param.brightness",
                "data_type": "int",
                "properties": ["read", "write"],
                "bounds": {"min": 0, "max": 100, "step": 1},
                "ui_type": "esp.ui.slider",
            },
            {
                "name": "Effect",
                "type": "esp.param.mode",
                "data_type": "string",
                "properties": ["read", "write"],
                "valid_strs": ["still", "candle", "party"],
            },
            {"name": "Temperature", "type": "esp.param.temperature", "data_type": "float", "properties": ["read"]},
        ],
    }
]
PARAMS = {"Lamp": {"Name": "Lamp", "Power": True, "Brightness": 60, "Effect": "candle", "Temperature": 23.5}}
CONSOLE = [
    "ESP-ROM:esp32c3-api1-20210207",
    "Build:Feb  7 2021",
    "rst:0x1 (POWERON),boot:0xd (SPI_FAST_FLASH_BOOT)",
    "I (24) boot: ESP-IDF v5.3 2nd stage bootloader",
    "I (29) boot: chip revision: v0.4",
    "I (41) boot: Partition Table:",
    "I (44) boot: ## Label            Usage          Type ST Offset   Length",
    "I (51) boot:  0 nvs              WiFi data        01 02 00009000 00004000",
    "I (59) boot:  1 otadata          OTA data         01 00 0000d000 00002000",
    "W (63) boot: Running firmware is not confirmed yet",
    "I (66) boot:  2 ota_0            OTA app          00 10 00010000 00180000",
    "I (74) boot:  3 ota_1            OTA app          00 11 00190000 00180000",
    "I (88) esp_image: segment 0: paddr=00010020 vaddr=3c0e0020 size=2fb98h (195480) map",
    "I (201) boot: Loaded app from partition at offset 0x10000",
    "E (310) esp_rmaker_ota: Diagnostics failed! Start rollback to the previous version ...",
]


class StubNodes:
    """``VirtualNodes`` for tests of the pages: it keeps what was asked of it, and does what little can be seen.

    Args:
        service: the cloud to which its nodes introduce themselves.
    """

    def __init__(self, service: CloudService) -> None:
        self._service = service
        self._nodes: dict[str, VirtualNode] = {}
        self.acts: list[tuple[str, Act]] = []
        self.written = 0  # sectors of ota_1, of an update that runs
        self.console: Callable[[str], Sequence[str]] = lambda _node_id: CONSOLE
        self.dumps: list[int] = []

    def put(self, node_id: str, *, silent: bool = False, **changes: object) -> VirtualNode:
        """A node, which is online unless it is silent or has no power."""
        node = VirtualNode(
            node_id=node_id,
            chip="esp32c3",
            partitions="two_ota_large",
            flash_size=4 * KIB * KIB,
            power="on",
            cut_armed=False,
            dials=Dials(),
            boots=3,
            running="lamp 1.0.0",
            slot="ota_0",
            state="VALID",
        )
        self._nodes[node_id] = node = replace(node, **changes)
        if not silent:
            self._service.intake.on_presence(node_id, node.power == "on" and bool(node.running))
            introduce(self._service, node_id)
        self._service.live.publish("node", node_id)
        return node

    def write(self, node_id: str, sectors: int) -> None:
        """So many sectors of the other slot are written by now."""
        self.written = sectors
        self._service.live.publish("node", node_id)

    # ------------------------------------------------------------------------------------------------------- the door

    def all(self) -> Sequence[VirtualNode]:
        return sorted(self._nodes.values(), key=lambda node: node.node_id)

    def get(self, node_id: str) -> VirtualNode | None:
        return self._nodes.get(node_id)

    async def add(self, order: NewNodes) -> Sequence[str]:
        image = self._service.images.get(order.ota_image_id)
        _check(order.dials)
        prefix = order.prefix or image.model
        ids = [f"{prefix}{len(self._nodes) + number + 1:03}" for number in range(order.count)]
        for node_id in ids:
            self.put(node_id, dials=order.dials, running=f"{image.model} {image.fw_version}")
        return ids

    async def act(self, node_ids: Sequence[str], act: Act) -> None:
        for node_id in node_ids:
            self._known(node_id)
        for node_id in node_ids:
            self.acts.append((node_id, act))
            changes = {
                Act.POWER_ON: {"power": "on", "running": "lamp 1.0.0"},
                Act.POWER_OFF: {"power": "off", "running": ""},
                Act.POWER_CUT: {"cut_armed": True},
                Act.ERASE_FLASH: {"running": "", "slot": "", "state": ""},
            }
            self.put(node_id, **changes.get(act, {}))

    async def turn(self, node_ids: Sequence[str], dials: Dials) -> None:
        _check(dials)
        for node_id in node_ids:
            self._known(node_id)
            self.put(node_id, dials=dials)

    async def remove(self, node_ids: Sequence[str]) -> None:
        for node_id in node_ids:
            self._known(node_id)
            del self._nodes[node_id]

    def look(self, node_id: str) -> FlashLook:
        node = self._known(node_id)
        return replace(flash(self.written, node), boot=Boot(number=node.boots, why=WHY, console=self.console(node_id)))

    def facts(self, node_id: str) -> BoardFacts | None:
        node = self._nodes.get(node_id)
        return None if node is None else BoardFacts(chip=node.chip, partitions=node.partitions, virtual=True)

    def look_at(self, dump: bytes) -> FlashLook:
        self.dumps.append(len(dump))
        if len(dump) < 0x9000:
            raise CloudError(Refusal.VIRTUAL_NODE_REFUSED, "this is no flash: it ends before its partition table")
        return replace(flash(0, None), operations=None)

    def _known(self, node_id: str) -> VirtualNode:
        if node_id not in self._nodes:
            raise CloudError(Refusal.VIRTUAL_NODE_UNKNOWN, f"there is no virtual node {node_id}")
        return self._nodes[node_id]


WHY = [
    "bootloader_common_get_active_otadata: sector 1 has the higher sequence number, and its CRC is right",
    "bootloader_utility_get_selected_boot_partition: (4 - 1) mod 2 is 1, which names ota_1",
    "check_anti_rollback: the state was PENDING_VERIFY, so that it becomes ABORTED",
    "bootloader_utility_load_boot_image: ota_0 is sound and is started",
]


def _check(dials: Dials) -> None:
    if "nonsense" in dials.weather:
        raise CloudError(Refusal.VIRTUAL_NODE_REFUSED, f"not a fault plan: {dials.weather!r}")


def introduce(
    service: CloudService,
    node_id: str,
    *,
    name: str = "Kitchen lamp",
    version: str = "1.0.0",
    platform: str = "esp32c3",
) -> None:
    """A node says what it is, and what its parameters are."""
    info = {
        "name": name,
        "fw_version": version,
        "type": "Lightbulb",
        "model": "lamp",
        "project_name": "lamp",
        "platform": platform,
    }
    config = {"node_id": node_id, "config_version": "2020-03-20", "info": info, "devices": DEVICES, "services": []}
    service.intake.handle(Message(topic(node_id, CONFIG), json.dumps(config).encode()))
    service.intake.handle(Message(topic(node_id, PARAMS_LOCAL_INIT), json.dumps(PARAMS).encode()))


def flash(written: int, node: VirtualNode | None) -> FlashLook:
    """4 MiB with two slots, the second of which is being written."""
    blank = node is not None and not node.slot
    slot = 0x180000 // 4096
    full = 0 if blank else 287
    regions = [
        Region(label="bootloader", kind="bootloader", offset=0, size=0x8000, note="bootloader of ESP-IDF v5.3",
               fill=[0 if blank else 8] * 5 + [0 if blank else 3, 0, 0], erases=[0] * 8),
        Region(label="partition table", kind="table", offset=0x8000, size=0x1000, note="5 entries",
               fill=[0 if blank else 1], erases=[0]),
        Region(label="nvs", kind="nvs", offset=0x9000, size=0x4000, note="12 items in 2 pages",
               fill=[7, 4, 0, 0], erases=[3, 2, 1, 0]),
        Region(label="otadata", kind="otadata", offset=0xD000, size=0x2000, note="sector 0 counts",
               fill=[1, 1], erases=[9, 8]),
        Region(label="phy_init", kind="data", offset=0xF000, size=0x1000, note="erased", fill=[0], erases=[0]),
        Region(label="ota_0", kind="app", offset=0x10000, size=0x180000, note="lamp 1.0.0, runs",
               fill=[8] * full + [0] * (slot - full), erases=[0] * slot),
        Region(label="ota_1", kind="app", offset=0x190000, size=0x180000, note="lamp 1.1.0, being written",
               fill=[8] * written + [0] * (slot - written), erases=[1] * slot),
        Region(label="", kind="free", offset=0x310000, size=0xF0000, note="not in the table",
               fill=[0] * 240, erases=[0] * 240),
    ]  # fmt: skip
    otadata = [
        OtadataEntry(sequence=3, slot="ota_0", state="VALID", crc=0x1DCFF5A1, crc_good=True, active=True,
                     why="Its CRC is right, and the other one's state forbids it."),
        OtadataEntry(sequence=4, slot="ota_1", state="ABORTED", crc=0xDEADBEEF, crc_good=False, active=False,
                     why="Its CRC is wrong: the bootloader passes it over."),
    ]  # fmt: skip
    slots = [
        Slot(label="ota_0", offset=0x10000, size=0x180000, runs=not blank, boots_next=not blank, state="VALID",
             project="lamp", version="1.0.0", secure_version=0, idf_version="v5.3", sha256="ab" * 32, faults=[]),
        Slot(label="ota_1", offset=0x190000, size=0x180000, runs=False, boots_next=False, state="ABORTED",
             project="", version="", secure_version=None, idf_version="", sha256="",
             faults=["magic at 0x190000 is 0xff, expected 0xe9"]),
    ]  # fmt: skip
    nvs = [
        NvsItem(namespace="rmaker_creds", key="node_id", type="blob", value="lamp001"),
        NvsItem(namespace="esp_ota", key="job_id", type="str", value="aP3sS0mEjObIdThAtIsLoNg"),
        NvsItem(namespace="nvs.net80211", key="sta.ssid", type="blob", value="06 00 00 00 68 6f 6d 65 6c 61 62"),
    ]
    return FlashLook(
        chip="esp32c3",
        size=4 * KIB * KIB,
        operations=1207,
        regions=regions,
        otadata=otadata,
        slots=slots,
        nvs=nvs,
        trouble=[],
        boot=Boot(number=1, why=WHY, console=CONSOLE),
    )
