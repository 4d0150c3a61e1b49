"""The RainMaker agent's whole job as a story: told of an update, it downloads it, boots it, confirms it, and says so.

The agent is the real one; the broker is in memory, the cloud is one job that is offered to a node until it runs the new
image, and time is virtual. The weather of the scene is the same each time the story is told.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager

from py_esp_ota.adapters.body import WholeResponse
from py_esp_ota.adapters.memory import MemoryBroker, VirtualClock, run_virtual
from py_esp_ota.errors import Restart
from py_esp_ota.faults import FaultyClock, FaultyFetch, FaultyMqtt
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.log import Log
from py_esp_ota.ports import Mqtt, Response
from py_esp_ota.rainmaker import cbor
from py_esp_ota.rainmaker.messages import (
    CONFIG,
    OTAFETCH,
    OTASTATUS,
    OTAURL,
    STREAM_DATA,
    STREAM_FILTER,
    OtaUrl,
    parse_stream_topic,
    parse_topic,
    stream_topic,
    topic,
)
from py_esp_ota.rainmaker.node import RmakerNode
from py_esp_ota.rainmaker.ota import OtaConfig
from py_esp_ota.rainmaker.standard import lamp
from py_esp_ota.sweep.life import Life
from py_esp_ota.sweep.scene import Scene

_NODE, _JOB, _URL = "node1", "AbCdEfGhIjKlMnOpQrStUv", "https://cloud.lab/new.bin"
_STREAM, _FILE = "s1", "the new image"
_EPOCH = 1_767_225_600.0
_LOOK, _QUIET, _PATIENCE = 5.0, 30.0, 900.0  # seconds


def whole_job(life: Life, scene: Scene) -> None:
    """Power on, and let the agent live until the new image runs in peace; ``life.heard`` is what it said."""
    life.heard.clear()
    life.power_on()
    run_virtual(_Cloud(life, scene).tell())


class _Cloud:
    def __init__(self, life: Life, scene: Scene) -> None:
        self._life = life
        self._scene = scene
        self._broker = MemoryBroker()
        self._version = ""

    async def tell(self) -> None:
        weather = self._scene.weather
        self._mqtt = FaultyMqtt(self._broker, weather.only("mqtt"))
        self._download = FaultyFetch(self._fetch, weather.only("network"))
        self._clock = FaultyClock(VirtualClock(_EPOCH), weather.only("clock"))
        async with self._broker("cloud") as link:
            for name in ("#", "$aws/rules/#", STREAM_FILTER):
                await link.subscribe(name)
            ear = asyncio.create_task(self._listen(link))
            device = asyncio.create_task(self._live())
            peace = asyncio.create_task(self._wait_for_peace())
            try:
                await asyncio.wait({device, peace}, return_when=asyncio.FIRST_COMPLETED)
                if device.done():
                    device.result()
            finally:
                for task in (peace, device, ear):
                    task.cancel()
                await asyncio.gather(peace, device, ear, return_exceptions=True)

    async def _live(self) -> None:
        """One boot of the app after another; a power cut ends it all."""
        life = self._life
        while life.report.partition is not None:
            log = life.log()
            node = RmakerNode(
                node_id=_NODE,
                ops=_Ops(life, log),
                nvs=life.nvs,
                clock=self._clock,
                mqtt=self._mqtt,
                fetch=self._download,
                log=log,
                ota=OtaConfig(),
                devices=[lamp()],
            )
            try:
                await node.run()
            except Restart:
                life.restart()

    async def _wait_for_peace(self) -> None:
        waited = peaceful = 0.0
        while waited < _PATIENCE and peaceful < _QUIET:
            boots = len(self._life.boots)
            await asyncio.sleep(_LOOK)
            waited += _LOOK
            at_peace = self._life.state == "VALID" and self._life.runs(self._scene.new)
            peaceful = peaceful + _LOOK if at_peace and len(self._life.boots) == boots else 0.0

    async def _listen(self, link: Mqtt) -> None:
        async for message in link.messages():
            if parse_stream_topic(message.topic) is not None:
                for block in blocks(self._scene.new, message.payload):
                    await link.publish(stream_topic(_NODE, _STREAM, STREAM_DATA), block)
            place = parse_topic(message.topic)
            if place is None:
                continue
            if place[1] == CONFIG:
                self._version = json.loads(message.payload)["info"]["fw_version"]
            elif place[1] == OTASTATUS:
                self._life.heard.append(json.loads(message.payload)["status"])
            elif place[1] == OTAFETCH and self._version != self._new_version:
                await link.publish(topic(_NODE, OTAURL), self._offer().encode())

    def _offer(self) -> OtaUrl:
        """The job; to a build that takes it over MQTT with what it needs for that, and to go on where it stopped."""
        if not self._scene.config.esp_rmaker_ota_use_mqtt:
            return OtaUrl(ota_job_id=_JOB, url=_URL)
        size = len(self._scene.new)
        return OtaUrl(ota_job_id=_JOB, url=_URL, stream_id=_STREAM, file_size=size, file_md5=_FILE)

    @property
    def _new_version(self) -> str:
        return self._scene.new_version

    @asynccontextmanager
    async def _fetch(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[Response]:  # noqa: ARG002
        await asyncio.sleep(0)
        yield WholeResponse(self._scene.new)


def blocks(image: bytes, request: bytes) -> Iterator[bytes]:
    """What a stream of ``image`` answers to a request."""
    length, first, number = (cbor.find_int(request, key) for key in ("l", "o", "n"))
    for block in range(first, first + number):
        part = image[block * length : (block + 1) * length]
        if part and _is_wanted(request, block - first):
            yield cbor.encode_map([("f", 1), ("i", block), ("l", len(part)), ("p", part)])


def _is_wanted(request: bytes, number: int) -> bool:
    try:
        bitmap = cbor.find_bytes(request, "b", len(request))
    except cbor.CborError:  # all of them
        return True
    return bool(bitmap[number >> 3] >> number % 8 & 1)


class _Ops(OtaOps):
    """``esp_ota_ops`` of the running app, which notes when it begins to confirm itself."""

    def __init__(self, life: Life, log: Log) -> None:
        running = life.report.partition
        if running is None:
            raise ValueError("nothing runs")
        super().__init__(life.chip, running, life.config, log)
        self._life = life

    def mark_app_valid_cancel_rollback(self) -> None:
        self._life.note_confirmation()
        super().mark_app_valid_cancel_rollback()
