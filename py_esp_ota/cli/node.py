"""``esp-ota node``: one virtual RainMaker node. Its flash is a file, its console the screen, its cloud a real one."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from py_esp_ota.cli.boot import held_pin
from py_esp_ota.cli.complete import TableName, chip_option
from py_esp_ota.cli.files import Unusable
from py_esp_ota.cli.flash_lock import alone_on
from py_esp_ota.cli.inputs import read_config
from py_esp_ota.cli.needing import needing
from py_esp_ota.cli.node_until import Goal, Until
from py_esp_ota.cli.output import say
from py_esp_ota.cli.release import idf_version_option
from py_esp_ota.errors import EspError
from py_esp_ota.faults import Plan, parse
from py_esp_ota.posix import lacks_posix


@click.command("node")
@click.argument("file", metavar="FLASH|APP", type=click.Path(path_type=Path))
@click.option("--firmware", type=click.Path(path_type=Path), help="The app of a FLASH that is not there yet.")
@click.option(
    "--partitions", "table_name", type=TableName(), help="Its partition table; RainMaker's examples', without."
)
@chip_option("The chip; auto takes it from the images.")
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="An sdkconfig: how bootloader and app were built."
)
@idf_version_option("The release of ESP-IDF they are of; an sdkconfig or the images say it otherwise.")
@click.option("--node-id", help="Another id than the flash's own.")
@click.option("--name", default="ESP RainMaker Device", show_default=True, help="The node's name in its config.")
@click.option(
    "--serve",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Be a node of the esp-ota serve that runs from the folder DIR; a blank factory partition is written.",
)
@click.option("--cert", type=click.Path(path_type=Path), help="The node's certificate (PEM), in place of the flash's.")
@click.option("--key", type=click.Path(path_type=Path), help="Its private key (PEM).")
@click.option("--broker", metavar="HOST[:PORT]", help="Another broker than the flash's or the sdkconfig's.")
@click.option(
    "--ca", type=click.Path(path_type=Path), help="The CA of broker and downloads (PEM); the system's, without."
)
@click.option("--fault", "plan", default="", metavar="PLAN", help="Weather, for example slow@20000+drop@65536*1.")
@click.option(
    "--hold-pin", "pins", multiple=True, metavar="N[=LEVEL][:SECONDS]", help="Hold a pin, as in esp-ota boot."
)
@click.option(
    "--until",
    "goal",
    type=click.Choice(["connected", "update", "idle"]),
    help="End when the node has told its params; when an update has ended, exit 0 if well; idle: or there is none.",
)
@click.option(
    "--timeout", type=click.FloatRange(0.1), metavar="SECONDS", help="End then; exit 1 if --until is not reached."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: console, messages up and down, the end.")
def command(
    file: Path,
    firmware: Path | None,
    table_name: str | None,
    chip: str,
    config_file: Path | None,
    asked: str | None,
    node_id: str | None,
    name: str,
    serve: Path | None,
    cert: Path | None,
    key: Path | None,
    broker: str | None,
    ca: Path | None,
    plan: str,
    pins: tuple[str, ...],
    goal: Goal | None,
    timeout: float | None,
    as_json: bool,
) -> None:
    """Live as one RainMaker node, until Ctrl-C: boot, connect, update, boot again.

    Who it is and where its broker is stands in FLASH (esp-ota provision), or is said here; --serve needs neither. FLASH
    is written as the chip's is: what was killed at any moment boots again and goes on.
    """
    if reason := lacks_posix("esp-ota node"):
        raise Unusable(reason)
    weather = _plan(plan)
    held = dict(held_pin(text) for text in pins)
    said = None if config_file is None else read_config(config_file)
    with needing("node", "cloud"):
        from py_esp_ota.cli.node_flash import node_flash, place_of, provisioned
        from py_esp_ota.cli.node_identity import Wishes, identity
        from py_esp_ota.cli.node_life import Life, live

    wishes = Wishes(node_id=node_id, cert=cert, key=key, ca=ca, broker=broker, serve=serve)
    path, image = place_of(file, firmware)
    with alone_on(path, "esp-ota node"):
        found = node_flash(path, image, table_name, chip, said, asked)
        who = identity(found, wishes)
        try:
            provisioned(found, who.keep)
        except EspError as error:
            raise Unusable(f"{found.path}: the credentials do not fit its factory partition: {error}") from error
        if not as_json:
            tls = "TLS" if who.pair else "no TLS"
            say(f"node {who.node_id} on {found.path}, broker {who.host}:{who.port} ({tls})", err=True)
        life = Life(until=Until(goal), timeout=timeout, weather=weather, pins=held, name=name, as_json=as_json)
        code = live(found, who, life)
    sys.exit(code)


def _plan(text: str) -> Plan:
    try:
        return parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--fault") from error
