"""``esp-ota serve``: the cloud, its broker and its web page on loopback, until Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
from pathlib import Path

import click

from py_esp_ota.adapters.certificates import LocalCa
from py_esp_ota.adapters.http import serve
from py_esp_ota.cli.files import Unusable, read_app
from py_esp_ota.cloud.web import mount_web
from py_esp_ota.errors import MqttError
from py_esp_ota.firmware import Firmware
from py_esp_ota.lab import ADMIN, Lab
from py_esp_ota.posix import lacks_posix
from py_esp_ota.socket_world import BrokerKind, socket_world

_PORT = click.IntRange(0, 65535)


@click.command("serve")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=Path(".esp-ota"),
    show_default=True,
    help="Where everything is kept.",
)
@click.option(
    "--port", default=8000, type=_PORT, show_default=True, help="The web page and the REST API, plain HTTP on loopback."
)
@click.option(
    "--https-port", default=8443, type=_PORT, show_default=True, help="The same over HTTPS, where devices download."
)
@click.option("--mqtt-port", default=8883, type=_PORT, show_default=True, help="The broker.")
@click.option("--broker", type=click.Choice(["mosquitto", "embedded"]), help="Mosquitto when installed, by default.")
@click.option(
    "--devices", default=0, type=click.IntRange(0), show_default=True, help="Simulated devices to bring along."
)
@click.option("--firmware", type=click.Path(path_type=Path), help="What they run; a forged `lamp 1.0.0` by default.")
def command(
    data: Path,
    port: int,
    https_port: int,
    mqtt_port: int,
    broker: BrokerKind | None,
    devices: int,
    firmware: Path | None,
) -> None:
    """Serve a local RainMaker-compatible OTA cloud. The first start makes a CA and an admin password in --data."""
    image = read_app(firmware) if firmware else Firmware("lamp", "1.0.0").to_bytes()
    if reason := lacks_posix("esp-ota serve"):
        raise Unusable(reason)
    try:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        password = _admin_password(data / "admin-password")
        asyncio.run(_serve(data, port, https_port, mqtt_port, broker, [image] * devices, password))
    except (OSError, ValueError, MqttError) as error:
        raise Unusable(str(error)) from error


async def _serve(
    data: Path,
    port: int,
    https_port: int,
    mqtt_port: int,
    broker: BrokerKind | None,
    images: list[bytes],
    password: str,
) -> None:
    world = socket_world(
        data,
        prefer=broker,
        https_port=https_port,
        mqtt_port=mqtt_port,
    )
    database = f"sqlite:///{data.resolve() / 'cloud.db'}"
    async with Lab(
        world, database=database, token_hex=secrets.token_hex, admin_password=password, deliver=_print_code
    ) as lab:
        mount_web(lab.app, lab.service)
        async with serve(lab.app, port=port) as url:
            for image in images:
                lab.device(firmware=image).power_on()
            click.echo(
                f"web page        {url}\n"
                f"REST API        {url}/v1   (user {ADMIN}, password in {data / 'admin-password'})\n"
                f"downloads       {lab.world.public_url}\n"
                f"broker          {lab.world.broker} on port {mqtt_port}\n"
                f"CA certificate  {LocalCa(data).ca_file}\n"
                "Ctrl-C ends it."
            )
            await _interrupted()
            click.echo("stopping")


async def _interrupted() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


def _admin_password(file: Path) -> str:
    if not file.exists():
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as writable:
            writable.write(secrets.token_urlsafe(12) + "\n")
    return file.read_text().strip()


def _print_code(user_name: str, code: str) -> None:
    click.echo(f"verification code for {user_name}: {code}")
