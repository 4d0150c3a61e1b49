"""``esp-ota cloud``: what the folder of an ``esp-ota serve`` has for those outside it."""

from __future__ import annotations

from pathlib import Path

import click

from py_esp_ota.cli.endpoints import SERVE_FOLDER
from py_esp_ota.cli.files import Unusable, is_taken, write_output
from py_esp_ota.cli.needing import needing
from py_esp_ota.cli.output import say

_DATA = click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=SERVE_FOLDER,
    show_default=True,
    help="The folder of esp-ota serve.",
)


@click.group("cloud")
def command() -> None:
    """What the folder of an esp-ota serve has for those outside it."""


@command.command("node-cert")
@click.argument("node_id")
@_DATA
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path),
    default=Path(),
    help="Where the files go.  [default: here]",
)
@click.option("--force", is_flag=True, help="Write over files that are there.")
def node_cert(node_id: str, data: Path, folder: Path, force: bool) -> None:
    """The certificate and private key of node NODE_ID, and the CA, as PEM files: for firmware, or for any MQTT client.

    The broker knows a client by its certificate: it may use the topics of NODE_ID and no others.
    """
    with needing("cloud", "cloud"):
        from py_esp_ota.cli.node_credentials import authority_of, made_by

    pair = made_by(data, node_id)
    parts = {
        f"{node_id}.pem": pair.cert,
        f"{node_id}.key": pair.key,
        "ca.pem": authority_of(data).ca_file.read_bytes(),
    }
    files = {folder / name: content for name, content in parts.items()}
    for file, content in files.items():
        if is_taken(file) and not force and not (file.name == "ca.pem" and file.read_bytes() == content):
            raise Unusable(f"{file} is there already; --force writes over it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unusable(f"{folder}: {error.strerror}") from error
    for file, content in files.items():
        write_output(file, content, mode=0o600)
        say(str(file))
