"""``esp-ota cloud nodes``: the nodes that an admin sees."""

from __future__ import annotations

import click

from py_esp_ota.cli.cloud.answers import Json, Refused, columns, number, single, text
from py_esp_ota.cli.cloud.options import cloud_of, moment, of_a_cloud
from py_esp_ota.cli.files import print_json
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


def _taken(wanted: list[str]) -> list[str]:
    """Which of the filters the API takes: each needs the one before it."""
    order = ("type", "model", "fw_version")
    return [key for at, key in enumerate(order) if set(order[: at + 1]) <= set(wanted)]


def _since(node: Json) -> int:
    status = node.get("status")
    connectivity = status.get("connectivity") if isinstance(status, dict) else None
    return number(connectivity, "timestamp") if isinstance(connectivity, dict) else 0
