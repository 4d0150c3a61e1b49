"""A bench for one node: real flash, bootloader and agent; a broker in memory, a scripted server, virtual time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from scripted_fetch import Answer, ScriptedFetch

from py_esp_ota._core import EFuse, Flash, PartitionTable
from py_esp_ota.adapters.memory import MemoryBroker, VirtualClock, run_virtual
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.errors import EspError, MqttError, PowerLoss, Restart
from py_esp_ota.firmware import Firmware, merge
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.bootloader.start import BootReport, boot
from py_esp_ota.idf.log import Log
from py_esp_ota.idf.nvs import FlashNvs
from py_esp_ota.idf.rollback import OtaImgState
from py_esp_ota.ports import Message, Mqtt
from py_esp_ota.rainmaker.messages import (
    FROM_NODE,
    OTASTATUS,
    OTAURL,
    PARAMS_REMOTE,
    TO_NODE,
    OtaUrl,
    parse_topic,
    topic,
)
from py_esp_ota.rainmaker.node import RmakerNode
from py_esp_ota.rainmaker.ota import OtaConfig
from py_esp_ota.rainmaker.params import ParamDevice
from py_esp_ota.rainmaker.standard import lamp
from py_esp_ota.sdkconfig import Sdkconfig

NODE = "node1"
JOB = "AbCdEfGhIjKlMnOpQrStUv"
URL = "https://cloud/lamp.bin"
EPOCH = 1_753_900_000.0
OLD = Firmware("lamp", "1.0").to_bytes()
NEW = Firmware("lamp", "1.1").to_bytes()


def flashed(firmware: bytes = OLD, *, table: str | PartitionTable = "two_ota_large") -> Chip:
    """A chip with ``firmware`` in factory, or else in ota_0."""
    rows = PartitionTable.builtin(table) if isinstance(table, str) else table
    slot = rows.find(type=0, subtype=0x00) or rows.find(type=0, subtype=0x10)
    assert slot
    image = merge({0x8000: rows.to_bytes(), slot.offset: firmware})
    return Chip(flash=Flash.from_bytes(image, size=0x400000))


class Line:
    """The node's line to the broker: it can be down, and PUBACKs can get lost on it."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self.quiet_end = False  # messages() ends without an error after a second
        self._up = True
        self._swallowed: dict[str, int] = {}

    def cut(self) -> None:
        self._up = False
        self._broker.kick(NODE)

    def restore(self) -> None:
        self._up = True

    def swallow(self, suffix: str, times: int) -> None:
        """Lose the next messages with this suffix."""
        self._swallowed[suffix] = times

    @asynccontextmanager
    async def __call__(self, client_id: str, will: Message | None = None) -> AsyncIterator[Mqtt]:
        if not self._up:
            raise MqttError("the line is down")
        async with self._broker(client_id, will) as link:
            yield _Link(link, self._swallowed, quiet_end=self.quiet_end)


class _Link:
    def __init__(self, link: Mqtt, swallowed: dict[str, int], *, quiet_end: bool) -> None:
        self._link = link
        self._swallowed = swallowed
        self.subscribe = link.subscribe
        self.unsubscribe = link.unsubscribe
        self.messages = self._none if quiet_end else link.messages

    async def _none(self) -> AsyncIterator[Message]:
        await asyncio.sleep(1)
        return
        yield

    async def publish(self, topic: str, payload: bytes, *, dup: bool = False) -> None:
        suffix = topic.rsplit("/", 1)[-1]
        if self._swallowed.get(suffix):
            self._swallowed[suffix] -= 1
            await asyncio.Event().wait()
        await self._link.publish(topic, payload, dup=dup)


class Bench:
    """One node and everything around it; ``heard`` is what the cloud heard, in order."""

    def __init__(
        self,
        *,
        chip: Chip | None = None,
        config: Sdkconfig | None = None,
        bootloader: Sdkconfig | None = None,
        ota: OtaConfig | None = None,
        server: Mapping[str, Answer | list[Answer]] | None = None,
        secure_version: int = 0,
        devices: Callable[[], Iterable[ParamDevice]] = lambda: [lamp()],
        epoch: float = EPOCH,
    ) -> None:
        self.config = config or Sdkconfig()
        self.bootloader = bootloader or self.config
        self.chip = chip or flashed()
        self.chip.efuse = EFuse(self.chip.target.name, secure_version=secure_version)
        self.ota = ota or OtaConfig()
        self.fetch = ScriptedFetch({URL: Answer(NEW)} if server is None else server)
        self.nvs = FlashNvs(self.chip, self.config)
        self.clock = VirtualClock(epoch)
        self.broker = MemoryBroker()
        self.line = Line(self.broker)
        self.devices = devices
        self.fw_version: str | None = None
        self.connectivity = False
        self.groups = False
        self.thread_partition_id = 0
        self.heard: list[tuple[float, str, bytes]] = []
        self.topics: list[str] = []
        self.boots: list[tuple[float, BootReport]] = []
        self.ends: list[BaseException] = []
        self.console: list[str] = []
        self.node: RmakerNode | None = None
        self.ops: OtaOps | None = None
        self._heard_more = asyncio.Event()
        self._cloud: Any = None
        self._life: asyncio.Task[None] | None = None

    # ---------------------------------------------------------------------------------------------------- running

    def run(self, scenario: Callable[[Bench], Awaitable[None]]) -> Bench:
        """Play ``scenario`` beside the node's life, under virtual time."""

        async def main() -> None:
            async with self.broker("cloud") as self._cloud:
                for name in ("#", "$aws/rules/#"):
                    await self._cloud.subscribe(name)
                ear = asyncio.create_task(self._listen())
                self._life = asyncio.create_task(self.live())
                try:
                    await scenario(self)
                finally:
                    self._life.cancel()
                    ear.cancel()
                    results = await asyncio.gather(self._life, ear, return_exceptions=True)
                for result in results:
                    if isinstance(result, Exception):
                        raise result

        run_virtual(main())
        return self

    def wait(self, seconds: float) -> Bench:
        """Let the node live for a while, nothing else."""
        return self.run(lambda _bench: asyncio.sleep(seconds))

    def update(self, seconds: float = 60, **job: Any) -> Bench:
        """Boot, push a job after 10 s, wait."""

        async def scenario(bench: Bench) -> None:
            await asyncio.sleep(10)
            await bench.push(**job)
            await asyncio.sleep(seconds)

        return self.run(scenario)

    async def live(self) -> None:
        while True:
            try:
                await self._boot().run()
            except Restart as end:
                self.ends.append(end)
                self.chip.reset_reason = ResetReason.SW
            except PowerLoss as end:
                self.ends.append(end)
                return

    def _boot(self) -> RmakerNode:
        loop = asyncio.get_running_loop()
        started = loop.time()
        self.nvs.reset()
        report = boot(self.chip, self.bootloader)
        self.boots.append((started, report))
        assert report.partition
        log = Log(lambda: round((loop.time() - started) * 1000), self.console.append)
        self.ops = OtaOps(self.chip, report.partition, self.config, log)
        self.node = RmakerNode(
            node_id=NODE,
            ops=self.ops,
            nvs=self.nvs,
            clock=self.clock,
            mqtt=self.line,
            fetch=self.fetch,
            log=log,
            ota=self.ota,
            devices=tuple(self.devices()),
            fw_version=self.fw_version,
            connectivity=self.connectivity,
            groups=self.groups,
            thread_partition_id=self.thread_partition_id,
        )
        return self.node

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        async for message in self._cloud.messages():
            place = parse_topic(message.topic)
            assert place, message.topic
            if place[1] in {OTAURL, PARAMS_REMOTE, TO_NODE}:
                continue  # our own
            self.topics.append(message.topic)
            self.heard.append((loop.time(), place[1], message.payload))
            self._heard_more.set()

    # -------------------------------------------------------------------------------------------- inside a scenario

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def wait_for(self, suffix: str) -> None:
        """Until the cloud has heard something on a topic."""
        async with asyncio.timeout(600):
            while not self.times(suffix):
                self._heard_more.clear()
                await self._heard_more.wait()

    async def power_cycle(self) -> None:
        assert self._life
        self.chip.flash.power_off()
        self._life.cancel()
        await asyncio.wait([self._life])
        self.chip.flash.power_on()
        self.chip.reset_reason = ResetReason.POWERON
        self._life = asyncio.create_task(self.live())

    async def push(self, url: str = URL, job: str = JOB, **more: Any) -> None:
        await self.send(OTAURL, OtaUrl(ota_job_id=job, url=url, **more).encode())

    async def send(self, suffix: str, payload: bytes) -> None:
        await self._cloud.publish(topic(NODE, suffix), payload)

    # ------------------------------------------------------------------------------------------------ what was seen

    @property
    def reports(self) -> list[str]:
        """Every otastatus as ``status: additional_info``."""
        bodies = [json.loads(payload) for _, suffix, payload in self.heard if suffix == OTASTATUS]
        return [f"{body['status']}: {body['additional_info']}" for body in bodies]

    @property
    def transcript(self) -> list[str]:
        """Every message but answers to commands: otastatus as in ``reports``, the others by the end of their topic."""
        reports = iter(self.reports)
        heard = [suffix for _, suffix, _ in self.heard if suffix != FROM_NODE]
        return [next(reports) if suffix == OTASTATUS else suffix for suffix in heard]

    def heard_after(self, seconds: float) -> list[str]:
        return [suffix for when, suffix, _ in self.heard if when > seconds]

    def times(self, suffix: str) -> list[float]:
        return [round(when, 3) for when, heard, _ in self.heard if heard == suffix]

    def payloads(self, suffix: str) -> list[bytes]:
        return [payload for _, heard, payload in self.heard if heard == suffix]

    @property
    def running(self) -> tuple[str, str]:
        """Version and otadata state of the running slot."""
        assert self.ops
        slot = self.ops.get_running_partition()
        try:
            state = self.ops.get_state_partition(slot)
        except EspError:
            state = OtaImgState.UNDEFINED
        return self.ops.get_partition_description(slot).version, OtaImgState(state).name
