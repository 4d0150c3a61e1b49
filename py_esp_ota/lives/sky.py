"""The world of a fleet inside this process: a broker and HTTP for very many devices, and the doors of one cloud."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import httpx2

from py_esp_ota.adapters.asgi import AsgiApp, AsgiFetch
from py_esp_ota.adapters.backlog import Arrivals, Backlog
from py_esp_ota.adapters.memory import VirtualClock
from py_esp_ota.adapters.topics import matches, may_use
from py_esp_ota.errors import FetchError, MqttError
from py_esp_ota.lives.member import Member
from py_esp_ota.lives.words import (
    NODE,
    Answer,
    Answered,
    Fetched,
    Happening,
    Heard,
    Lost,
    Off,
    On,
    Pending,
    Said,
    Template,
)
from py_esp_ota.ports import Fetch, Message, Mqtt, MqttSession, Response
from py_esp_ota.world import LAB_URL, Presence, World

AWAKE = 200
"""Real devices at a time, besides those that are busy: the others become one again when they are needed."""

_A_WHILE_S = 120.0
_WAITING = 10_000_000  # messages for the cloud: a million devices that speak at once
_LOOKED_AT = 4  # at each step

_GONE = "the broker is gone"


class Sky:
    """What the devices of a fleet talk to.

    Args:
        epoch: Unix seconds at time 0 of the running loop.
        most_boots: what has booted so often boots for ever, and is not played any further.
    """

    def __init__(self, *, epoch: float, most_boots: int) -> None:
        self._epoch = epoch
        self._most_boots = most_boots
        self._backlog = Backlog(limit=_WAITING)
        self._filters: list[str] = []
        self._up = True
        self._here: dict[str, Member] = {}
        self._wills: dict[str, Message] = {}
        self._known: dict[str, bool | None] = {}  # topics: whether the cloud listens; None: not allowed
        self._gets: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._answers: dict[tuple[object, ...], Fetched] = {}
        self._awake: dict[Member, None] = {}
        self._trouble: asyncio.Future[None] | None = None
        self.messages = 0
        """Messages that devices have published."""
        self.steps = 0
        """Steps that devices have made."""

    # ------------------------------------------------------------------------------------------------- for the cloud

    @asynccontextmanager
    async def open(self, app: AsgiApp, presence: Presence) -> AsyncIterator[World]:
        """``OpenWorld``: the doors of the cloud."""
        self._loop = asyncio.get_running_loop()
        self._trouble = self._loop.create_future()
        self._presence = presence
        transport = httpx2.ASGITransport(app=app)
        async with httpx2.AsyncClient(transport=transport, base_url=LAB_URL) as api, AsgiFetch(app) as fetch:
            self._fetch: Fetch = fetch
            try:
                yield World(
                    mode="lab",
                    broker="in-process",
                    broker_port=0,
                    basic_ingest=True,
                    clock=VirtualClock(self._epoch, self._loop),
                    mqtt=_closed_to_others,
                    session=self._session,
                    fetch=fetch,
                    api=api,
                    public_url=LAB_URL,
                )
            finally:
                await self._end()

    async def _end(self) -> None:
        gets = [*self._gets.values()]
        for member in self._awake:
            member.rest()
        for task in gets:
            task.cancel()
        await asyncio.gather(*gets, return_exceptions=True)

    @asynccontextmanager
    async def _session(self, client_id: str) -> AsyncIterator[MqttSession]:  # noqa: ARG002 - it is the cloud
        await asyncio.sleep(0)
        yield _CloudSession(self, self._backlog.open())

    def deliver(self, topic: str, payload: bytes) -> None:
        """A message of the cloud, to the device that its topic names, if that is there and has subscribed."""
        levels = topic.split("/")
        node_id = levels[2] if levels[0].startswith("$") and len(levels) > 2 else levels[1] if len(levels) > 1 else ""
        member = self._here.get(node_id)
        if member is not None and topic.replace(node_id, NODE) in member.state.step.topics:
            self._loop.call_soon(self._arrive, member, Heard(topic, payload))

    def _arrive(self, member: Member, heard: Heard) -> None:
        if self._here.get(member.node_id) is member:
            self.let(member, heard)

    # ----------------------------------------------------------------------------------------------- for the devices

    def say(self, member: Member, said: Said) -> Answer:
        """Take what a device says."""
        word, texts = said.word, said.texts
        if word == "publish":
            return self._publish(member, *texts)
        if word == "get":
            task = self._loop.create_task(self._get(member, said), name=f"GET of {member.node_id}")
            self._gets[member.node_id, said.number] = task
            return Pending.PENDING
        if word == "close":
            task_or_none = self._gets.pop((member.node_id, int(member.text(texts[0]))), None)
            if task_or_none is not None:
                task_or_none.cancel()
        elif word == "connect":
            return self._connect(member, texts)
        elif word == "leave":
            self._leave(member, silent=bool(texts[0].whole))
        return None

    def _connect(self, member: Member, will: Sequence[Template]) -> Answer:
        if not self._up:
            return "the broker is unreachable"
        self._here[member.node_id] = member
        if will:
            self._wills[member.node_id] = Message(member.text(will[0]), member.octets(will[1]))
        self._presence(member.node_id, True)
        return None

    def _leave(self, member: Member, *, silent: bool) -> None:
        node_id = member.node_id
        if self._here.pop(node_id, None) is not None:
            self._presence(node_id, False)
        will = self._wills.pop(node_id, None)
        if silent and will is not None and may_use(node_id, will.topic):
            self._take(will)

    def _publish(self, member: Member, topic: Template, payload: Template) -> Answer:
        if member.node_id not in self._here:
            return "the connection is lost"
        known = self._known.get(topic.form, _UNKNOWN)
        name = member.text(topic)
        if known is _UNKNOWN:
            heard = any(matches(each, name) for each in self._filters)
            known = self._known[topic.form] = heard if may_use(member.node_id, name) else None
        if known is None:
            self._leave(member, silent=True)
            return f"{member.node_id} may not publish to {name}"
        self.messages += 1
        if known:
            self._backlog.put(Message(name, member.octets(payload)))
        return None

    def _take(self, message: Message) -> None:
        if any(matches(each, message.topic) for each in self._filters):
            self._backlog.put(message)

    async def _get(self, member: Member, said: Said) -> None:
        url, headers = (member.text(each) for each in said.texts)
        answer = await self._fetched(url, json.loads(headers))
        self._gets.pop((member.node_id, said.number), None)
        self.let(member, Answered(said.number, answer))

    async def _fetched(self, url: str, headers: dict[str, str]) -> Fetched:
        try:
            async with self._fetch(url, headers) as response:
                head = response.status, tuple(response.headers.items())
                # A strong validator names the bytes: nobody needs them a second time.
                known = self._answers.get(head) if "etag" in response.headers else None
                if known is None:
                    known = Fetched(*head, await _body(response))
                    if "etag" in response.headers:
                        self._answers[head] = known
                return known
        except FetchError as error:
            return Fetched(0, (), b"", error)

    def moved(self, member: Member) -> None:
        """A step is done."""
        self.steps += 1
        if member.walker is not None:
            self._keep_awake(member)
        if member.given_up:
            return
        if member.state.step.boots >= self._most_boots:
            self.give_up(member)
        elif member.state.went_dark and member.power < float("inf"):
            self._loop.call_later(member.power, self.let, member, On())

    def give_up(self, member: Member) -> None:
        """Pull a device's plug for good."""
        member.given_up = True
        self._loop.call_soon(self._unplug, member)

    def _unplug(self, member: Member) -> None:
        if member.state.step.powered:
            self.let(member, Off())

    def _keep_awake(self, member: Member) -> None:
        """Of the real devices that have nothing to do for a while only those stay that moved last."""
        self._awake.pop(member, None)
        self._awake[member] = None
        for _ in range(_LOOKED_AT if len(self._awake) > AWAKE else 0):
            oldest = next(iter(self._awake))
            del self._awake[oldest]
            if oldest.due > self._loop.time() + _A_WHILE_S:
                oldest.rest()
                return
            self._awake[oldest] = None

    def let(self, member: Member, happening: Happening | None) -> None:
        """Let something happen to a device; what goes wrong is raised where ``trouble`` is awaited."""
        if member.given_up and isinstance(happening, On):
            return
        try:
            if happening is None:
                member.ring()
            else:
                member.happen(happening)
        except Exception as error:  # noqa: BLE001 - a callback of a loop raises to nobody
            if self._trouble is not None and not self._trouble.done():
                self._trouble.set_exception(error)

    def check(self) -> None:
        """Raise what went wrong, if anything did."""
        if self._trouble is not None and self._trouble.done():
            self._trouble.result()

    def stop(self) -> None:
        """Be unreachable: every connection is lost and nobody can connect."""
        self._up = False
        here, self._here = self._here, {}
        for node_id, member in here.items():
            self._presence(node_id, False)
            self._loop.call_soon(self.let, member, Lost(_GONE))

    def start(self) -> None:
        """Be reachable again."""
        self._up = True


_UNKNOWN = object()


def _closed_to_others(client_id: str, will: Message | None = None) -> AbstractAsyncContextManager[Mqtt]:  # noqa: ARG001
    raise MqttError(f"{client_id} is none of this fleet's devices, which come in by another door")


async def _body(response: Response) -> bytes:
    pieces = []
    while piece := await response.read(1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


class _CloudSession:
    """``MqttSession``, of the cloud."""

    def __init__(self, sky: Sky, arrivals: Arrivals) -> None:
        self._sky, self._arrivals = sky, arrivals

    async def publish(self, topic: str, payload: bytes) -> None:
        """Publish; whom it is for has it on return."""
        self._sky.deliver(topic, payload)
        await asyncio.sleep(0)

    async def subscribe(self, topic_filter: str) -> None:
        """Subscribe."""
        self._sky._filters.append(topic_filter)  # noqa: SLF001 - one thing, two faces
        await asyncio.sleep(0)

    def batches(self, limit: int, pause: float = 0.0) -> AsyncIterator[Sequence[Message]]:
        """What has arrived; to ask for the next batch is to acknowledge the last one."""
        return self._arrivals.batches(limit, pause)
