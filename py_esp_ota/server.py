"""What ``esp-ota serve`` serves: a cloud on real sockets, its page, the virtual nodes of its folder, and rehearsals."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy import URL

from py_esp_ota.adapters.http import serve
from py_esp_ota.adapters.kept_files import KeptFiles
from py_esp_ota.adapters.kept_flash import KeptFlashes
from py_esp_ota.adapters.lives import OnEnd
from py_esp_ota.cloud.accounts import Derive
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.web import OneTimeLink, mount_web
from py_esp_ota.cloud_world import open_cloud
from py_esp_ota.rehearsal.desk import Desk
from py_esp_ota.socket_world import BrokerKind, socket_world
from py_esp_ota.virtual_nodes.population import Population
from py_esp_ota.world import World

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
    devices: int  # virtual nodes that are there at least: node000001 and so on
    image: bytes  # what those of them run that are new


@dataclass(frozen=True, slots=True)
class Server:
    """One that serves."""

    url: str  # plain HTTP: the page and the REST API
    world: World
    service: CloudService
    nodes: Population


@asynccontextmanager
async def open_server(
    settings: Settings,
    flashes: KeptFlashes,
    files: KeptFiles,
    *,
    token_hex: Callable[[int], str],
    derive: Derive,
    deliver: Callable[[str, str], None],
    on_end: OnEnd,
) -> AsyncIterator[Server]:
    """Serve while the context is entered; ``on_end`` gets one sentence when a part ends by itself.

    ``flashes`` and ``files`` are where virtual nodes are kept.

    Raises:
        MqttError: the broker does not start.
        OSError: a port is taken.
        ValueError: the database is none of this cloud's, or a file of a virtual node is none.
        CloudError: the devices cannot be brought along.
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
        sockets,
        database=settings.database,
        token_hex=token_hex,
        admin_password=settings.admin_password,
        deliver=deliver,
        derive=derive,
        allowed_hosts=[settings.address, *settings.names],
        on_end=on_end,
    ) as cloud:
        nodes = Population(cloud.world, cloud.service, flashes, files, on_end=on_end)
        cloud.app.state.virtual_nodes = nodes
        cloud.service.boards.virtual = nodes.facts
        desk = Desk(cloud.service.live)
        cloud.app.state.rehearsals = desk
        if settings.page is not None:
            link = settings.page if isinstance(settings.page, OneTimeLink) else None
            mount_web(cloud.app, cloud.service, link, login=settings.page == "login")
        async with serve(cloud.app, port=settings.port, on_end=on_end) as url, nodes.living(), desk.open():
            await nodes.bring_along(settings.devices, settings.image)
            yield Server(url, cloud.world, cloud.service, nodes)
