"""``esp-ota cloud groups``: what it asks a served cloud, prints, and ends with."""

from __future__ import annotations

import pytest
from cloud_desk import refused, run, said
from test_cloud_verbs import desk

__all__ = ["desk"]

pytestmark = pytest.mark.sockets


def test_groups_from_the_first_to_the_last(desk):
    for node in ("n1", "n2", "n3"):
        desk.act(desk.service.intake.on_presence, node, True)
    house = said("groups", "add", "House", "--node", "n1", "--exclusive", "--description", "by the lake")["group_id"]
    room = said("groups", "add", "Room", "--below", house, "--node", "n2")["group_id"]
    online = said("groups", "add", "There", "--presence", "online", "--tag", "a:b")["group_id"]
    lines = run("groups", "list").stdout.splitlines()
    assert [line.split()[-1] for line in lines] == ["NAME", "House", "Room", "There"]
    assert "tag a:b, presence online" in lines[3]
    assert [each["group_id"] for each in said("groups", "list", "--name", "Room")["groups"]] == [room]
    assert run("groups", "add-nodes", room, "n3").stdout == f"group {room}: added\n"
    assert said("groups", "show", house)["nodes"] == ["n1", "n2", "n3"]
    assert run("groups", "show", room).stdout.splitlines()[-2:] == ["n2", "n3"]
    assert run("groups", "remove-nodes", house, "n3").exit_code == 0
    assert run("groups", "edit", room, "--name", "Bath", "--below", "").stdout == f"group {room} is changed\n"
    shown = said("groups", "show", room)
    assert (shown["group_name"], shown["nodes"], shown["parent_group_id"]) == ("Bath", ["n2"], "")
    assert run("groups", "edit", online, "--presence", "offline").exit_code == 0
    assert said("groups", "show", online)["group_query"] == {"node_presence": "offline"}
    assert run("groups", "regroup", online).stdout == "The group has 0 nodes now\n"
    assert run("groups", "remove", house).stdout == f"group {house} is removed\n"
    assert [each["group_id"] for each in said("groups", "list")["groups"]] == [room, online]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["show", "nowhere"], 1, "there is no group nowhere"),
        (["add", "x", "--node", "n1", "--model", "lamp"], 2, "a query chooses the nodes: it goes with neither"),
        (["add", "x", "--node", "n1"], 1, "unknown nodes, or not yours: n1"),
        (["edit", "x"], 2, "what is to be otherwise?"),
        (["add-nodes", "x", "n1"], 1, "there is no group x"),
        (["add", ""], 1, "group_name"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(desk, words, code, sentence):
    assert desk.url
    assert sentence in refused("groups", *words, code=code)
