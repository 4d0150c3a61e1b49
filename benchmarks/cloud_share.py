"""What a cloud and its broker cost in process, under virtual time: many nodes that are nothing but their messages."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, closing
from functools import partial
from pathlib import Path

from benchmarks.timing import Figure, fresh
from py_esp_ota.adapters.repeatable import Repeatable
from py_esp_ota.adapters.virtual_time import run_virtual
from py_esp_ota.cloud_world import CloudWorld, open_cloud
from py_esp_ota.firmware import Firmware
from py_esp_ota.ports import Mqtt
from py_esp_ota.rainmaker.messages import CONFIG, OTAFETCH, OTASTATUS, PARAMS_LOCAL_INIT, topic
from py_esp_ota.world import EPOCH, memory_world

NODES = 5000
WARM = 500  # nodes before: what there is once is not theirs
AT_ONCE, PACE_S = 500, 0.05
"""So many nodes do the same at the same instant, the next ones a moment later."""

MEMORY = 6 << 10
"""Bytes of each node at most, its rows in the database included."""

GETS = 500

HELLO = b"\x01\x00\x03\x01\x00\x05\x02\x00\x00"
WHO = (
    '{"node_id":"%s","config_version":"2020-03-20","info":{"name":"ESP RainMaker Device","fw_version":"%s",'
    '"type":"Lightbulb","model":"lamp","project_name":"lamp","platform":"esp32c3"},"attributes":[{"name":"cmd-resp",'
    '"value":"1"}],"devices":[{"name":"Light","type":"esp.device.lightbulb","primary":"Power","params":[{"name":"Power",'
    '"type":"esp.param.power","data_type":"bool","properties":["read","write"],"ui_type":"esp.ui.toggle"},'
    '{"name":"Brightness","type":"esp.param.brightness","data_type":"int","properties":["read","write"],'
    '"bounds":{"min":0,"max":100,"step":1},"ui_type":"esp.ui.slider"}]}],"services":[]}'
)
PARAMS = b'{"Light":{"Power":true,"Brightness":25}}'
FETCH = '{"node_id":"%s","fw_version":"%s"}'
REPORT = '{"ota_job_id":"%s","status":"%s","additional_info":"%s","ts":1767225606}'
UNDER_WAY = (
    "Starting OTA Upgrade (HTTPS attempt 1/3)",
    "Downloading Firmware Image",
    "Firmware Image download complete",
    "Rebooting into new firmware (after 1 HTTPS attempt)",
)
DONE = ("OTA Upgrade finished and verified successfully",)


class Crowd:
    """Nodes, each a connection to the broker and the words that a lamp of the lab was heard to say."""

    def __init__(self, cloud: CloudWorld, count: int) -> None:
        self._connect = cloud.world.mqtt
        self._ids = [f"n{number:06}" for number in range(count)]
        self._lines: dict[str, Mqtt] = {}

    async def all(self, act: Callable[[str], Awaitable[None]]) -> None:
        """Every node does it, and what follows from it is done."""
        for number, node_id in enumerate(self._ids, 1):
            await act(node_id)
            if number % AT_ONCE == 0:
                await asyncio.sleep(PACE_S)
        await asyncio.sleep(5)

    async def come(self, version: str, node_id: str) -> None:
        """Connect, and say who it is."""
        mqtt = self._lines[node_id] = await self._connect(node_id).__aenter__()
        await mqtt.subscribe(f"node/{node_id}/to-node")
        await mqtt.publish(topic(node_id, "from-node", True), HELLO)
        await mqtt.publish(topic(node_id, CONFIG, True), (WHO % (node_id, version)).encode())
        await mqtt.subscribe(f"node/{node_id}/params/remote")
        await mqtt.publish(topic(node_id, PARAMS_LOCAL_INIT, True), PARAMS)
        await mqtt.subscribe(f"node/{node_id}/otaurl")

    async def leave(self, node_id: str) -> None:
        """Disconnect."""
        await self._lines.pop(node_id).__aexit__(None, None, None)  # type: ignore[attr-defined]

    async def ask(self, version: str, node_id: str) -> None:
        """Ask for an update."""
        await self._lines[node_id].publish(topic(node_id, OTAFETCH, True), (FETCH % (node_id, version)).encode())

    async def take_url(self, node_id: str) -> None:
        """Have the URL that was pushed."""
        assert (await anext(self._lines[node_id].messages())).topic.endswith("otaurl")

    async def report(self, job: str, status: str, said: Sequence[str], node_id: str) -> None:
        """Say how it goes."""
        for words in said:
            await self._lines[node_id].publish(
                topic(node_id, OTASTATUS, True), (REPORT % (job, status, words)).encode()
            )


def _cloud(connections: int) -> AbstractAsyncContextManager[CloudWorld]:
    return open_cloud(
        partial(memory_world, epoch=EPOCH, connections=connections),
        database="sqlite://",
        token_hex=Repeatable().token_hex,
        admin_password="not a secret",
        made_up=True,
        deliver=lambda _name, _code: None,
    )


async def _share(count: int) -> tuple[float, int]:
    """Seconds of the processor and bytes, each of one node that takes an OTA."""
    async with _cloud(count + 1) as cloud:
        crowd, service, before = Crowd(cloud, count), cloud.service, _resident()
        image = service.images.add("new", Firmware("lamp", "1.1.0").to_bytes()).ota_image_id
        await crowd.all(partial(crowd.come, "1.0.0"))
        await crowd.all(partial(crowd.ask, "1.0.0"))
        began = time.process_time()
        job = service.jobs.create("new", image, groups=["FFFF-FFFF"], force_push=True).job.ota_job_id
        await crowd.all(crowd.take_url)
        await crowd.all(partial(crowd.report, job, "in-progress", UNDER_WAY))
        await crowd.all(crowd.leave)
        await crowd.all(partial(crowd.come, "1.1.0"))
        await crowd.all(partial(crowd.report, job, "success", DONE))
        await crowd.all(partial(crowd.ask, "1.1.0"))
        spent = time.process_time() - began
        assert service.jobs.summary(job)["success"] == count
        return spent / count, (_resident() - before) // count


def _alone(count: int) -> float:
    """Seconds of Python's JSON and SQLite for each node: every message read, every event of it one row."""
    said = [REPORT % ("ym1tva61L9up0XpNjI3EIN", "in-progress", words) for words in (*UNDER_WAY, *DONE)]
    said += [WHO % ("n000000", "1.1.0"), PARAMS.decode(), FETCH % ("n000000", "1.1.0")]
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as rows:
        rows.execute("CREATE TABLE event (number INTEGER PRIMARY KEY, job TEXT, node TEXT, data TEXT)")
        rows.execute("CREATE INDEX of_job ON event (job, node)")
        rows.execute("CREATE INDEX of_node ON event (node)")
        began = time.process_time()
        for start in range(0, count, AT_ONCE):
            rows.execute("BEGIN")
            events = [
                ("ym1tva61L9up0XpNjI3EIN", f"n{number:06}", json.dumps(json.loads(text)))
                for number in range(start, start + AT_ONCE)
                for text in said
            ]
            rows.executemany("INSERT INTO event (job, node, data) VALUES (?, ?, ?)", events)
            rows.execute("COMMIT")
        return (time.process_time() - began) / count


def _shared(count: int) -> tuple[float, int]:
    run_virtual(_share(WARM))
    return run_virtual(_share(count))


def share() -> Figure:
    """An OTA of each node, as the cloud and the broker see it: a push, fourteen messages, a connection that ends."""
    (mine, memory), peer = fresh(_shared, NODES), _alone(NODES)
    note = f", and {MEMORY >> 10} KiB a node ({memory / 1024:.1f} KiB)"
    name, of = "the cloud's share of one OTA, in process", "JSON and SQLite alone for its messages"
    return Figure(name, mine, of, peer, 9.0, also=memory <= MEMORY, note=note)


async def _downloads() -> tuple[float, float]:
    """Seconds of the processor for one request of an image, through our door and through the HTTP library's."""
    async with _cloud(2) as cloud:
        images, world = cloud.service.images, cloud.world
        url = images.url(images.add("new", Firmware("lamp", "1.1.0", size=64 << 10).to_bytes()).ota_image_id)

        async def ours() -> None:
            async with world.fetch(url, {}) as response:
                assert response.status == 200

        async def library() -> None:
            assert (await world.api.get(url)).status_code == 200

        samples: tuple[list[float], list[float]] = ([], [])
        for _ in range(5):
            for get, bucket in zip((ours, library), samples, strict=True):
                began = time.process_time()
                for _ in range(GETS):
                    await get()
                bucket.append((time.process_time() - began) / GETS)
        return statistics.median(samples[0]), statistics.median(samples[1])


def download() -> Figure:
    """A request for an image whose body nobody reads, within the process."""
    mine, peer = run_virtual(_downloads())
    return Figure("GET of an image, in process", mine, "through httpx's ASGI transport", peer, 0.6)


def _resident() -> int:
    """Bytes of this process."""
    words = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(words["VmRSS"].split()[0]) << 10


def figures() -> list[Figure]:
    """Both; of memory only Linux tells."""
    return [share(), download()] if sys.platform == "linux" else []
