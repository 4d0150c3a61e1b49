"""Virtual nodes that are nothing but their words: what is behind the door when only the door is tried."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from py_esp_ota.cloud.boards import BoardFacts
from py_esp_ota.cloud.refusals import CloudError, Refusal
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

FRESH = VirtualNode(
    node_id="",
    chip="esp32c3",
    partitions="two_ota_large",
    flash_size=4 << 20,
    power="on",
    cut_armed=False,
    dials=Dials(),
    boots=1,
    running="lamp 1.0.0",
    slot="ota_0",
    state="",
)
LOOK = FlashLook(
    chip="esp32c3",
    size=4 << 20,
    operations=17,
    regions=[
        Region(label="bootloader", kind="bootloader", offset=0, size=4096, note="no image", fill=[0], erases=[2]),
        Region(label="ota_0", kind="app", offset=4096, size=8192, note="lamp 1.0.0, runs", fill=[8, 1], erases=[]),
    ],
    otadata=[
        OtadataEntry(sequence=None, slot="", state="", crc=0xFFFFFFFF, crc_good=False, active=False, why="erased"),
        OtadataEntry(sequence=1, slot="ota_0", state="VALID", crc=1, crc_good=True, active=True, why="the only one"),
    ],
    slots=[
        Slot(
            label="ota_0", offset=4096, size=8192, runs=True, boots_next=True, state="VALID", project="lamp",
            version="1.0.0", secure_version=0, idf_version="v5.1", sha256="00" * 32, faults=[],
        )
    ],
    nvs=[NvsItem(namespace="rmaker_creds", key="node_id", type="blob", value="lamp-0001")],
    trouble=[],
    boot=Boot(number=1, why=["ota_0 is chosen"], console=["I (24) boot: hello"]),
    table=[],
)  # fmt: skip


class FewVirtualNodes:
    """``VirtualNodes`` without nodes."""

    def __init__(self) -> None:
        self.nodes: dict[str, VirtualNode] = {}
        self.asked: list[tuple[object, ...]] = []

    def all(self) -> Sequence[VirtualNode]:
        return [self.nodes[node_id] for node_id in sorted(self.nodes)]

    def get(self, node_id: str) -> VirtualNode | None:
        return self.nodes.get(node_id)

    async def add(self, order: NewNodes) -> Sequence[str]:
        self.asked.append(("add", order))
        if order.ota_image_id != "fw":
            raise CloudError(Refusal.IMAGE_UNKNOWN, "there is no image with this ota_image_id")
        ids = [f"{order.prefix or 'lamp'}-{number:04}" for number in range(1, order.count + 1)]
        self.nodes |= {node_id: replace(FRESH, node_id=node_id, dials=order.dials) for node_id in ids}
        return ids

    async def act(self, node_ids: Sequence[str], act: Act) -> None:
        self.check(node_ids)
        self.asked.append(("act", tuple(node_ids), act))

    async def turn(self, node_ids: Sequence[str], dials: Dials) -> None:
        self.check(node_ids)
        self.nodes |= {node_id: replace(self.nodes[node_id], dials=dials) for node_id in node_ids}

    async def remove(self, node_ids: Sequence[str]) -> None:
        self.check(node_ids)
        for node_id in set(node_ids):
            del self.nodes[node_id]

    def look(self, node_id: str) -> FlashLook:
        self.check([node_id])
        return LOOK

    def facts(self, node_id: str) -> BoardFacts | None:
        node = self.nodes.get(node_id)
        return None if node is None else BoardFacts(chip=node.chip, partitions=node.partitions, virtual=True)

    def look_at(self, dump: bytes) -> FlashLook:
        return replace(LOOK, size=len(dump), operations=None)

    def check(self, node_ids: Sequence[str]) -> None:
        for node_id in node_ids:
            if node_id not in self.nodes:
                raise CloudError(Refusal.VIRTUAL_NODE_UNKNOWN, f"{node_id!r} is no virtual node")
