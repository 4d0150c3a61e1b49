"""What ``esp-ota node`` does: one device with power, on real doors, until something ends it."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

from py_esp_ota._core import verify_image
from py_esp_ota.adapters.clock import SystemClock
from py_esp_ota.adapters.counted import CountedFetch
from py_esp_ota.adapters.credentials import node_context
from py_esp_ota.adapters.http import HttpFetch
from py_esp_ota.adapters.kept_flash import FlashFile, heard_after
from py_esp_ota.adapters.mqtt import TcpMqtt
from py_esp_ota.chip import Held
from py_esp_ota.cli.ending import INTERRUPTED
from py_esp_ota.cli.files import Unusable
from py_esp_ota.cli.node_credentials import asked
from py_esp_ota.cli.node_flash import NodeFlash
from py_esp_ota.cli.node_identity import Identity
from py_esp_ota.cli.node_until import QUIET_S, Ending, Until
from py_esp_ota.cli.output import say
from py_esp_ota.cli.progress import Bar
from py_esp_ota.device import Device, Doors
from py_esp_ota.errors import PowerLoss
from py_esp_ota.faults import Plan, Weather
from py_esp_ota.faults.mqtt import budgeted
from py_esp_ota.ports import Message, Mqtt, MqttConnect
from py_esp_ota.rainmaker import client_data

_LOOK_S = 0.2  # between two looks whether the power went or nothing boots
_DARK_S = 1.0  # after a power cut of the weather, until somebody has put the plug back


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """How a node lives here."""

    until: Until
    timeout: float | None
    weather: Plan
    pins: Mapping[int, Held]
    name: str
    as_json: bool


def live(found: NodeFlash, who: Identity, life: Life) -> int:
    """Live on the flash's file until the end; the exit code. Raises ``Unusable``, ``OSError``."""
    kept = _kept(found)
    config = replace(found.config, esp_rmaker_mqtt_use_basic_ingest_topics=who.basic_ingest)
    screen = _Screen(life.until, as_json=life.as_json)
    mqtt = _told(_mqtt(who, replace(found, config=config)), screen)
    try:
        ending = asyncio.run(_live(replace(found, config=config), who, life, kept, mqtt, screen))
    finally:
        screen.bar.hide()
        kept.save()
    screen.end(ending)
    return ending.code


def _kept(found: NodeFlash) -> FlashFile:
    try:
        return FlashFile(found.path, found.flash)
    except ValueError as error:
        raise Unusable(str(error)) from error


def _mqtt(who: Identity, found: NodeFlash) -> TcpMqtt:
    """The door to its broker. Raises ``Unusable`` where firmware would not start its MQTT."""
    username = asked("MQTT", lambda: client_data.get_aws_ppi(found.config, client_data.mac_of(who.node_id)))
    keep_alive = found.config.esp_rmaker_mqtt_keep_alive_interval
    if who.pair is None:
        return TcpMqtt(who.host, who.port, dollar_topics=False, username=username, keep_alive=keep_alive)
    pair, alpn = who.pair, client_data.mqtt_alpn(who.port)
    context = asked("MQTT", lambda: node_context(pair.cert, pair.key, ca_file=who.ca_file, alpn=alpn))
    return TcpMqtt(who.host, who.port, tls=lambda _node_id: context, username=username, keep_alive=keep_alive)


async def _live(
    found: NodeFlash, who: Identity, life: Life, kept: FlashFile, mqtt: MqttConnect, screen: _Screen
) -> Ending:
    """Until a signal, the goal, the time, or a chip that boots nothing."""
    async with HttpFetch(who.ca_file, hosts=who.hosts) as https:
        weather = Weather(
            mqtt=mqtt,
            fetch=https,
            clock=SystemClock(),
            ota_diag=None,
            judge=verify_image,
            slots=[row for row in found.table if row.type == 0],
        )
        device = _device(found, who, life, kept, weather, screen)
        heard, sent = heard_after(kept, weather.mqtt, CountedFetch(weather.fetch, screen.bar.tell))
        _power(device)
        device.flash.fault = life.weather.flash  # every count begins when the first boot is over
        weather.change(life.weather, running=device.running)
        running = asyncio.create_task(device.live(Doors(mqtt=heard, fetch=sent, clock=weather.clock)), name="node")
        watch = asyncio.create_task(_watch(device, life, screen), name="watch")
        try:
            await asyncio.wait([running, watch], return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()  # a mistake of ours
            return watch.result()
        finally:
            for task in (running, watch):
                task.cancel()
            await asyncio.gather(running, watch, return_exceptions=True)


def _device(found: NodeFlash, who: Identity, life: Life, kept: FlashFile, weather: Weather, screen: _Screen) -> Device:
    device = Device(
        found.table,
        target=found.chip,
        flash_size=kept.flash.size,
        config=budgeted(found.config, life.weather),
        node_id=who.node_id,
        ota_diag=weather.app.ota_diag,
        crashes=weather.app.crashes,
        console=screen.line,
        name=life.name,
    )
    device.chip.flash = kept.flash
    device.chip.judge = weather.judge
    device.chip.pins = dict(life.pins)
    return device


async def _watch(device: Device, life: Life, screen: _Screen) -> Ending:
    """Give the chip power, whenever it has none, until it is the end."""
    loop = asyncio.get_running_loop()
    came: list[signal.Signals] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, came.append, number)
    began = loop.time()
    asked_at: float | None = None
    while True:
        device.console.clear()  # it was shown, and a node may live for years
        if came:
            return Ending(INTERRUPTED if came[0] == signal.SIGINT else 128 + came[0], "")
        if life.until.ending is not None:
            return life.until.ending
        if not device.flash.powered:
            screen.note(f"the power is gone; it comes back in {_DARK_S:g} s")
            await asyncio.sleep(_DARK_S)
            _power(device)
        elif device.report is not None and device.report.partition is None:
            return Ending(1, "nothing in this flash boots: the chip resets for ever")
        if life.timeout is not None and loop.time() - began >= life.timeout:
            if life.until.goal is None:
                return Ending(0, f"{life.timeout:g} s are over")
            return Ending(1, f"not {life.until.goal} within {life.timeout:g} s")
        if not life.until.asked:
            asked_at = None
        elif asked_at is None:
            asked_at = loop.time()
        elif loop.time() - asked_at >= QUIET_S:
            life.until.quiet()
        await asyncio.sleep(_LOOK_S)


def _power(device: Device) -> None:
    with suppress(PowerLoss):
        device.power_on()


# --------------------------------------------------------------------------------------------------------- what is seen


class _Screen:
    """Console, messages and the end: lines for people, or one JSON object a line."""

    def __init__(self, until: Until, *, as_json: bool) -> None:
        self._until = until
        self._as_json = as_json
        self._began = time.monotonic()
        self.bar = Bar(shown=not as_json and sys.stderr.isatty())

    def line(self, text: str) -> None:
        """One of the chip's console."""
        self.bar.hide()
        if self._as_json:
            self._object("console", text=text)
        else:
            say(text)
        self.bar.back()

    def note(self, text: str) -> None:
        """What no chip says."""
        self.bar.hide()
        if self._as_json:
            self._object("note", text=text)
        else:
            say(text, err=True)
        self.bar.back()

    def up(self, topic: str, payload: bytes) -> None:
        """A message that the broker has acknowledged."""
        self._message("up", topic, payload)
        self._until.up(topic, payload)

    def down(self, message: Message) -> None:
        """A message that has come."""
        self._message("down", message.topic, message.payload)
        self._until.down(message.topic)

    def end(self, ending: Ending) -> None:
        """The last thing."""
        if self._as_json:
            self._object("end", exit_code=ending.code, why=ending.why)
        elif ending.why:
            say(ending.why, err=True)

    def _message(self, kind: str, topic: str, payload: bytes) -> None:
        if self._as_json:
            self._object(kind, topic=topic, payload=payload.decode("utf-8", "backslashreplace"))

    def _object(self, kind: str, **facts: object) -> None:
        seconds = round(time.monotonic() - self._began, 3)
        say(json.dumps({"seconds": seconds, "kind": kind, **facts}))


def _told(mqtt: MqttConnect, screen: _Screen) -> MqttConnect:
    @asynccontextmanager
    async def connected(client_id: str, will: Message | None = None) -> AsyncIterator[Mqtt]:
        async with mqtt(client_id, will) as link:
            yield _Told(link, screen.up, screen.down)

    return connected


class _Told:
    """``Mqtt`` over another one, with somebody who is told what passes."""

    def __init__(self, mqtt: Mqtt, up: Callable[[str, bytes], None], down: Callable[[Message], None]) -> None:
        self._mqtt = mqtt
        self._up = up
        self._down = down

    async def publish(self, topic: str, payload: bytes, *, dup: bool = False) -> None:
        await self._mqtt.publish(topic, payload, dup=dup)
        self._up(topic, payload)

    async def subscribe(self, topic_filter: str) -> None:
        await self._mqtt.subscribe(topic_filter)

    async def unsubscribe(self, topic_filter: str) -> None:
        await self._mqtt.unsubscribe(topic_filter)

    async def messages(self) -> AsyncIterator[Message]:
        async for message in self._mqtt.messages():
            self._down(message)
            yield message
