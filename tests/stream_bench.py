"""A node whose build takes images over MQTT streams, and a stand-in for the service, written with cbor2."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from hashlib import md5
from typing import Any

import cbor2
from node_bench import NEW, NODE, Bench, Line

from py_esp_ota.adapters.memory import MemoryBroker
from py_esp_ota.firmware import Firmware
from py_esp_ota.ports import Message, Mqtt
from py_esp_ota.sdkconfig import Sdkconfig

STREAM = "s1"
BIG = Firmware("lamp", "1.1", size=150_000).to_bytes()  # 37 blocks
PREFIX = f"$aws/things/{NODE}/streams/{STREAM}"

Request = dict[str, Any]
Answers = Callable[[Request], Iterable[bytes]]


def md5_of(image: bytes) -> str:
    return md5(image, usedforsecurity=False).hexdigest()


def wanted(request: Request) -> list[int]:
    """The blocks that a request names."""
    first, number = request["o"], request["n"]
    bitmap = int.from_bytes(request["b"], "little") if "b" in request else (1 << number) - 1
    return [first + bit for bit in range(number) if bitmap >> bit & 1]


def block(image: bytes, request: Request, index: int, **instead: object) -> bytes:
    """One answer of the service; ``instead`` changes or adds members."""
    length = request["l"]
    part = image[index * length : (index + 1) * length]
    return cbor2.dumps({"f": request["f"], "i": index, "l": len(part), "p": part} | instead)


def all_of(image: bytes, request: Request) -> list[bytes]:
    """What the service answers."""
    last = -(-len(image) // request["l"])
    return [block(image, request, index) for index in wanted(request) if index < last]


class _Listening(Line):
    """A line on which subscriptions are seen."""

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__(broker)
        self.seen: list[str] = []

    @asynccontextmanager
    async def __call__(self, client_id: str, will: Message | None = None) -> AsyncIterator[Mqtt]:
        async with super().__call__(client_id, will) as link:
            for verb in ("subscribe", "unsubscribe"):
                setattr(link, verb, self._seen(verb, getattr(link, verb)))
            yield link

    def _seen(self, verb: str, act: Callable[[str], Any]) -> Callable[[str], Any]:
        async def acted(topic: str) -> None:
            self.seen.append(f"{verb} {topic}")
            await act(topic)

        return acted


class StreamNode(Bench):
    """One node over MQTT streams. ``answers`` says what comes for a request; without it the service is a good one."""

    def __init__(self, image: bytes = NEW, answers: Answers | None = None, **options: Any) -> None:
        bench = {name: options.pop(name) for name in ("ota", "chip") if name in options}
        super().__init__(config=Sdkconfig(esp_rmaker_ota_use_mqtt=True, **options), **bench)
        self.image = image
        self.answers = answers or (lambda request: all_of(self.image, request))
        self.asked: list[bytes] = []
        self.asked_at: list[float] = []
        self.broker = MemoryBroker(admin=("cloud", "streams"))
        self.line = _Listening(self.broker)

    @property
    def requests(self) -> list[Request]:
        """What the node asked for."""
        return [cbor2.loads(payload) for payload in self.asked]

    def run(self, scenario: Callable[[Bench], Any]) -> Bench:
        async def served(bench: Bench) -> None:
            async with self.broker("streams") as self.service:
                await self.service.subscribe("$aws/things/+/streams/+/get/cbor")
                serving = asyncio.create_task(self._serve())
                try:
                    await scenario(bench)
                finally:
                    serving.cancel()

        return super().run(served)

    async def _serve(self) -> None:
        async for message in self.service.messages():
            self.asked.append(message.payload)
            self.asked_at.append(round(asyncio.get_running_loop().time(), 3))
            for answer in self.answers(cbor2.loads(message.payload)):
                await self.send_data(answer)

    async def send_data(self, payload: bytes) -> None:
        await self.service.publish(f"{PREFIX}/data/cbor", payload)

    async def reject(self, code: str = "ResourceNotFound") -> None:
        await self.service.publish(f"{PREFIX}/rejected/cbor", cbor2.dumps({"o": code, "m": "no"}))

    def stream(self, seconds: float = 60, **job: Any) -> StreamNode:
        """Boot, push a job that names the stream after 10 s, wait."""
        self.update(seconds, **({"stream_id": STREAM, "file_size": len(self.image)} | job))
        return self
