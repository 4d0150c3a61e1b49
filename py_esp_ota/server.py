"""What ``esp-ota serve`` serves: a cloud on real sockets, its page, and devices whose flash is in files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from sqlalchemy import URL

from py_esp_ota._core import PartitionTable
from py_esp_ota.adapters.asgi import AsgiApp
from py_esp_ota.adapters.http import serve
from py_esp_ota.adapters.kept_flash import KeptFlashes
from py_esp_ota.adapters.lives import OnEnd, watch
from py_esp_ota.cloud.accounts import Derive
from py_esp_ota.cloud.web import OneTimeLink, mount_web
from py_esp_ota.cloud_world import open_cloud
from py_esp_ota.device import Device, Doors
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.socket_world import BrokerKind, socket_world
from py_esp_ota.world import OpenWorld, Presence, World

Page = OneTimeLink | Literal["open", "login"] | None
"""Who sees the page: one browser, everybody, who logs in, nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is served, and where. Ports: 0 takes a free one."""

    data: Path
    database: str | URL
    admin_password: str
    page: Page
    address: str  # of HTTPS, and of Mosquitto beside loopback; plain HTTP stays there
    names: Sequence[str] = ()  # what else the certificates are for; the first one stands in the nodes' URLs
    port: int
    https_port: int
    mqtt_port: int
    broker: BrokerKind | None  # Mosquitto when installed, else the embedded one, when not given
    images: Sequence[bytes]  # one device runs each, unless it has a flash of an earlier start


@dataclass(frozen=True, slots=True)
class Server:
    """One that serves."""

    url: str  # plain HTTP: the page and the REST API
    world: World
    devices: Sequence[Device]


@asynccontextmanager
async def open_server(
    settings: Settings,
    kept: KeptFlashes,
    *,
    token_hex: Callable[[int], str],
    derive: Derive,
    deliver: Callable[[str, str], None],
    on_end: OnEnd,
) -> AsyncIterator[Server]:
    """Serve while the context is entered; ``on_end`` gets one sentence when a part ends by itself.

    Raises:
        MqttError: the broker does not start.
        OSError: a port is taken.
        ValueError: the database is none of this cloud's.
    """
    sockets = socket_world(
        settings.data,
        prefer=settings.broker,
        https_host=settings.address,
        https_port=settings.https_port,
        mqtt_port=settings.mqtt_port,
        names=settings.names,
        on_end=on_end,
    )
    async with open_cloud(
        partial(_behind, kept, sockets),
        database=settings.database,
        token_hex=token_hex,
        admin_password=settings.admin_password,
        deliver=deliver,
        derive=derive,
        allowed_hosts=[settings.address, *settings.names],
        on_end=on_end,
    ) as cloud:
        if settings.page is not None:
            link = settings.page if isinstance(settings.page, OneTimeLink) else None
            mount_web(cloud.app, cloud.service, link, login=settings.page == "login")
        async with serve(cloud.app, port=settings.port, on_end=on_end) as url:
            devices = [_device(cloud.world, kept, number, image) for number, image in enumerate(settings.images, 1)]
            async with _living(devices, cloud.world, on_end):
                yield Server(url, cloud.world, devices)


@asynccontextmanager
async def _behind(kept: KeptFlashes, open_world: OpenWorld, app: AsgiApp, presence: Presence) -> AsyncIterator[World]:
    """A world in which a device is heard when its flash is stored."""
    async with open_world(app, presence) as world:
        yield replace(world, mqtt=kept.before_mqtt(world.mqtt), fetch=kept.before_fetch(world.fetch))


def _device(world: World, kept: KeptFlashes, number: int, image: bytes) -> Device:
    config = replace(Sdkconfig(), esp_rmaker_mqtt_use_basic_ingest_topics=world.basic_ingest)
    table = PartitionTable.builtin("two_ota_large")
    device = Device(table, firmware=image, config=config, node_id=f"node{number:06}")
    device.chip.flash = kept.keep(device.node_id, device.flash)
    return device


@asynccontextmanager
async def _living(devices: Sequence[Device], world: World, on_end: OnEnd) -> AsyncIterator[None]:
    """Devices with power."""
    doors = Doors(mqtt=world.mqtt, fetch=world.fetch, clock=world.clock)
    lives = []
    for device in devices:
        name = f"device {device.node_id}"
        lives.append(asyncio.create_task(device.live(doors), name=name))
        watch(lives[-1], name, on_end)
        device.power_on()
    try:
        yield
    finally:
        for life in lives:
            life.cancel()
        await asyncio.gather(*lives, return_exceptions=True)
