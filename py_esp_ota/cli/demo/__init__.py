"""``esp-ota demo``: one OTA, end to end, in seven chapters."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from py_esp_ota.cli.needing import needing

if TYPE_CHECKING:
    from py_esp_ota.socket_world import BrokerKind


@click.command("demo")
@click.argument("images", nargs=-1, type=click.Path(path_type=Path), metavar="[OLD.bin NEW.bin]")
@click.option("--sockets", is_flag=True, help="A real broker and real HTTPS on loopback instead of the lab.")
@click.option(
    "--broker",
    type=click.Choice(["mosquitto", "embedded"]),
    help="With --sockets: which broker; Mosquitto when installed, by default.",
)
@click.option("--step", is_flag=True, help="Stop after each chapter and explain it; Enter goes on.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def command(images: tuple[Path, ...], sockets: bool, broker: BrokerKind | None, step: bool, as_json: bool) -> None:
    """Tell the story on two real releases, or on your own two images. Exit 0 only if every chapter ends well."""
    if len(images) not in {0, 2}:
        raise click.UsageError("give both images, the old one and the new one, or none")
    if broker and not sockets:
        raise click.UsageError("--broker goes with --sockets")
    if step and sockets:
        raise click.UsageError("--step goes without --sockets: a real broker does not wait while somebody reads")
    with needing("demo", "cloud"):
        from py_esp_ota.cli.demo.telling import tell
    sys.exit(0 if tell(images, sockets=sockets, broker=broker, step=step, as_json=as_json) else 1)
