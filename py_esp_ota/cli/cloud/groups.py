"""``esp-ota cloud groups``: groups of an admin's nodes, named one by one or chosen by a query."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click

from py_esp_ota.cli.cloud.answers import Json, Refused, Unreached, columns, listed, text
from py_esp_ota.cli.cloud.options import cloud_of, of_a_cloud
from py_esp_ota.cli.files import print_json
from py_esp_ota.cli.output import say

_PATH = "admin/node_group"
_ID = "group_id"
_WORDS = {
    "node_type": "type",
    "node_model": "model",
    "node_fw_version": "version",
    "node_tag": "tag",
    "node_chip": "chip",
    "node_project": "project",
    "node_presence": "presence",
}
"""What a query names, and what that is called here."""


@click.group("groups")
def groups() -> None:
    """Groups of nodes, for jobs that name no node."""


def _query(verb: Callable[..., None]) -> Callable[..., None]:
    """The options of a query."""
    for name in reversed(_WORDS):
        word = _WORDS[name]
        kind = click.Choice(["online", "offline"]) if word == "presence" else None
        own = "" if name in {"node_type", "node_model", "node_fw_version"} else " Of esp-ota's own clouds."
        verb = click.option(f"--{word}", name, type=kind, help=f"All nodes of this {word}, now and later.{own}")(verb)
    return verb


@groups.command("list")
@click.option("--name", help="Only those that are called this.")
@of_a_cloud
def list_groups(name: str | None, profile: str, as_json: bool) -> None:
    """Groups, each with those below it."""
    with cloud_of(profile) as cloud:
        found = list(cloud.pages(_PATH, "groups", {"group_name": name} if name else {}))
    if as_json:
        print_json({"groups": found})
        return
    rows = [
        (text(each, _ID), text(each, "total"), _chosen(each), "  " * level + text(each, "group_name"))
        for level, each in _flat(found)
    ]
    say(*columns([("ID", "NODES", "CHOSEN BY", "NAME"), *rows]))


@groups.command("show")
@click.argument("group")
@of_a_cloud
def show_group(group: str, profile: str, as_json: bool) -> None:
    """One group and its nodes."""
    with cloud_of(profile) as cloud:
        found = listed(cloud.ask("GET", _PATH, {_ID: group}), "groups", _PATH)
    if not found:
        raise Refused(f"there is no group {group}")
    one = found[0]
    if as_json:
        print_json(one)
        return
    keys = ("group_name", "description", "parent_group_id")
    nodes = one.get("nodes")
    say(
        *columns([*((key, text(one, key)) for key in keys), ("chosen by", _chosen(one)), ("nodes", text(one, "total"))])
    )
    say(*(str(each) for each in (nodes if isinstance(nodes, list) else ())))


@groups.command("add")
@click.argument("name")
@click.option("--node", "nodes", multiple=True, metavar="ID", help="This node; can be said again.")
@click.option("--below", metavar="GROUP", help="As a sub-group.")
@click.option("--description", help="What it is for.")
@click.option("--exclusive", is_flag=True, help="Its sub-groups share no node.")
@_query
@of_a_cloud
def add(
    name: str,
    nodes: tuple[str, ...],
    below: str | None,
    description: str | None,
    exclusive: bool,
    profile: str,
    as_json: bool,
    **query: str | None,
) -> None:
    """Make a group: of these nodes, or of all that agree with a query, now and later."""
    asked = {key: value for key, value in query.items() if value}
    if asked and (nodes or below):
        raise click.UsageError("a query chooses the nodes: it goes with neither --node nor --below")
    body = {
        "nodes": list(dict.fromkeys(nodes)),
        "parent_group_id": below,
        "description": description,
        "mutually_exclusive": exclusive,
        **asked,
    }
    with cloud_of(profile) as cloud:
        answer = cloud.ask(
            "POST", _PATH, body={"group_name": name, **{key: value for key, value in body.items() if value}}
        )
    group_id = text(answer, _ID)
    if not group_id:
        raise Unreached(f"{_PATH} answers without {_ID}: it is no RainMaker cloud, or another release of it")
    _done({_ID: group_id, "group_name": name}, f"group {group_id}: {name}", as_json)


@groups.command("edit")
@click.argument("group")
@click.option("--name", "group_name", help="Call it this.")
@click.option("--below", "parent_group_id", metavar="GROUP", help='Hang it below another; "" for none.')
@click.option("--description", help="What it is for.")
@click.option("--exclusive/--shared", "mutually_exclusive", default=None, help="Whether its sub-groups share no node.")
@_query
@of_a_cloud
def edit(group: str, profile: str, as_json: bool, **asked: Any) -> None:
    """Call a group otherwise, hang it elsewhere, give it another query, all of it."""
    body = {key: value for key, value in asked.items() if value is not None}
    if not body:
        raise click.UsageError("what is to be otherwise? --name, --below, --description, or the options of a query")
    _change(group, body, profile, as_json, f"group {group} is changed")


@groups.command("add-nodes")
@click.argument("group")
@click.argument("nodes", nargs=-1, required=True, metavar="NODE...")
@of_a_cloud
def add_nodes(group: str, nodes: tuple[str, ...], profile: str, as_json: bool) -> None:
    """Put nodes into a group."""
    _change(group, {"operation": "add", "nodes": list(nodes)}, profile, as_json, f"group {group}: added")


@groups.command("remove-nodes")
@click.argument("group")
@click.argument("nodes", nargs=-1, required=True, metavar="NODE...")
@of_a_cloud
def remove_nodes(group: str, nodes: tuple[str, ...], profile: str, as_json: bool) -> None:
    """Take nodes out of a group, and out of those below it."""
    _change(group, {"operation": "remove", "nodes": list(nodes)}, profile, as_json, f"group {group}: removed")


@groups.command("regroup")
@click.argument("group")
@of_a_cloud
def regroup(group: str, profile: str, as_json: bool) -> None:
    """Ask a group's query again. In esp-ota's own clouds its nodes join the group's continuous jobs then."""
    _change(group, {"regroup": True}, profile, as_json, "")


@groups.command("remove")
@click.argument("group")
@of_a_cloud
def remove(group: str, profile: str, as_json: bool) -> None:
    """The end of a group and of those below it. Its nodes stay."""
    with cloud_of(profile) as cloud:
        answer = cloud.ask("DELETE", _PATH, {_ID: group})
    _done(answer, f"group {group} is removed", as_json)


def _change(group: str, body: Json, profile: str, as_json: bool, words: str) -> None:
    with cloud_of(profile) as cloud:
        answer = cloud.ask("PUT", _PATH, {_ID: group}, body=body)
    _done(answer, words or text(answer, "description"), as_json)


def _done(answer: Json, words: str, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        say(words)


def _flat(found: Iterable[Json], level: int = 0) -> Iterator[tuple[int, Json]]:
    for each in found:
        yield level, each
        below = each.get("sub_groups")
        yield from _flat([one for one in below if isinstance(one, dict)] if isinstance(below, list) else [], level + 1)


def _chosen(group: Json) -> str:
    """By what its nodes are chosen, in words."""
    query = group.get("group_query")
    if not isinstance(query, dict) or not query:
        return "name"
    return ", ".join(f"{_WORDS.get(name, name)} {value}" for name, value in query.items())
