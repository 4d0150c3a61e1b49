"""``esp-ota provision``: the factory partition that makes a board a node of one cloud."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from py_esp_ota._core import Partition, PartitionTable
from py_esp_ota.cli.complete import TableName
from py_esp_ota.cli.endpoints import SERVE_FOLDER, Endpoints
from py_esp_ota.cli.files import Unusable, is_taken, print_json, read_input, write_output
from py_esp_ota.cli.flash_lock import alone_on
from py_esp_ota.cli.hosts import host_of
from py_esp_ota.cli.inputs import open_flash, read_config
from py_esp_ota.cli.needing import needing
from py_esp_ota.cli.output import say
from py_esp_ota.cli.partition_table import read_table
from py_esp_ota.errors import EspError
from py_esp_ota.rainmaker import client_data
from py_esp_ota.sdkconfig import Sdkconfig

if TYPE_CHECKING:
    from py_esp_ota.cli.node_credentials import Pair

_DATA, _NVS = 0x01, 0x02
_SIZE = 0x6000  # what RainMaker's examples and its command line have
_PAGE = 0x1000
_PORTS = (client_data.MQTT_PORT, client_data.MQTT_PORT_8883)


@dataclass(frozen=True, slots=True)
class _Place:
    """The partition: its size, and its address when a table tells it."""

    size: int
    offset: int | None


@click.command("provision")
@click.argument("node_id")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The partition as a file, for esptool.")
@click.option("--into", type=click.Path(path_type=Path), help="A flash file, whose factory partition is written.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help=f"The folder of esp-ota serve, whose CA makes the certificate.  [default: {SERVE_FOLDER}]",
)
@click.option("--cert", type=click.Path(path_type=Path), help="With --key: this certificate (PEM), not one of --data.")
@click.option("--key", type=click.Path(path_type=Path), help="Its private key (PEM).")
@click.option("--ca", type=click.Path(path_type=Path), help="With --cert: refuse one that this CA has not issued.")
@click.option("--mqtt-host", metavar="HOST", help="The broker's name; what esp-ota serve goes by, without it.")
@click.option(
    "--partitions",
    "table_name",
    type=TableName(),
    help="The board's partition table (CSV, binary or a flash): it tells the size, and where to flash it.",
)
@click.option("--size", metavar="BYTES", help=f"Of the partition, without --partitions.  [default: 0x{_SIZE:x}]")
@click.option(
    "--config", "config_file", type=click.Path(path_type=Path), help="An sdkconfig, for other names than usual."
)
@click.option("--force", is_flag=True, help="Write over what is there.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(
    node_id: str,
    output: Path | None,
    into: Path | None,
    data: Path | None,
    cert: Path | None,
    key: Path | None,
    ca: Path | None,
    mqtt_host: str | None,
    table_name: str | None,
    size: str | None,
    config_file: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Make the factory partition of node NODE_ID: its certificate and key, and where its broker is.

    RainMaker's firmware reads it at every boot (namespace rmaker_creds of the partition fctry); a full factory reset
    leaves it alone.
    """
    if (output is None) == (into is None):
        raise click.UsageError("say -o FILE for a partition, or --into FLASH for a flash file, one of them")
    if into is not None and (table_name or size):
        raise click.UsageError("--into finds the partition by the flash's own table; leave --partitions and --size out")
    config = read_config(config_file).config if config_file else Sdkconfig()
    place = _place(table_name, size, config)
    if output is not None and is_taken(output) and not force:
        raise Unusable(f"{output} is there already; --force writes over it")
    with needing("provision", "cloud"):
        pair = _pair(node_id, data, cert, key, ca)
    host = _host(data or SERVE_FOLDER) if mqtt_host is None else host_of("--mqtt-host", mqtt_host)
    values = {
        client_data.NODE_ID: node_id.encode(),
        client_data.MQTT_HOST: host.encode(),
        client_data.CLIENT_CERT: pair.cert,
        client_data.CLIENT_KEY: pair.key,
        client_data.RANDOM: secrets.token_bytes(client_data.RANDOM_LEN),
    }
    label = config.esp_rmaker_factory_partition_name
    if into is not None:
        row = _write_into(into, values, config, force=force)
        place = _Place(row.size, row.offset)
        said = [f"{into}: {label} at 0x{row.offset:x} is node {node_id}, its broker {host}"]
    elif output is not None:
        write_output(output, _made(values, place.size, config, str(output)), mode=0o600)
        said = [f"{output}: node {node_id}, its broker {host}", _flash_it(output, label, place.offset)]
    if as_json:
        where = {"file": str(into or output), "partition": label, "offset": place.offset, "size": place.size}
        print_json({"node_id": node_id, "mqtt_host": host, **where})
    else:
        say(*said, err=True)


def _flash_it(output: Path, label: str, offset: int | None) -> str:
    if offset is None:
        hint = f"ADDRESS is that of {label} in the board's partition table"
        return f"flash it: esptool write-flash ADDRESS {output}, {hint}"
    return f"flash it: esptool write-flash 0x{offset:x} {output}"


def _pair(node_id: str, data: Path | None, cert: Path | None, key: Path | None, ca: Path | None) -> Pair:
    from py_esp_ota.cli.node_credentials import made_by, named

    if (cert is None) != (key is None):
        raise click.UsageError("--cert and --key belong together")
    if cert is None or key is None:
        if ca is not None:
            raise click.UsageError("--ca checks a certificate of --cert; that of --data is made by its own CA")
        return made_by(data or SERVE_FOLDER, node_id)
    authority = ca or (data / "ca.pem" if data else None)
    return named(node_id, cert, key, authority)


def _host(folder: Path) -> str:
    """The name by which the server of a folder tells boards to find its broker; what they cannot use is said."""
    try:
        found = Endpoints.read(folder)
    except Unusable as error:
        raise Unusable(f"--mqtt-host says where the broker is; without it, {error.message}") from None
    if found.mqtt_host == "127.0.0.1":
        say("the broker is on loopback: no board gets there without esp-ota serve --listen and --name", err=True)
    elif found.mqtt_port not in _PORTS:
        say(f"the broker is on port {found.mqtt_port}, and RainMaker's firmware knows 443 and 8883 alone", err=True)
    return found.mqtt_host


def _place(table_name: str | None, size: str | None, config: Sdkconfig) -> _Place:
    if table_name is None:
        return _Place(_size(size), None)
    if size is not None:
        raise click.UsageError("--partitions tells the size; leave --size out")
    builtin = table_name in PartitionTable.builtin_names()
    table = PartitionTable.builtin(table_name) if builtin else read_table(Path(table_name))
    row = _row(table, config, table_name)
    return _Place(row.size, row.offset)


def _size(text: str | None) -> int:
    try:
        size = _SIZE if text is None else int(text, 0)
    except ValueError:
        size = 0
    if not 0x3000 <= size <= 1 << 20 or size % _PAGE:
        raise click.BadParameter(f"{text!r} is no multiple of 0x1000 from 0x3000 to 0x100000", param_hint="--size")
    return size


def _row(table: PartitionTable, config: Sdkconfig, where: object) -> Partition:
    label = config.esp_rmaker_factory_partition_name
    row = table.find(type=_DATA, subtype=_NVS, label=label)
    if row is None:
        raise Unusable(f"{where} has no data/nvs partition {label}, which a node's certificate and key are in")
    return row


def _made(values: Mapping[str, bytes], size: int, config: Sdkconfig, where: str) -> bytes:
    try:
        return client_data.factory_partition(values, size, config.esp_rmaker_factory_namespace)
    except EspError as error:
        raise Unusable(f"{where}: it does not fit 0x{size:x} bytes: {error}") from error


def _write_into(path: Path, values: Mapping[str, bytes], config: Sdkconfig, *, force: bool) -> Partition:
    """Into the flash file, whose table says where; what lives on it must have ended. Raises ``Unusable``."""
    read_input(path)  # nothing is made beside what is not there
    with alone_on(path, "esp-ota provision --into"):
        given = open_flash(path)
        given.refuse_lone_app()
        row = _row(given.table(), config, path)
        if given.flash.read(row.offset, row.size).strip(b"\xff") and not force:
            raise Unusable(f"{path}: {row.label} is written already; --force writes over it")
        made = _made(values, row.size, config, str(path))
        given.flash.erase(row.offset, row.size)
        given.flash.program(row.offset, made)
        given.save()
    return row
