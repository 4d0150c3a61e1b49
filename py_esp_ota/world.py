"""The world around a cloud and its devices: a set of doors. Here is the one in memory, under virtual time.

Everything that waits behind the doors is one code path; only the doors differ. Those of ``socket_world`` are real ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from py_esp_ota.adapters.asgi import AsgiApp, AsgiFetch
from py_esp_ota.adapters.limits import CONNECTION_LIMIT
from py_esp_ota.adapters.memory import MemoryBroker, VirtualClock
from py_esp_ota.extras import missing
from py_esp_ota.ports import Clock, Fetch, MqttConnect, MqttSessionConnect, Post

if TYPE_CHECKING:
    import httpx2

if find_spec("httpx2") is None:  # said at once; it is loaded with the first lab: that takes a tenth of a second
    raise missing("a lab", "cloud", ModuleNotFoundError(name="httpx2"))

Presence = Callable[[str, bool], None]

EPOCH = 1_767_225_600.0  # 2026-01-01T00:00:00Z: the first moment under virtual time
ADMIN = "admin@localhost"
LAB_HOST = "cloud.lab"
LAB_URL = f"https://{LAB_HOST}"


@dataclass(frozen=True)
class World:
    """The doors of one world: ``mqtt`` is for nodes, ``session`` for the cloud."""

    mode: Literal["lab", "sockets"]
    broker: str
    broker_port: int  # 0: it is not on a socket
    basic_ingest: bool
    clock: Clock
    mqtt: MqttConnect
    session: MqttSessionConnect
    fetch: Fetch
    api: httpx2.AsyncClient
    public_url: str
    post: Post | None = None  # without it webhooks wait


OpenWorld = Callable[[AsgiApp, Presence], AbstractAsyncContextManager[World]]


@asynccontextmanager
async def memory_world(
    app: AsgiApp,
    presence: Presence,
    *,
    epoch: float,
    keep_alive: float | None = None,
    connections: int = CONNECTION_LIMIT,
) -> AsyncIterator[World]:
    """In-process broker and HTTP; time starts at ``epoch`` (Unix seconds) and is the running loop's.

    With a ``keep_alive``, 120 s on a RainMaker node, the broker misses a node without power only after half as long
    again, as a real one does. It turns away who comes when there are ``connections`` already.
    """
    import httpx2  # noqa: PLC0415 - as the imports of a lab that opens

    broker = MemoryBroker(keep_alive=keep_alive, connections=connections)
    broker.on_presence(presence)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url=LAB_URL) as api, AsgiFetch(app) as fetch:
        yield World(
            mode="lab",
            broker="in-process",
            broker_port=0,
            basic_ingest=True,
            clock=VirtualClock(epoch, asyncio.get_running_loop()),  # who stands outside may ask it too
            mqtt=broker.mqtt,
            session=broker.session,
            fetch=fetch,
            api=api,
            public_url=LAB_URL,
        )
