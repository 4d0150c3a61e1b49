"""The cloud of a world, as the stage sees it: whose jobs there are, and what was heard of them.

Two stand behind it. ``Script`` is a page of code that offers a job to who asks for one; it costs nothing, so that most
worlds have it. ``real_desk.py`` is the cloud of this package, whole, with its database.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from py_esp_ota.adapters.body import WholeResponse
from py_esp_ota.adapters.memory import MemoryBroker
from py_esp_ota.errors import FetchError, MqttError
from py_esp_ota.hunt.hand_outs import HandOut
from py_esp_ota.hunt.world import World
from py_esp_ota.ports import Fetch, Mqtt, Response
from py_esp_ota.rainmaker.messages import (
    CONFIG,
    OTAFETCH,
    OTASTATUS,
    OTAURL,
    OtaStatusReport,
    OtaUrl,
    parse_topic,
    topic,
)

AT_WORK: Final = frozenset({"started", "in-progress", "delayed"})
FINAL: Final = frozenset({"success", "rejected"})
#: What the cloud says itself of a node that asks for the version which it runs.
ALREADY: Final = "Already on this version"
_MOST_FAILURES = 3
_RETRY_S = 1.0


@dataclass(frozen=True, slots=True)
class Word:
    """One thing that a board said of a job."""

    status: str
    additional_info: str


@dataclass(frozen=True, slots=True)
class Order:
    """A job as it was made: its id, the number of its image, for whom it is, and how it comes to them."""

    job_id: str
    image: int
    nodes: tuple[str, ...]
    policy: str = ""


class Desk(Protocol):
    """What the stage asks of a cloud."""

    orders: list[Order]
    handed: list[HandOut]
    fetch: Fetch

    async def open(self) -> None:
        """Begin to hear the boards."""

    async def close(self) -> None:
        """End."""

    def order(self, image: int, nodes: Sequence[str], metadata: Mapping[str, Any], policy: str = "") -> Order | None:
        """Start a job, with one of ``POLICIES``; ``None`` when the cloud refuses it."""

    def approve(self, node_id: str) -> None:
        """The user of a node says yes to its latest job."""

    def cancel(self, order: Order) -> None:
        """Hand it to nobody more."""

    async def restart(self, seconds: float) -> None:
        """Die, be away for so long, and come back with what was on the disk."""

    def words(self, order: Order, node_id: str) -> list[Word]:
        """All that was heard of a job from a node, oldest first."""

    def at_work(self, order: Order, node_id: str) -> bool:
        """Whether a node that holds a job is about it now."""

    def closed(self, order: Order, node_id: str) -> bool:
        """Whether the job is over for it."""

    def flaw(self) -> str:
        """What is wrong with the cloud's own books, ``""`` when nothing is."""

    def marks(self) -> Iterator[str]:
        """What was reached of marks that only a cloud sees."""

    def refolded(self) -> str:
        """What the log of events tells otherwise than the rows, ``""`` when nothing."""

    def end(self) -> None:
        """The world is over."""


@dataclass(slots=True)
class _Part:
    """A job on one node."""

    words: list[Word] = field(default_factory=list)
    failures: int = 0
    closed: bool = False


class Script:
    """A cloud in a page: jobs are offered until they end, and nothing is forgotten but what comes while it is away."""

    def __init__(self, world: World, broker: MemoryBroker, images: Sequence[bytes]) -> None:
        self.orders: list[Order] = []
        self.handed: list[HandOut] = []
        self.fetch: Fetch = self._fetch
        self._broker = broker
        self._images = images
        self._versions: dict[str, str] = {}
        self._parts: dict[tuple[str, str], _Part] = {}
        self._metadata: dict[str, str | None] = {}
        self._cancelled: set[str] = set()
        self._names = [f"{image.version}.0.0" for image in world.images]
        self._names.append(f"{max(image.version for image in world.images) + 1}.0.0")
        self._link: Mqtt | None = None
        self._life: asyncio.Task[None] | None = None
        self._sends: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Subscribe and listen."""
        ready = asyncio.Event()
        self._life = asyncio.create_task(self._live(ready), name="the script of a cloud")
        await ready.wait()

    async def close(self) -> None:
        """Say nothing more."""
        for task in [*self._sends, *([self._life] if self._life else [])]:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._link = None

    async def restart(self, seconds: float) -> None:
        """Be away."""
        await self.close()
        await asyncio.sleep(seconds)
        await self.open()

    async def _live(self, ready: asyncio.Event) -> None:
        while True:
            with suppress(MqttError):
                async with self._broker("cloud") as link:
                    for name in ("node/+/+", "$aws/rules/+/node/+/+"):
                        await link.subscribe(name)
                    self._link = link
                    ready.set()
                    async for message in link.messages():
                        place = parse_topic(message.topic)
                        if place is not None:
                            self._hear(*place, message.payload)
            self._link = None
            await asyncio.sleep(_RETRY_S)

    def _hear(self, node_id: str, suffix: str, payload: bytes) -> None:
        if suffix == CONFIG:
            self._versions[node_id] = json.loads(payload)["info"]["fw_version"]
        elif suffix == OTAFETCH:
            self._offer(node_id)
        elif suffix == OTASTATUS:
            try:
                said = OtaStatusReport.decode(payload)
            except ValueError:
                return
            part = self._parts.get((said.ota_job_id or "", node_id))
            if part is not None:
                _note(part, Word(said.status, said.additional_info))

    def order(
        self,
        image: int,
        nodes: Sequence[str],
        metadata: Mapping[str, Any],
        policy: str = "",  # noqa: ARG002 - it has none
    ) -> Order | None:
        """Start a job, and push it."""
        made = Order(f"job{len(self.orders):019d}", image, tuple(nodes))
        self._metadata[made.job_id] = json.dumps(metadata) if metadata else None
        self.orders.append(made)
        for node_id in nodes:
            self._parts[made.job_id, node_id] = _Part()
            self._offer(node_id, asked=False)
        return made

    def approve(self, node_id: str) -> None:
        """Nobody is asked."""

    def cancel(self, order: Order) -> None:
        """Offer it no more."""
        self._cancelled.add(order.job_id)

    def _offer(self, node_id: str, *, asked: bool = True) -> None:
        """The newest job of a node, if it is open; one that asks and runs that version has it behind it."""
        order = next((order for order in reversed(self.orders) if node_id in order.nodes), None)
        part = None if order is None else self._parts[order.job_id, node_id]
        if order is None or part is None or part.closed or order.job_id in self._cancelled:
            return
        if asked and self._versions.get(node_id) == self._names[order.image]:
            _note(part, Word("success", ALREADY))
            return
        offer = OtaUrl(
            ota_job_id=order.job_id,
            url=f"https://cloud.lab/{order.image}.bin",
            file_size=len(self._images[order.image]),
            file_md5=f"image {order.image}",
            metadata=self._metadata[order.job_id],
        )
        self._send(topic(node_id, OTAURL), offer.encode())

    def _send(self, name: str, payload: bytes) -> None:
        if self._link is not None:
            task = asyncio.create_task(self._publish(self._link, name, payload))
            self._sends.add(task)
            task.add_done_callback(self._sends.discard)

    async def _publish(self, link: Mqtt, name: str, payload: bytes) -> None:
        with suppress(MqttError):
            await link.publish(name, payload)

    def words(self, order: Order, node_id: str) -> list[Word]:
        """What was heard."""
        return self._parts[order.job_id, node_id].words

    def at_work(self, order: Order, node_id: str) -> bool:
        """By the last word of the node."""
        words = self._parts[order.job_id, node_id].words
        return bool(words) and words[-1].status in AT_WORK

    def closed(self, order: Order, node_id: str) -> bool:
        """Whether it is over."""
        return order.job_id in self._cancelled or self._parts[order.job_id, node_id].closed

    def flaw(self) -> str:
        """A script keeps no books."""
        return ""

    def marks(self) -> Iterator[str]:
        """A script sees nothing of its own."""
        return iter(())

    def refolded(self) -> str:
        """And no log."""
        return ""

    def end(self) -> None:
        """Nothing to close."""

    @asynccontextmanager
    async def _fetch(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[Response]:
        await asyncio.sleep(0)
        if self._life is None or self._life.done():
            raise FetchError("connect", "the cloud is away", 111)
        number = int(url.rpartition("/")[2].partition(".")[0])
        yield WholeResponse(self._images[number], headers.get("range") or headers.get("Range") or "")


def _note(part: _Part, word: Word) -> None:
    part.words.append(word)
    if word.status == "failed":
        part.failures += 1
    part.closed = part.closed or word.status in FINAL or part.failures >= _MOST_FAILURES
