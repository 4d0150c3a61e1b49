"""``esp-ota cloud nodes``: the nodes that an admin sees."""

from __future__ import annotations

from pathlib import Path

import click

from py_esp_ota.cli.cloud.answers import Json, Refused, columns, number, single, text
from py_esp_ota.cli.cloud.options import cloud_of, moment, of_a_cloud
from py_esp_ota.cli.files import print_json, read_input
from py_esp_ota.cli.output import say

_PATH = "admin/nodes"
_HEAD = ("NODE", "NAME", "TYPE", "MODEL", "VERSION", "")
_KEYS = ("node_id", "name", "type", "model", "fw_version", "node_status")


@click.group("nodes")
def nodes() -> None:
    """Nodes of a cloud."""


@nodes.command("list")
@click.option("--online/--offline", default=None, help="Only those that are.")
@click.option("--type", help="Only those of this type.")
@click.option("--model", help="Only those of this model.")
@click.option("--version", "fw_version", help="Only those that run this version.")
@of_a_cloud
def list_nodes(
    online: bool | None,
    type: str | None,  # noqa: A002 (the API's name)
    model: str | None,
    fw_version: str | None,
    profile: str,
    as_json: bool,
) -> None:
    """Nodes by id."""
    # The API takes a model with its type only, and a version with both: what it does not sift is sifted here.
    wanted = {key: value for key, value in {"type": type, "model": model, "fw_version": fw_version}.items() if value}
    query = {key: wanted[key] for key in _taken(list(wanted))}
    if online is not None:
        query["node_status"] = "online" if online else "offline"
    with cloud_of(profile) as cloud:
        every = cloud.pages(_PATH, "node_info", query)
        found = [node for node in every if all(node.get(key) == value for key, value in wanted.items())]
    if as_json:
        print_json({"nodes": found})
    else:
        say(*columns([_HEAD, *(tuple(text(node, key) for key in _KEYS) for node in found)]))


@nodes.command("show")
@click.argument("node")
@of_a_cloud
def show_node(node: str, profile: str, as_json: bool) -> None:
    """One node."""
    with cloud_of(profile) as cloud:
        found = single(cloud.ask("GET", _PATH, {"node_id": node}), "node_info", "node_id", _PATH)
    if found is None:
        raise Refused(f"there is no node {node}")
    if as_json:
        print_json(found)
        return
    since = ("since (UTC)", moment(_since(found)))
    registered = ("registered (UTC)", moment(number(found, "registration_timestamp")))
    say(*columns([*((key, text(found, key)) for key in _KEYS), since, registered]))


@nodes.command("note-board")
@click.argument("node")
@click.argument("dump", type=click.Path(path_type=Path), required=False)
@click.option("--rollback/--no-rollback", default=None, help="Whether its bootloader rolls back.")
@click.option("--secure-boot/--no-secure-boot", default=None, help="Whether its eFuses ask for signatures.")
@click.option("--flash-encryption/--no-flash-encryption", default=None, help="Whether its eFuses encrypt its flash.")
@click.option("--secure-version", type=click.IntRange(0, 128), help="The secure version in its eFuses.")
@click.option("--chip-revision", type=click.IntRange(0, 65535), help="major * 100 + minor, as 301 for v3.1.")
@of_a_cloud
def note_board(*, node: str, dump: Path | None, profile: str, as_json: bool, **fuses: bool | int | None) -> None:
    """Tell the cloud what a board is, by DUMP, its flash as esptool reads it: previews go by it.

    The flash is looked at and not kept. What no flash tells is said with the options; they alone do as well.
    """
    said = {key: str(value).lower() for key, value in fuses.items() if value is not None}
    if dump is None and not said:
        raise click.UsageError("what is there to note? A flash dump, or what the eFuses say")
    data = read_input(dump) if dump is not None else b""
    with cloud_of(profile) as cloud:
        answer = cloud.send("local/nodes/board", {"node_id": node, **said}, data)
    if as_json:
        print_json(answer)
        return
    facts = answer.get("facts")
    known = facts if isinstance(facts, dict) else {}
    rows = [(key.replace("_", " "), _plainly(known[key])) for key in _OF_BOARD if known.get(key) not in (None, "", 0)]
    say(f"noted of the board of {node}:", *columns(rows))


_OF_BOARD = (
    "chip",
    "chip_revision",
    "flash_size",
    "bootloader_idf",
    "rollback",
    "secure_version",
    "secure_boot",
    "flash_encryption",
    "runs",
)


def _plainly(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _taken(wanted: list[str]) -> list[str]:
    """Which of the filters the API takes: each needs the one before it."""
    order = ("type", "model", "fw_version")
    return [key for at, key in enumerate(order) if set(order[: at + 1]) <= set(wanted)]


def _since(node: Json) -> int:
    status = node.get("status")
    connectivity = status.get("connectivity") if isinstance(status, dict) else None
    return number(connectivity, "timestamp") if isinstance(connectivity, dict) else 0
