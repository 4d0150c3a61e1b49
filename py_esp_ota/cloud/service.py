"""The whole cloud as one object: what the REST API, the web page and the lab hold.

Its parts, one file each, from the bottom up: ``images``, ``nodes``, ``serving`` (what nodes get and say), ``otajobs``,
``dispatch`` (MQTT in and out). This file adds the life of its connection.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import NoReturn

from py_esp_ota.cloud.dispatch import Dispatch
from py_esp_ota.cloud.errands import outage, pauses
from py_esp_ota.cloud.jobs import DEFAULT_FETCH_CYCLES
from py_esp_ota.cloud.part import CLIENT_ID
from py_esp_ota.cloud.store import Store
from py_esp_ota.cloud.tokens import TokenHex
from py_esp_ota.errors import MqttError
from py_esp_ota.ports import Clock, Mqtt, MqttConnect

log = logging.getLogger(__name__)

RECONNECT_S = 1.0
RECONNECT_LIMIT_S = 30.0
EXPIRY_CHECK_S = 3600.0  # the wall clock may be set, so that no sleep is longer


class CloudService(Dispatch):
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
        super().__init__(
            store, clock=clock, public_url=public_url, token_hex=token_hex, max_fetch_cycles=max_fetch_cycles
        )
        self._job_made: asyncio.Event | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self.forget_presence()

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
        self._job_made = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._watch_deadlines(self._job_made))
                group.create_task(self.errands.run())
                await self._stay_connected(connect)
        finally:
            self._job_made = None
        raise AssertionError("unreachable")  # all of them go on for ever

    async def _stay_connected(self, connect: MqttConnect) -> NoReturn:
        pause = RECONNECT_S
        while True:
            try:
                async with connect(CLIENT_ID) as mqtt:
                    for topic_filter in self.TOPIC_FILTERS:
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
            self.handle(message)
        raise MqttError("the broker ended the connection")

    def on_new_job(self) -> None:
        """Its deadline may be the next one."""
        if self._job_made is not None:
            self._job_made.set()

    async def _watch_deadlines(self, job_made: asyncio.Event) -> NoReturn:
        retry = pauses()
        while True:
            try:
                deadline = self.expire_jobs()
            except Exception as error:
                if not (why := outage(error)):
                    raise
                seconds = next(retry)
                log.error("deadlines of jobs wait, looking again in %g s: %s", seconds, why)
                await asyncio.sleep(seconds)
                continue
            retry = pauses()
            job_made.clear()
            pause = None if deadline is None else min((deadline - self.now_ms() + 1) / 1000, EXPIRY_CHECK_S)
            try:
                async with asyncio.timeout(pause):
                    await job_made.wait()
            except TimeoutError:
                continue
