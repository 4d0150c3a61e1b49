"""``esp-ota serve``: the cloud, its broker and its web page, on loopback unless told otherwise, until Ctrl-C."""

from __future__ import annotations

from contextlib import nullcontext
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from py_esp_ota.cli.endpoints import SERVE_FOLDER
from py_esp_ota.cli.files import Unusable
from py_esp_ota.cli.listening import listening
from py_esp_ota.cli.needing import needing
from py_esp_ota.posix import lacks_posix

if TYPE_CHECKING:
    from py_esp_ota.socket_world import BrokerKind

_PORT = click.IntRange(0, 65535)


@click.command("serve")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=SERVE_FOLDER,
    show_default=True,
    help="Where everything is kept.",
)
@click.option(
    "--database",
    metavar="URL",
    help="Keep the cloud's state in PostgreSQL: postgresql+psycopg://USER@HOST/NAME (its password best in ~/.pgpass); "
    "by default in cloud.db in --data.",
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
    "--devices", default=0, type=click.IntRange(0, 1000), show_default=True, help="Virtual nodes to have at least."
)
@click.option(
    "--firmware", type=click.Path(path_type=Path), help="What new ones run; a forged `lamp 1.0.0` by default."
)
@click.option(
    "--demo",
    is_flag=True,
    help="Six virtual lamps whose updates succeed, fail and wait before your eyes; without --data all of it is gone at "
    "the end.",
)
@click.option("--no-web", is_flag=True, help="No web page, only the REST API.")
@click.option(
    "--one-time-link",
    is_flag=True,
    help="The page for one browser: without it every user of this machine is its admin.",
)
@click.option("--login", is_flag=True, help="The page for super admins, with their passwords.")
@click.option(
    "--listen",
    default="127.0.0.1",
    metavar="ADDRESS",
    show_default=True,
    help="Where HTTPS listens, and Mosquitto beside loopback, where all else stays. Beyond it the page has a login.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="HOST",
    help="A name of this machine, for the certificates; nodes are told the first one. Once for each name.",
)
def command(
    data: Path,
    database: str | None,
    port: int,
    https_port: int,
    mqtt_port: int,
    broker: BrokerKind | None,
    devices: int,
    firmware: Path | None,
    demo: bool,
    no_web: bool,
    one_time_link: bool,
    login: bool,
    listen: str,
    names: tuple[str, ...],
) -> None:
    """Serve a local RainMaker-compatible OTA cloud. The first start makes a CA and an admin password in --data.

    The web page has no login: every user of this machine acts as its admin. --login, --one-time-link and --no-web
    change that, and so does --listen with an address that others can reach.
    """
    where = listening(listen, names, no_web=no_web, one_time_link=one_time_link, login=login)
    ports = {"--port": port, "--https-port": https_port, "--mqtt-port": mqtt_port}
    for (one, number), (other, same) in combinations(ports.items(), 2):
        if number == same != 0:
            raise click.UsageError(f"{one} and {other} are both {number}")
    if reason := lacks_posix("esp-ota serve"):
        raise Unusable(reason)
    with needing("serve", "cloud"):
        from py_esp_ota.cli.serving import passing_folder, serve_until_signalled
    given = click.get_current_context().get_parameter_source("data") is not ParameterSource.DEFAULT
    with nullcontext(data) if given or not demo else passing_folder() as folder:
        serve_until_signalled(
            folder, database, port, https_port, mqtt_port, broker, devices, firmware, where, demo=demo
        )
