"""A cloud in the lab with virtual nodes beside it, whose files are in a folder: close it, open it again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from py_esp_ota.adapters.kept_files import KeptFiles
from py_esp_ota.adapters.kept_flash import KeptFlashes
from py_esp_ota.adapters.repeatable import Repeatable
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.virtual_nodes import NewNodes
from py_esp_ota.cloud_world import CloudWorld, open_cloud
from py_esp_ota.firmware import Firmware
from py_esp_ota.virtual_nodes.population import Population
from py_esp_ota.world import EPOCH, LAB_HOST, memory_world

IDS = Repeatable()  # no start gives an id for the second time


class Village:
    """One server's worth of virtual nodes; ``ends`` is what was said of those that ended by a mistake."""

    def __init__(self, cloud: CloudWorld, nodes: Population, ends: list[str]) -> None:
        self.cloud = cloud
        self.service: CloudService = cloud.service
        self.nodes = nodes
        self.ends = ends

    def image(self, version: str = "1.0.0", *, name: str = "lamp", size: int = 0x4000, chip: str = "esp32c3") -> str:
        data = Firmware(name, version, chip=chip, size=size).to_bytes()
        return self.service.images.add(f"{name}-{chip}-{version}", data).ota_image_id

    async def order(self, count: int = 1, **words: object) -> list[str]:
        image = words.pop("image", None) or next((each.ota_image_id for each in self.service.images.find().items), None)
        order = NewNodes(count=count, ota_image_id=str(image or self.image()), **words)  # type: ignore[arg-type]
        return list(await self.nodes.add(order))

    async def until(self, condition: Callable[[], object], seconds: float = 120) -> None:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 (the lab's time passes while it looks)
                await asyncio.sleep(0.5)

    async def online(self, *node_ids: str) -> None:
        await self.until(lambda: all(map(self.service.nodes.is_online, node_ids)))

    def update(self, *node_ids: str, version: str = "1.1.0", size: int = 0x4000) -> str:
        job = self.service.jobs.create("j", self.image(version, size=size), nodes=node_ids, force_push=True)
        return job.job.ota_job_id

    async def ended(self, job_id: str, node_id: str) -> tuple[str, str]:
        def state() -> object:
            return self.service.jobs.state(job_id, node_id)

        await self.until(lambda: state().status in {"success", "failed", "rejected"})
        return state().status.value, state().additional_info


@asynccontextmanager
async def village(folder: Path, *, most: int = 1000) -> AsyncIterator[Village]:
    """Open it; what was there when it was closed is there again."""
    ends: list[str] = []
    with KeptFlashes(folder / "devices") as flashes:
        async with open_cloud(
            partial(memory_world, epoch=EPOCH),
            database=f"sqlite:///{folder / 'cloud.db'}",
            token_hex=IDS.token_hex,
            admin_password="a long password",
            made_up=True,
            deliver=lambda _user, _code: None,
            allowed_hosts=[LAB_HOST],
        ) as cloud:
            files = KeptFiles(folder / "devices")
            nodes = Population(cloud.world, cloud.service, flashes, files, most=most, on_end=ends.append)
            async with nodes.living():
                yield Village(cloud, nodes, ends)
            assert ends == []
