"""What a device owes the clock for its flash: operations are done at once, and the time they take passes at its doors.

A call of ``esp_ota_ops`` cannot wait. What it did is counted, and whoever reads from the network or says something next
waits until the chip is through with it: nothing is heard of a device earlier than from one whose flash takes its time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from py_esp_ota.chip import Chip
from py_esp_ota.flash_timing import FlashTiming
from py_esp_ota.ports import Fetch, Message, Mqtt, MqttConnect, Response


class FlashClock:
    """The time that one chip's flash takes, on the running loop's clock."""

    def __init__(self, chip: Chip, timing: FlashTiming) -> None:
        self._chip = chip
        self._timing = timing
        self._counted, self._judged = chip.flash.stats, chip.judged
        self._free_at = 0.0

    def owed(self) -> float:
        """Typical seconds of what the flash did since this was asked last."""
        before, now = self._counted, self._chip.flash.stats
        looked = self._chip.judged - self._judged
        self._counted, self._judged = now, self._chip.judged
        return self._timing.between(before, now) + self._timing.seconds(reads=looked)

    async def pay(self) -> None:
        """Wait until the flash is through. Whoever waits goes on in the order in which they came."""
        now = asyncio.get_running_loop().time()
        self._free_at = max(now, self._free_at) + self.owed()
        if self._free_at > now:
            await asyncio.sleep(self._free_at - now)


class PayingFetch:
    """``Fetch`` of a device whose flash takes time: it reads on when it has written what it read."""

    def __init__(self, fetch: Fetch, clock: FlashClock) -> None:
        self._fetch = fetch
        self._clock = clock

    @asynccontextmanager
    async def __call__(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[Response]:
        """Send the request while the context is entered."""
        await self._clock.pay()
        async with self._fetch(url, headers) as response:
            yield _Paying(response, self._clock)


class _Paying:
    def __init__(self, response: Response, clock: FlashClock) -> None:
        self._response = response
        self._clock = clock
        self.status = response.status
        self.headers = response.headers

    async def read(self, limit: int) -> bytes:
        await self._clock.pay()
        return await self._response.read(limit)


class PayingMqtt:
    """``MqttConnect`` of a device whose flash takes time: it says and hears what comes next when it is through."""

    def __init__(self, mqtt: MqttConnect, clock: FlashClock) -> None:
        self._mqtt = mqtt
        self._clock = clock

    def __call__(self, client_id: str, will: Message | None = None) -> AbstractAsyncContextManager[Mqtt]:
        """Connect while the context is entered."""
        return self._connected(client_id, will)

    @asynccontextmanager
    async def _connected(self, client_id: str, will: Message | None) -> AsyncIterator[Mqtt]:
        async with self._mqtt(client_id, will) as link:
            yield _PayingLink(link, self._clock)


class _PayingLink:
    def __init__(self, link: Mqtt, clock: FlashClock) -> None:
        self._link = link
        self._clock = clock
        self.subscribe = link.subscribe
        self.unsubscribe = link.unsubscribe

    async def publish(self, topic: str, payload: bytes, *, dup: bool = False) -> None:
        await self._clock.pay()
        await self._link.publish(topic, payload, dup=dup)

    async def messages(self) -> AsyncIterator[Message]:
        async for message in self._link.messages():
            await self._clock.pay()
            yield message
