"""Two worlds for the same cloud and the same devices: in memory under virtual time, or real sockets on loopback.

A world is a set of doors. Everything that waits behind them is one code path; only the doors differ.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import httpx2

from py_esp_ota.adapters.asgi import AsgiApp, AsgiFetch
from py_esp_ota.adapters.broker import open_broker
from py_esp_ota.adapters.certificates import LocalCa
from py_esp_ota.adapters.clock import SystemClock
from py_esp_ota.adapters.http import HttpFetch, serve
from py_esp_ota.adapters.lives import OnEnd
from py_esp_ota.adapters.memory import MemoryBroker, VirtualClock
from py_esp_ota.ports import Clock, Fetch, MqttConnect

Presence = Callable[[str, bool], None]
BrokerKind = Literal["mosquitto", "embedded"]

LAB_HOST = "cloud.lab"
LAB_URL = f"https://{LAB_HOST}"


@dataclass(frozen=True)
class World:
    """The doors of one world."""

    mode: Literal["lab", "sockets"]
    broker: str
    basic_ingest: bool
    clock: Clock
    mqtt: MqttConnect
    fetch: Fetch
    api: httpx2.AsyncClient
    public_url: str


OpenWorld = Callable[[AsgiApp, Presence], AbstractAsyncContextManager[World]]


@asynccontextmanager
async def memory_world(app: AsgiApp, presence: Presence, *, epoch: float) -> AsyncIterator[World]:
    """In-process broker and HTTP; time starts at ``epoch`` (Unix seconds) and is the running loop's."""
    broker = MemoryBroker()
    broker.on_presence(presence)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url=LAB_URL) as api, AsgiFetch(app) as fetch:
        yield World(
            mode="lab",
            broker="in-process",
            basic_ingest=True,
            clock=VirtualClock(epoch, asyncio.get_running_loop()),  # who stands outside may ask it too
            mqtt=broker,
            fetch=fetch,
            api=api,
            public_url=LAB_URL,
        )


@asynccontextmanager
async def _socket_world(
    app: AsgiApp,
    presence: Presence,
    *,
    folder: Path,
    prefer: BrokerKind | None,
    https_port: int,
    mqtt_port: int,
    on_end: OnEnd | None,
) -> AsyncIterator[World]:
    ca = LocalCa(folder)
    certificate = ca.server()
    async with (
        open_broker(folder, ca, prefer=prefer, port=mqtt_port, on_end=on_end) as broker,
        serve(app, port=https_port, certfile=certificate.cert, keyfile=certificate.key, on_end=on_end) as url,
        HttpFetch(ca.ca_file) as fetch,
        httpx2.AsyncClient(base_url=url, verify=fetch.ssl_context, trust_env=False) as api,
    ):
        broker.on_presence(presence)
        yield World(
            mode="sockets",
            broker=broker.name,
            basic_ingest=broker.basic_ingest,
            clock=SystemClock(),
            mqtt=broker.mqtt,
            fetch=fetch,
            api=api,
            public_url=url,
        )


def socket_world(
    folder: Path,
    *,
    prefer: BrokerKind | None = None,
    https_port: int = 0,
    mqtt_port: int = 0,
    on_end: OnEnd | None = None,
) -> OpenWorld:
    """A real broker and real HTTPS on loopback, with a local CA kept in ``folder``.

    Args:
        folder: where the CA, certificates and the broker's configuration are kept.
        prefer: which broker; Mosquitto when installed, else the embedded one, when not given.
        https_port: 0 takes a free one.
        mqtt_port: 0 takes a free one.
        on_end: called with one sentence when the broker or the HTTPS server ends by itself.
    """
    return partial(
        _socket_world, folder=folder, prefer=prefer, https_port=https_port, mqtt_port=mqtt_port, on_end=on_end
    )
