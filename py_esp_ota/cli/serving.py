"""What ``esp-ota serve`` does: one cloud, its broker and its page, from the folder to the signal that ends them."""

from __future__ import annotations

import asyncio
import errno
import secrets
import signal
import tempfile
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click
from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError

from py_esp_ota.adapters.certificates import LocalCa
from py_esp_ota.adapters.kept_files import KeptFiles
from py_esp_ota.adapters.kept_flash import KeptFlashes
from py_esp_ota.adapters.listeners import why_not
from py_esp_ota.adapters.lives import OnEnd
from py_esp_ota.adapters.open_files import raise_open_files
from py_esp_ota.cli.data_folder import DATABASE, PASSWORD, FolderTakenError, alone_in, open_folder
from py_esp_ota.cli.endpoints import Endpoints
from py_esp_ota.cli.files import Unusable, read_app
from py_esp_ota.cli.listening import Listening
from py_esp_ota.cloud.accounts import Derive, scrypt
from py_esp_ota.cloud.database import database_url, name_of, reason
from py_esp_ota.cloud.refusals import CloudError
from py_esp_ota.cloud.web import OneTimeLink
from py_esp_ota.errors import MqttError
from py_esp_ota.firmware import Firmware
from py_esp_ota.server import Page, Server, Settings, open_server
from py_esp_ota.socket_world import BrokerKind
from py_esp_ota.virtual_nodes.demo import play
from py_esp_ota.world import ADMIN

_OPEN_FILES = 8192  # a thousand virtual nodes, as many downloads, and who watches
_DEVICES = "devices"  # the folder of virtual nodes in --data


def serve_until_signalled(
    data: Path,
    database: str | None,
    port: int,
    https_port: int,
    mqtt_port: int,
    broker: BrokerKind | None,
    devices: int,
    firmware: Path | None,
    where: Listening,
    *,
    demo: bool,
) -> None:
    """Serve from the folder ``data``, and with ``demo`` play the story of its lamps.

    Raises ``Unusable``; ``click.Abort`` after Ctrl-C.
    """
    page: Page = OneTimeLink(secrets.token_hex) if where.page == "link" else where.page
    image = read_app(firmware) if firmware else Firmware("lamp", "1.0.0").to_bytes()
    state = _database(data, database)
    try:
        with alone_in(data) as announce, KeptFlashes(data / _DEVICES) as kept:
            settings = Settings(
                data=data,
                database=state,
                admin_password=open_folder(data, own_database=database is None),
                page=page,
                address=where.address,
                names=where.names,
                port=port,
                https_port=https_port,
                mqtt_port=mqtt_port,
                broker=broker,
                devices=devices,
                image=image,
            )
            raise_open_files(_OPEN_FILES)
            files = KeptFiles(data / _DEVICES)
            number = asyncio.run(_whole(partial(_serve, settings, kept, files, announce, demo)))
    except FolderTakenError as error:
        raise click.ClickException(str(error)) from error
    except (OSError, MqttError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRNOTAVAIL:
            raise Unusable(f"--listen: {where.address} is no address of this machine") from error
        ports = {"--port": port, "--https-port": https_port, "--mqtt-port": mqtt_port}
        raise Unusable(_busy(ports) or str(error)) from error
    except (ValueError, CloudError, ModuleNotFoundError) as error:
        raise Unusable(str(error)) from error
    except DBAPIError as error:
        raise Unusable(f"{name_of(state)}: {reason(error)}") from error
    if number == signal.SIGINT:
        raise click.Abort


def _database(data: Path, database: str | None) -> URL:
    if database is None:
        return URL.create("sqlite", database=str(data.resolve() / DATABASE))
    try:
        url = database_url(database)
    except ValueError as error:
        raise Unusable(f"--database: {error}") from error
    if url.get_backend_name() == "sqlite":
        raise Unusable(f"--database is for PostgreSQL: a database of SQLite is {DATABASE} in --data")
    return url


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
    settings: Settings,
    kept: KeptFlashes,
    files: KeptFiles,
    announce: Callable[[str], None],
    demo: bool,
    on_end: OnEnd,
) -> signal.Signals:
    opened = open_server(
        settings, kept, files, token_hex=secrets.token_hex, derive=in_a_thread(), deliver=_print_code, on_end=on_end
    )
    async with opened as server:
        announce(server.url)
        told = Endpoints.of(server.url, server.world, settings.address, settings.names)
        told.write(settings.data)
        click.echo(
            f"web page        {_page_line(settings.page, server.url, server.world.public_url)}\n"
            f"REST API        {server.url}/v1   (user {ADMIN}, password in {settings.data / PASSWORD})\n"
            f"downloads       {server.world.public_url}\n"
            f"broker          {server.world.broker} on {told.where_broker()}\n"
            f"{_database_line(settings.database)}"
            f"CA certificate  {LocalCa(settings.data).ca_file}\n"
            "Ctrl-C ends it."
        )
        story = asyncio.create_task(_demo(server), name="the demo") if demo else None
        number = await _signalled()
        if story is not None:
            story.cancel()
            await asyncio.wait([story])
        click.echo("stopping")
        return number


async def _demo(server: Server) -> None:
    """The story of the demo; a visitor who takes its images or lamps away ends it."""
    try:
        await play(server.nodes, server.service, server.url, click.echo)
    except CloudError as error:
        click.echo(f"the story of the demo breaks off: {error}")


@contextmanager
def passing_folder() -> Iterator[Path]:
    """A folder that is gone at the end, with all that was served from it."""
    with tempfile.TemporaryDirectory(prefix="esp-ota-demo-") as folder:
        yield Path(folder)


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


def _page_line(page: Page, url: str, public_url: str) -> str:
    if page is None:
        return "none (--no-web)"
    if page == "open":
        return f"{url}   (no login: every user of this machine is admin; --login, --one-time-link, --no-web)"
    if page == "login":
        return f"{public_url} and {url}   (login as for the REST API)"
    return f"{url}{page.path}   (once, for one browser)"


def _database_line(database: str | URL) -> str:
    """Where the state is, when it is not in --data."""
    url = database_url(database)
    return "" if url.get_backend_name() == "sqlite" else f"database        {name_of(url)}\n"


def in_a_thread(at_once: int = 2) -> Derive:
    """Password hashes beside the event loop, so many at a time: each takes a tenth of a second and 32 MiB."""
    turn = asyncio.Semaphore(at_once)

    async def derive(password: str, salt: bytes, n: int) -> bytes:
        async with turn:
            return await asyncio.to_thread(scrypt, password, salt, n)

    return derive


def _print_code(user_name: str, code: str) -> None:
    click.echo(f"verification code for {user_name}: {code}")
