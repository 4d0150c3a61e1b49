"""The same story over every broker and every kind of HTTP: in memory under virtual time, and over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from steady import SteadyLoop

from py_esp_ota.adapters.broker import open_broker
from py_esp_ota.adapters.certificates import LocalCa
from py_esp_ota.adapters.memory import MemoryBroker, run_virtual
from py_esp_ota.adapters.mosquitto import find_mosquitto

needs_mosquitto = pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")

Run = Callable[[Coroutine[Any, Any, Any]], Any]


def run_real(story):
    async def limited():
        async with asyncio.timeout(30):
            return await story

    with asyncio.Runner(loop_factory=SteadyLoop) as runner:
        return runner.run(limited())


@asynccontextmanager
async def memory_broker(_folder: Path, _ca: LocalCa):
    yield MemoryBroker()


@asynccontextmanager
async def mosquitto(folder: Path, ca: LocalCa):
    async with open_broker(folder, ca, prefer="mosquitto") as broker:
        yield broker


@asynccontextmanager
async def embedded(folder: Path, ca: LocalCa):
    async with open_broker(folder, ca, prefer="embedded") as broker:
        yield broker


@dataclass
class Bench:
    """Plays a story with a fresh broker and gives its result."""

    run: Run
    open: Callable[[], Any]
    name: str

    def play(self, story: Callable[..., Awaitable[Any]]) -> Any:
        async def whole():
            async with self.open() as broker:
                return await story(broker)

        return self.run(whole())


BROKERS = {
    "memory": (memory_broker, run_virtual, []),
    "mosquitto": (mosquitto, run_real, [pytest.mark.sockets, needs_mosquitto]),
    "embedded": (embedded, run_real, [pytest.mark.sockets]),
}


def brokers(*names: str) -> list[Any]:
    """Parameters for the ``bench`` fixture, with the marks each broker needs."""
    return [pytest.param(name, marks=BROKERS[name][2]) for name in names or BROKERS]


async def soon(condition: Callable[[], bool]) -> None:
    """Wait for what another process will do; under virtual time it costs nothing."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - another process cannot set an event
            await asyncio.sleep(0.01)


async def next_of(client, seconds: float = 5.0):
    """The next message of a client."""
    async with asyncio.timeout(seconds):
        return await anext(client.messages())


async def silent(client, seconds: float = 0.15) -> bool:
    """Whether a client receives nothing."""
    try:
        await next_of(client, seconds)
    except TimeoutError:
        return True
    return False
