"""A real device that is driven from outside, step by step, and writes down what it says and what it waits for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field

from py_esp_ota.adapters.inbox import Inbox
from py_esp_ota.device import Device, Doors
from py_esp_ota.errors import FetchError, MqttError, PowerLoss
from py_esp_ota.lives.breed import Breed
from py_esp_ota.lives.stepped_loop import SteppedLoop, Timer
from py_esp_ota.lives.words import (
    NODE,
    Alarm,
    Answer,
    Answered,
    Fetched,
    Happening,
    Heard,
    Hole,
    Lost,
    Off,
    On,
    Pending,
    Said,
    template,
)
from py_esp_ota.ports import Message, Mqtt, Response

Say = Callable[[Said], Answer]
"""The world: takes what a device says, and answers at once if it can."""

_SECONDS_KEPT = 8  # of the times that the device was told: a report may leave a while after it was written


@dataclass(frozen=True, slots=True)
class Step:
    """What one happening made of a device."""

    said: tuple[tuple[Said, Answer], ...]
    timers: tuple[Timer, ...]
    topics: frozenset[str]  # it is subscribed to, in the words of its kind
    connected: bool
    powered: bool
    boots: int
    read: int  # bytes of bodies, all in all
    runs: str  # the version
    by_the_clock: bool  # it read the time and did not only pass it on: another time may have led elsewhere


@dataclass(slots=True)
class _Known:
    """The device's own words."""

    node_id: str
    tokens: list[str] = field(default_factory=list)
    seconds: dict[str, Hole] = field(default_factory=dict)  # times that it was told, as text

    def holes(self) -> Mapping[str, Hole]:
        return {
            self.node_id: Hole("node"),
            **{token: Hole("token", at) for at, token in enumerate(self.tokens)},
            **self.seconds,
        }


class Walker:
    """One device.

    Args:
        breed: what it is made of.
        node_id: its name; nothing else that it says may contain it.
        start: the time at which it begins, in seconds.
        epoch: Unix seconds at time 0.
        hear: is told what it prints, and when.
    """

    def __init__(
        self,
        breed: Breed,
        node_id: str,
        *,
        start: float,
        epoch: float,
        hear: Callable[[float, str], None] | None = None,
    ) -> None:
        self.loop = SteppedLoop(start)
        self._epoch = epoch
        self._known = _Known(node_id)
        self._say: Say | None = None
        self._said: list[tuple[Said, Answer]] = []
        self._asked = 0
        self._open: dict[int, asyncio.Future[Answer]] = {}
        self._topics: dict[str, None] = {}
        self._inbox: Inbox | None = None
        self._read = self._told_time = 0
        console = None if hear is None else lambda line: hear(self.loop.time(), line)
        exposed = breed.make(node_id, Doors(mqtt=self._connect, fetch=self._get, clock=self), console)
        self.device: Device = exposed.device
        with self.loop.at(start):
            self._life = self.loop.create_task(self.device.live(exposed.doors), name=f"device {node_id}")

    def close(self) -> None:
        """End it; the device stays to be looked at."""
        self._say = _nobody
        with self.loop.at(self.loop.time()):
            self._life.cancel()
        self.loop.close()

    def step(self, when: float, happening: Happening, say: Say) -> Step:
        """Let something happen to it at a time, and run until it waits. Raises a mistake that it died of."""
        self._say, self._said, self._told_time = say, [], 0
        self.loop.moment += 1
        with self.loop.at(when):
            self._happen(happening)
        if self._life.done():
            self._life.result()
        device = self.device
        return Step(
            said=tuple(self._said),
            timers=self.loop.waits_for(),
            topics=frozenset(self._topics) if self._inbox is not None else frozenset(),
            connected=self._inbox is not None,
            powered=device.flash.powered,
            boots=len(device.boots),
            read=self._read,
            runs=device.running.version if device.running else "",
            by_the_clock=self._told_time > sum(_times_in(said) for said, _ in self._said),
        )

    def _happen(self, happening: Happening) -> None:
        if isinstance(happening, On):
            with suppress(PowerLoss):  # its weather cuts it in the boot
                self.device.power_on()
        elif isinstance(happening, Off):
            self.device.power_off()
        elif isinstance(happening, Heard) and self._inbox is not None:
            self._inbox.put(Message(happening.topic, happening.payload))
        elif isinstance(happening, Lost) and self._inbox is not None:
            self._inbox.lose(happening.why)
        elif isinstance(happening, Answered) and (waiting := self._open.pop(happening.number, None)):
            if not waiting.done():
                waiting.set_result(happening.answer)
        elif isinstance(happening, Alarm):
            pass  # its timers are due by themselves

    def tell(self, token: str) -> None:
        """A token is in what it hears next."""
        self._known.tokens.append(token)

    # ------------------------------------------------------------------------------------------------------- the doors

    def now(self) -> float:
        """``Clock``: seconds since 1970."""
        value = self._epoch + self.loop.time()
        self._told_time += 1
        seconds = self._known.seconds
        seconds[str(int(value))] = Hole("time", self.loop.moment)
        while len(seconds) > _SECONDS_KEPT:
            del seconds[next(iter(seconds))]
        return value

    def _put(self, word: str, *texts: str) -> tuple[int, Answer]:
        holes = self._known.holes()
        number, self._asked = self._asked, self._asked + 1
        said = Said(word, tuple(template(text, holes) for text in texts), number)  # type: ignore[arg-type]
        answer = self._say(said) if self._say else None
        self._said.append((said, answer))
        return number, answer

    async def _ask(self, word: str, *texts: str) -> Answer:
        number, answer = self._put(word, *texts)
        if answer is Pending.PENDING:
            self._open[number] = self.loop.create_future()
            return await self._open[number]
        await asyncio.sleep(0)
        return answer

    async def _ask_broker(self, word: str, *texts: str) -> None:
        refused = await self._ask(word, *texts)
        if isinstance(refused, str):
            raise MqttError(refused)

    def _connect(self, client_id: str, will: Message | None = None) -> AbstractAsyncContextManager[Mqtt]:
        return self._session(client_id, will)

    @asynccontextmanager
    async def _session(self, _client_id: str, will: Message | None) -> AsyncIterator[Mqtt]:
        await self._ask_broker("connect", *((will.topic, will.payload.decode("latin-1")) if will else ()))
        inbox = self._inbox = Inbox()
        self._topics = {}
        clean = False
        try:
            yield _Link(self, inbox)
            clean = True
        finally:
            if not inbox.lost:
                inbox.lose("disconnected")
                self._put("leave", "" if clean else "silent")
            self._inbox = None

    @asynccontextmanager
    async def _get_within(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[Response]:
        number = self._asked
        answer = await self._ask("get", url, json.dumps(dict(headers)))
        try:
            if not isinstance(answer, Fetched):
                raise FetchError("connect", answer if isinstance(answer, str) else "nobody answers")
            if answer.error is not None:
                raise answer.error
            yield _KnownResponse(self, answer)
        finally:
            self._open.pop(number, None)
            self._put("close", str(number))

    def _get(self, url: str, headers: Mapping[str, str]) -> AbstractAsyncContextManager[Response]:
        return self._get_within(url, headers)


def _times_in(said: Said) -> int:
    return sum(hole.what == "time" for text in said.texts for hole in text.holes)


def _nobody(_said: Said) -> Answer:
    return None


class _Link:
    """``Mqtt``: one connection, whose other end is whoever drives the device."""

    def __init__(self, walker: Walker, inbox: Inbox) -> None:
        self._walker, self._inbox = walker, inbox

    async def publish(self, topic: str, payload: bytes, *, dup: bool = False) -> None:  # noqa: ARG002
        """Publish; a broker passes on what it is sent again, too."""
        self._inbox.check()
        await self._walker._ask_broker("publish", topic, payload.decode("latin-1"))  # noqa: SLF001 - one thing, two faces

    async def subscribe(self, topic_filter: str) -> None:
        """Subscribe."""
        self._inbox.check()
        self._walker._topics[topic_filter.replace(self._walker._known.node_id, NODE)] = None  # noqa: SLF001
        await self._walker._ask_broker("subscribe", topic_filter)  # noqa: SLF001

    async def unsubscribe(self, topic_filter: str) -> None:
        """Unsubscribe."""
        self._inbox.check()
        self._walker._topics.pop(topic_filter.replace(self._walker._known.node_id, NODE), None)  # noqa: SLF001
        await self._walker._ask_broker("unsubscribe", topic_filter)  # noqa: SLF001

    def messages(self) -> AsyncIterator[Message]:
        """What was received; what came before the connection was lost is still delivered."""
        return self._inbox


class _KnownResponse:
    """``Response``: all of it has come already."""

    def __init__(self, walker: Walker, fetched: Fetched) -> None:
        self.status = fetched.status
        self.headers: Mapping[str, str] = dict(fetched.headers)
        self._walker, self._body, self._at = walker, memoryview(fetched.body), 0

    async def read(self, limit: int) -> bytes:
        """At most ``limit`` bytes of the body, exactly ``limit`` unless it ends."""
        piece = bytes(self._body[self._at : self._at + limit])
        self._at += len(piece)
        self._walker._read += len(piece)  # noqa: SLF001 - one thing, two faces
        return piece
