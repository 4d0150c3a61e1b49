"""The whole cloud as one object: what the REST API, the web page and the lab hold.

Its parts, one file each, hold what they need of each other: ``images``, ``nodes``, ``mappings`` and ``sharing`` (which
users a node has), ``jobs``, ``intake`` (what nodes say) and ``outbox`` (what they are told). This file puts them
together and adds the life of the connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NoReturn

from py_esp_ota.cloud.errands import outage, pauses
from py_esp_ota.cloud.ground import Ground
from py_esp_ota.cloud.images import Images
from py_esp_ota.cloud.intake import Intake
from py_esp_ota.cloud.jobs import DEFAULT_FETCH_CYCLES
from py_esp_ota.cloud.mapping import Mappings
from py_esp_ota.cloud.nodes import CLIENT_ID, Nodes
from py_esp_ota.cloud.otajobs import Jobs
from py_esp_ota.cloud.outbox import Outbox
from py_esp_ota.cloud.sharing import Sharing
from py_esp_ota.cloud.store import Store
from py_esp_ota.cloud.tokens import Ids, Links, TokenHex
from py_esp_ota.errors import MqttError
from py_esp_ota.ports import Clock, Mqtt, MqttConnect

log = logging.getLogger(__name__)

RECONNECT_S = 1.0
RECONNECT_LIMIT_S = 30.0
EXPIRY_CHECK_S = 3600.0  # the wall clock may be set, so that no sleep is longer


class CloudService:
    """A RainMaker-compatible OTA cloud.

    The actions are plain calls and take effect at once; ``run`` is the connection to the broker. Without it jobs can
    be made and watched, but nothing reaches a node.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Clock,
        public_url: str | Callable[[], str],
        token_hex: TokenHex,
        max_fetch_cycles: int = DEFAULT_FETCH_CYCLES,
    ) -> None:
        ids = Ids(token_hex)
        self.store = store
        self.ground = Ground(store, clock, ids)
        self.links = Links(store.setting("link_key", ids.key), public_url)
        self.live = self.ground.live
        self.outbox = Outbox()
        self.images = Images(self.ground, self.links)
        self.nodes = Nodes(self.ground, self.outbox)
        self.mappings = Mappings(self.ground)
        self.sharing = Sharing(self.ground)
        self.jobs = Jobs(self.ground, self.images, self.nodes, self.outbox, max_fetch_cycles)
        self.intake = Intake(self.ground, self.nodes, self.mappings, self.jobs)
        self._waiters: list[asyncio.Future[None]] = []
        self.nodes.forget_presence()

    @property
    def connected(self) -> bool:
        """Whether the cloud hears its nodes now."""
        return self.outbox.open

    async def wait_connected(self) -> None:
        """Return when the cloud hears its nodes: from then on no message of theirs is lost."""
        if not self.connected:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter

    async def run(self, connect: MqttConnect) -> NoReturn:
        """Serve nodes over MQTT for ever, connecting again whenever the broker goes away."""
        self.jobs.made = asyncio.Event()  # of the loop that runs now
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_deadlines(self.jobs.made))
            group.create_task(self.ground.errands.run())
            await self._stay_connected(connect)
        raise AssertionError("unreachable")  # all of them go on for ever

    async def _stay_connected(self, connect: MqttConnect) -> NoReturn:
        pause = RECONNECT_S
        while True:
            try:
                async with connect(CLIENT_ID) as mqtt:
                    for topic_filter in self.intake.TOPIC_FILTERS:
                        await mqtt.subscribe(topic_filter)
                    pause = RECONNECT_S
                    await self._serve(mqtt)
            except* MqttError as lost:
                log.warning("no broker, trying again in %g s: %s", pause, lost.exceptions[0])
            await asyncio.sleep(pause)
            pause = min(pause * 2, RECONNECT_LIMIT_S)

    async def _serve(self, mqtt: Mqtt) -> None:
        """One connection, until it ends: raises ``MqttError``."""
        self.outbox.start()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        self._waiters.clear()
        # No TaskGroup: one that fails already swallows a cancellation, and the cloud would never end.
        halves = [asyncio.create_task(self.outbox.deliver(mqtt)), asyncio.create_task(self._listen(mqtt))]
        try:
            await asyncio.wait(halves, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for half in halves:
                half.cancel()
            self.outbox.close()
            ends = await asyncio.gather(*halves, return_exceptions=True)
        # A mistake of the program comes before the lost connection, and both before the half that was only stopped.
        raise min(ends, key=lambda end: 2 * isinstance(end, asyncio.CancelledError) + isinstance(end, MqttError))

    async def _listen(self, mqtt: Mqtt) -> NoReturn:
        async for message in mqtt.messages():
            self.intake.handle(message)
        raise MqttError("the broker ended the connection")

    async def _watch_deadlines(self, made: asyncio.Event) -> NoReturn:
        retry = pauses()
        while True:
            try:
                deadline = self.jobs.expire()
            except Exception as error:
                if not (why := outage(error)):
                    raise
                seconds = next(retry)
                log.error("deadlines of jobs wait, looking again in %g s: %s", seconds, why)
                await asyncio.sleep(seconds)
                continue
            retry = pauses()
            made.clear()
            pause = None if deadline is None else min((deadline - self.ground.now_ms() + 1) / 1000, EXPIRY_CHECK_S)
            try:
                async with asyncio.timeout(pause):
                    await made.wait()
            except TimeoutError:
                continue
