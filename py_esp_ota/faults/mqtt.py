"""Faults of MQTT: connections through a broker that loses, repeats, holds back, and hangs up as planned."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Literal

from py_esp_ota.errors import MqttError
from py_esp_ota.faults.grammar import Fault, Plan, parse_own
from py_esp_ota.ports import Message, Mqtt, MqttConnect
from py_esp_ota.sdkconfig import Sdkconfig

Way = Literal["up", "down"]  # from the device, to the device


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one message."""

    cut: bool = False  # the connection is lost instead
    copies: int = 1
    delay: int = 0  # seconds until it arrives; the messages after it overtake it
    acked: bool = True


_FAIR = Fate()


def fate(faults: tuple[Fault, ...], way: Way, number: int, connection: int, number_here: int) -> Fate:
    """What becomes of message ``number`` of its way since the plan was armed.

    Args:
        faults: the plan.
        way: up from the device, or down to it.
        number: of the message, from 0.
        connection: number of the connection, from 0.
        number_here: of the message within this connection, from 0.
    """
    if not faults:
        return _FAIR
    mine = [fault for fault in faults if ("down" in fault.args) == (way == "down")]
    now = [fault for fault in mine if fault.at <= number < fault.at + (fault.times or 1)]
    words = {fault.word for fault in now}
    cuts = [fault for fault in mine if fault.word == "mqtt-cut" and connection < (fault.times or 1)]
    return Fate(
        cut=any(fault.at == number_here for fault in cuts),
        copies=0 if "mqtt-lose" in words else 2 if "mqtt-twice" in words else 1,
        delay=max((fault.number(1) for fault in now if fault.word == "mqtt-delay"), default=0),
        acked="mqtt-puback" not in words,
    )


def budgeted(config: Sdkconfig, plan: Plan) -> Sdkconfig:
    """The options of an app whose MQTT budget is nearly used up when it boots; refilled as ever."""
    for fault in plan.of("mqtt"):
        if fault.word == "mqtt-budget":
            config = replace(config, esp_rmaker_mqtt_default_budget=fault.at)
    return config


class FaultyMqtt:
    """``MqttConnect`` over another one; counts and held-back messages outlive the connections.

    Args:
        connect: the broker that works.
        plan: what goes wrong; see the package.

    Raises:
        ValueError: the plan does not parse, or is about something else than MQTT.
    """

    def __init__(self, connect: MqttConnect, plan: str | Plan = "") -> None:
        self._connect = connect
        self._connected = False
        self.held: list[tuple[float, Message]] = []  # due at, by the loop's clock
        self.arm(plan)

    def arm(self, plan: str | Plan) -> None:
        """Follow this plan and count from now on. Raises ``ValueError`` as the constructor."""
        self.plan = parse_own(plan, "mqtt")
        self._faults = self.plan.of("mqtt")
        self._attempts = 0
        self._connection = 0 if self._connected else -1
        self._numbers = {"up": 0, "down": 0}
        self._numbers_here = {"up": 0, "down": 0}

    def __call__(self, client_id: str, will: Message | None = None) -> AbstractAsyncContextManager[Mqtt]:
        """Connect, if the plan lets it."""
        return self._session(client_id, will)

    def next_fate(self, way: Way) -> Fate:
        """What becomes of the message that goes now."""
        found = fate(self._faults, way, self._numbers[way], self._connection, self._numbers_here[way])
        if not (found.cut and way == "up"):  # it will be sent again, as the same message
            self._numbers[way] += 1
        self._numbers_here[way] += 1
        return found

    @asynccontextmanager
    async def _session(self, client_id: str, will: Message | None) -> AsyncIterator[Mqtt]:
        attempt, self._attempts = self._attempts, self._attempts + 1
        refusals = [fault for fault in self._faults if fault.word == "mqtt-refuse"]
        if any(fault.times is None or attempt < fault.times for fault in refusals):
            await asyncio.sleep(0)
            raise MqttError("the broker does not answer, as planned")
        async with self._connect(client_id, will) as link:
            self._connected = True
            self._connection += 1
            self._numbers_here = {"up": 0, "down": 0}
            faulty = _Link(self, link)
            try:
                yield faulty
            finally:
                self._connected = False
                await faulty.end()


class _Link:
    """One connection. A cut is told by ``MqttError``; whoever gets it leaves the connection."""

    def __init__(self, mqtt: FaultyMqtt, link: Mqtt) -> None:
        self._mqtt = mqtt
        self._link = link
        self._cut = False
        self._late: set[asyncio.Task[None]] = set()
        for due, message in tuple(mqtt.held):
            self._send_later(due, message)

    async def publish(self, topic: str, payload: bytes, *, dup: bool = False) -> None:
        """Publish, or pretend to. A held-back message has its PUBACK at once, as from a broker that is slow inside."""
        fate = None if self._cut else self._mqtt.next_fate("up")
        if fate is None or fate.cut:
            self._cut = True  # also for what is on its way behind this message
            raise MqttError("the connection was lost, as planned")
        for _ in range(fate.copies):
            if fate.delay:
                due = asyncio.get_running_loop().time() + fate.delay
                self._mqtt.held.append((due, Message(topic, payload)))
                self._send_later(*self._mqtt.held[-1])
            else:
                await self._link.publish(topic, payload, dup=dup)
        if not fate.acked:
            await asyncio.Event().wait()
        elif fate.delay or not fate.copies:
            await asyncio.sleep(0)  # nobody was asked, but a PUBACK takes its time

    async def subscribe(self, topic_filter: str) -> None:
        """Subscribe; this never fails by plan."""
        await self._link.subscribe(topic_filter)

    async def unsubscribe(self, topic_filter: str) -> None:
        """Unsubscribe; this never fails by plan."""
        await self._link.unsubscribe(topic_filter)

    def messages(self) -> AsyncIterator[Message]:
        """What the plan lets through."""
        return _Arrivals(self._mqtt, self._link.messages())

    async def end(self) -> None:
        """The connection is over; what is held back waits for the next one."""
        for task in self._late:
            task.cancel()
        await asyncio.gather(*self._late, return_exceptions=True)

    def _send_later(self, due: float, message: Message) -> None:
        task = asyncio.create_task(self._deliver(due, message), name="a message held back")
        self._late.add(task)

    async def _deliver(self, due: float, message: Message) -> None:
        await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        await self._link.publish(message.topic, message.payload)
        self._mqtt.held.remove((due, message))


# An iterator, not a generator: a generator that is abandoned half-way would need closing.
class _Arrivals:
    """What comes down, each message by its fate; what is still held back when the connection ends is lost."""

    def __init__(self, mqtt: FaultyMqtt, messages: AsyncIterator[Message]) -> None:
        self._mqtt = mqtt
        self._messages = messages
        self._held: list[tuple[float, Message]] = []

    def __aiter__(self) -> _Arrivals:
        return self

    async def __anext__(self) -> Message:
        loop = asyncio.get_running_loop()
        while True:
            due = self._held[0][0] if self._held else None
            if due is not None and due <= loop.time():
                return self._held.pop(0)[1]
            try:
                async with asyncio.timeout_at(due) if due is not None else nullcontext():
                    message = await anext(self._messages)
            except TimeoutError:
                continue
            fate = self._mqtt.next_fate("down")
            if fate.cut:
                raise MqttError("the connection was lost, as planned")
            if fate is _FAIR and not self._held:
                return message
            self._held += [(loop.time() + fate.delay, message)] * fate.copies
            self._held.sort(key=lambda held: held[0])
