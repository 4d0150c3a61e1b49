"""What ``esp-ota serve`` does: one cloud, its broker and its page, from the folder to the signal that ends them."""

from __future__ import annotations

import asyncio
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import click
from sqlalchemy.exc import DBAPIError

from py_esp_ota.adapters.asgi import AsgiApp
from py_esp_ota.adapters.certificates import LocalCa
from py_esp_ota.adapters.http import serve
from py_esp_ota.adapters.kept_flash import KeptFlashes
from py_esp_ota.adapters.listeners import why_not
from py_esp_ota.adapters.lives import OnEnd
from py_esp_ota.cli.data_folder import DATABASE, PASSWORD, FolderTakenError, alone_in, open_folder
from py_esp_ota.cli.files import Unusable, read_app
from py_esp_ota.cloud.accounts import Derive, scrypt
from py_esp_ota.cloud.refusals import CloudError
from py_esp_ota.cloud.web import OneTimeLink, mount_web
from py_esp_ota.errors import MqttError
from py_esp_ota.firmware import Firmware
from py_esp_ota.lab import ADMIN, Lab
from py_esp_ota.socket_world import BrokerKind, socket_world
from py_esp_ota.world import OpenWorld, Presence, World

_DEVICES = "devices"  # the folder of their flashes in --data
_Page = OneTimeLink | Literal["open"] | None  # one browser, everybody, nobody


def serve_until_signalled(
    data: Path,
    port: int,
    https_port: int,
    mqtt_port: int,
    broker: BrokerKind | None,
    devices: int,
    firmware: Path | None,
    *,
    web: bool,
    one_time_link: bool,
) -> None:
    """Serve from the folder ``data``. Raises ``Unusable``; ``click.Abort`` after Ctrl-C."""
    page: _Page = None if not web else OneTimeLink(secrets.token_hex) if one_time_link else "open"
    image = read_app(firmware) if firmware else Firmware("lamp", "1.0.0").to_bytes()
    try:
        with alone_in(data) as announce, KeptFlashes(data / _DEVICES) as kept:
            password = open_folder(data)
            serving = partial(
                _serve, data, port, https_port, mqtt_port, broker, [image] * devices, password, page, kept, announce
            )
            number = asyncio.run(_whole(serving))
    except FolderTakenError as error:
        raise click.ClickException(str(error)) from error
    except (OSError, MqttError) as error:
        ports = {"--port": port, "--https-port": https_port, "--mqtt-port": mqtt_port}
        raise Unusable(_busy(ports) or str(error)) from error
    except (ValueError, CloudError) as error:
        raise Unusable(str(error)) from error
    except DBAPIError as error:
        raise Unusable(f"{data / DATABASE}: {error.orig}") from error
    if number == signal.SIGINT:
        raise click.Abort


def _busy(ports: Mapping[str, int]) -> str | None:
    """What is in the way of one of these ports; asked when something failed and ours are closed."""
    for option, port in ports.items():
        if why := why_not(port):
            return f"port {port} {why}: give {option} another number"
    return None


async def _whole(serving: Callable[[OnEnd], Coroutine[Any, Any, signal.Signals]]) -> signal.Signals:
    """Serve until the end, or until a part ends by itself: then end all of it, with exit 1 and one sentence."""
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def on_end(why: str) -> None:
        if not ended.done():
            ended.set_result(why)

    life = asyncio.create_task(serving(on_end), name="serve")
    either: list[asyncio.Future[Any]] = [life, ended]
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    finally:
        life.cancel()
        await asyncio.wait([life])
    if ended.done():
        raise click.ClickException(ended.result())
    return life.result()


async def _serve(
    data: Path,
    port: int,
    https_port: int,
    mqtt_port: int,
    broker: BrokerKind | None,
    images: list[bytes],
    password: str,
    page: _Page,
    kept: KeptFlashes,
    announce: Callable[[str], None],
    on_end: OnEnd,
) -> signal.Signals:
    sockets = socket_world(data, prefer=broker, https_port=https_port, mqtt_port=mqtt_port, on_end=on_end)
    world = partial(_behind, kept, sockets)
    database = f"sqlite:///{data.resolve() / DATABASE}"
    async with Lab(
        world,
        database=database,
        token_hex=secrets.token_hex,
        admin_password=password,
        deliver=_print_code,
        derive=in_a_thread(),
        on_end=on_end,
    ) as lab:
        if page is not None:
            mount_web(lab.app, lab.service, None if page == "open" else page)
        async with serve(lab.app, port=port, on_end=on_end) as url:
            for image in images:
                device = lab.device(firmware=image)
                device.chip.flash = kept.keep(device.node_id, device.flash)
                device.power_on()
            announce(url)
            click.echo(
                f"web page        {_page_line(page, url)}\n"
                f"REST API        {url}/v1   (user {ADMIN}, password in {data / PASSWORD})\n"
                f"downloads       {lab.world.public_url}\n"
                f"broker          {lab.world.broker} on port {mqtt_port}\n"
                f"CA certificate  {LocalCa(data).ca_file}\n"
                "Ctrl-C ends it."
            )
            number = await _signalled()
            click.echo("stopping")
            return number


@asynccontextmanager
async def _behind(kept: KeptFlashes, open_world: OpenWorld, app: AsgiApp, presence: Presence) -> AsyncIterator[World]:
    """A world in which a device is heard when its flash is stored."""
    async with open_world(app, presence) as world:
        yield replace(world, mqtt=kept.before_mqtt(world.mqtt), fetch=kept.before_fetch(world.fetch))


async def _signalled() -> signal.Signals:
    """Which of the signals that end it came."""
    loop = asyncio.get_running_loop()
    came: asyncio.Future[signal.Signals] = loop.create_future()

    def take(number: signal.Signals) -> None:
        if not came.done():
            came.set_result(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, take, number)
    return await came


def _page_line(page: _Page, url: str) -> str:
    if page is None:
        return "none (--no-web)"
    if page == "open":
        return f"{url}   (no login: every user of this machine is admin; --one-time-link, --no-web)"
    return f"{url}{page.path}   (once, for one browser)"


def in_a_thread(at_once: int = 2) -> Derive:
    """Password hashes beside the event loop, so many at a time: each takes a tenth of a second and 32 MiB."""
    turn = asyncio.Semaphore(at_once)

    async def derive(password: str, salt: bytes, n: int) -> bytes:
        async with turn:
            return await asyncio.to_thread(scrypt, password, salt, n)

    return derive


def _print_code(user_name: str, code: str) -> None:
    click.echo(f"verification code for {user_name}: {code}")
