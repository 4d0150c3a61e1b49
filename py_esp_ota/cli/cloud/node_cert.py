"""``esp-ota cloud node-cert``: what the folder of an ``esp-ota serve`` has for a node outside it."""

from __future__ import annotations

from pathlib import Path

import click

from py_esp_ota.cli.endpoints import SERVE_FOLDER
from py_esp_ota.cli.files import Unusable, is_taken, print_json, write_output
from py_esp_ota.cli.needing import needing
from py_esp_ota.cli.output import say

_DATA = click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=SERVE_FOLDER,
    show_default=True,
    help="The folder of esp-ota serve.",
)


@click.command("node-cert")
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
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def node_cert(node_id: str, data: Path, folder: Path, force: bool, as_json: bool) -> None:
    """The certificate and private key of node NODE_ID, and the CA, as PEM files: for firmware, or for any MQTT client.

    The broker knows a client by its certificate: it may use the topics of NODE_ID and no others.
    """
    with needing("cloud", "cloud"):
        from py_esp_ota.cli.node_credentials import authority_of, made_by

    pair = made_by(data, node_id)
    cert, key, ca = (folder / name for name in (f"{node_id}.pem", f"{node_id}.key", "ca.pem"))
    files = {cert: pair.cert, key: pair.key, ca: authority_of(data).ca_file.read_bytes()}
    for file, content in files.items():
        if is_taken(file) and not force and not (file == ca and ca.is_file() and ca.read_bytes() == content):
            raise Unusable(f"{file} is there already; --force writes over it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unusable(f"{folder}: {error.strerror}") from error
    for file, content in files.items():
        write_output(file, content, mode=0o600)
    if as_json:
        print_json({"node_id": node_id, "cert": str(cert), "key": str(key), "ca": str(ca)})
    else:
        say(str(cert), str(key), str(ca))
