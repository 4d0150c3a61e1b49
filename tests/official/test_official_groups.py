"""``esp-rainmaker-cli group ...``: a user's groups, as it makes, shows and ends them."""

from __future__ import annotations

import json
import re

import pytest
from test_official_cli import introduce

pytestmark = pytest.mark.sockets


def group_id(said: str) -> str:
    assert "Group created successfully" in said, said
    return re.search(r'"group_id": "([^"]+)"', said)[1]


def test_06_groups_from_the_first_to_the_last(world, admin):
    introduce(world, "room-a", "room-b", "room-c")
    seen: dict[str, str] = {}

    async def scenario():
        async def group(verb, *words):
            return await admin("group", verb, *words)

        said = await group("add", "--name", "Home", "--nodes", "room-a", "--custom-data", '{"floor": 2}')
        seen["home"] = home = group_id(said)
        seen["room"] = room = group_id(
            await group("add", "--name", "Room", "--parent-group-id", home, "--type", "room")
        )
        seen["added"] = await group("add-nodes", "--group-id", room, "--nodes", "room-b, room-c")
        seen["list"] = await group("list")
        seen["tree"] = await group("list", "--sub-groups")
        seen["nodes"] = await group("list-nodes", "--group-id", home, "--sub-groups")
        seen["details"] = await group("list-nodes", "--group-id", room, "--node-details")
        seen["removed"] = await group("remove-nodes", "--group-id", room, "--nodes", "room-c")
        words = ("--name", "Bath", "--description", "tiled", "--mutually-exclusive", "true")
        seen["edited"] = await group("edit", "--group-id", room, *words)
        seen["show"] = await group("show", "--group-id", room)
        seen["twice"] = await group("add", "--name", "Home")
        seen["strange"] = await group("add-nodes", "--group-id", home, "--nodes", "nobody")
        seen["ended"] = await group("remove", "--group-id", home)
        seen["gone"] = await group("show", "--group-id", room)
        seen["none"] = await group("list")

    world.run(scenario())
    assert "Nodes added to group successfully" in seen["added"]
    assert f"1. Home (ID: {seen['home']})" in seen["list"]
    assert "Room" not in seen["list"]
    assert f"  1. Room (ID: {seen['room']})" in seen["tree"]
    assert re.findall(r"\d\. (room-\w)", seen["nodes"]) == ["room-a", "room-b", "room-c"]
    assert "Total nodes: 3" in seen["nodes"]
    assert f"1. Room (ID: {seen['room']})" in seen["nodes"]
    assert "room-b" in seen["details"]
    assert "Lightbulb" in seen["details"]
    assert "Nodes removed from group successfully" in seen["removed"]
    assert "Group edited successfully" in seen["edited"]
    shown = json.loads(re.search(r"^\{.*\}", seen["show"], re.DOTALL | re.MULTILINE)[0])["groups"][0]
    assert (shown["group_name"], shown["description"], shown["type"]) == ("Bath", "tiled", "room")
    assert (shown["mutually_exclusive"], shown["is_matter"], shown["total"]) == (True, False, 1)
    assert "Failed to create group: there is a group of this name already" in seen["twice"]
    assert "Failed to add nodes to group: unknown nodes, or not yours: nobody" in seen["strange"]
    assert "Group removed successfully" in seen["ended"]
    assert "Failed to get group details: there is no group" in seen["gone"]
    assert "Total groups: 0" in seen["none"]


def test_06_admin_groups_with_raw_api(world, admin):
    introduce(world, "query-a", "query-b")

    async def scenario():
        body = {"group_name": "Bulbs", "node_type": "Lightbulb", "node_model": "lamp", "node_fw_version": "1.0.0"}
        made = await admin.raw("POST", "admin/node_group", body)
        listed = await admin.raw("GET", "admin/node_group", group_id=made[1]["group_id"])
        again = await admin.raw("PUT", f"admin/node_group?group_id={made[1]['group_id']}", {"regroup": True})
        ended = await admin.raw("DELETE", "admin/node_group", group_id=made[1]["group_id"])
        return made, listed, again, ended

    made, listed, again, ended = world.run(scenario())
    assert (made[0], listed[0], ended[0]) == (200, 200, 200), (made, listed, again, ended)
    assert {"query-a", "query-b"} <= set(listed[1]["groups"][0]["nodes"])
    assert again[0] == 200
