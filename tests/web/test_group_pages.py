"""Node Groups: the list, one group, and what their forms do; without scripts, and by keyboard with them."""

from __future__ import annotations

import re

import pytest
from page_stage import in_process
from stub_nodes import introduce

from py_esp_ota.cloud.group_rows import Scope
from py_esp_ota.firmware import Firmware

EVERYBODY = Scope()


def meet(cloud, *node_ids: str) -> None:
    for node_id in node_ids:
        cloud.service.intake.on_presence(node_id, True)
        introduce(cloud.service, node_id)


async def made(client, **fields: object) -> str:
    answer = await client.post("/groups/add", data=fields)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.partition("<main")[2]))


def test_a_group_is_made_listed_changed_and_removed():
    async def story(cloud, client):
        meet(cloud, "n1", "n2", "n3")
        assert "No group yet" in (await client.get("/groups")).text
        page = await made(client, group_name="Desk", nodes="n1, n2\nn2", description="by the window")
        below = await made(client, group_name="Shelf", nodes="n3", parent_group_id=page.rpartition("/")[2])
        listed = text_of((await client.get("/groups")).text)
        assert "Desk by the window 3 name Shelf 1 name" in listed
        shown = text_of((await client.get(page)).text)
        assert "3 nodes , those of its sub-groups counted by the window" in shown.replace("3 nodes,", "3 nodes ,")
        await client.post(f"{page}/take", data={"nodes": ["n1", "n2"]})
        await client.post(f"{page}/edit", data={"group_name": "Table", "description": ""})
        shown = text_of((await client.get(page)).text)
        assert "Table 1 node" in shown
        assert "window" not in shown
        await client.post(f"{page}/add", data={"nodes": "n1"})
        assert cloud.service.groups.nodes(EVERYBODY, page.rpartition("/")[2]).items == ["n1", "n3"]
        gone = await client.post(f"{page}/delete", follow_redirects=True)
        assert "Removed Table." in gone.text
        assert (await client.get(below)).status_code == 404

    in_process(story)


def test_a_query_is_counted_kept_and_asked_again():
    async def story(cloud, client):
        meet(cloud, "n1", "n2")
        model = cloud.service.nodes.get("n1").model
        assert "2 nodes agree" in (await client.get("/groups/count", params={"node_model": model})).text
        assert "0 nodes agree" in (await client.get("/groups/count")).text
        assert "Node_presence is online or offline" in (await client.get("/groups/count?node_presence=x")).text
        page = await made(client, group_name="Lamps", kind="query", node_model=model, nodes="ignored")
        shown = (await client.get(page)).text
        assert f"model {model}" in text_of(shown)
        assert (await client.post(f"{page}/regroup")).status_code == 303
        await client.post(f"{page}/edit", data={"group_name": "Lamps", "node_tag": "a:b"})
        assert "No node agrees with it now." in (await client.get(page)).text
        nothing = await client.post(f"{page}/edit", data={"group_name": "Lamps"})
        assert (nothing.status_code, "A query asks for something" in nothing.text) == (400, True)

    in_process(story)


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"group_name": ""}, 400, "group_name has 1 to 128 characters"),
        ({"group_name": "Desk", "nodes": "<b>x</b>"}, 400, "Unknown nodes, or not yours: &lt;b&gt;x&lt;/b&gt;"),
        ({"group_name": "taken"}, 409, "There is a group of this name already."),
        ({"group_name": "x", "kind": "query"}, 400, "A query asks for something"),
        ({"group_name": "x", "parent_group_id": "nowhere"}, 404, "There is no group nowhere."),
    ],
)
def test_a_form_that_cannot_be_done_comes_back_with_its_words(fields, status, words):
    async def story(_cloud, client):
        await made(client, group_name="taken")
        answer = await client.post("/groups/add", data=fields)
        assert answer.status_code == status
        assert words.lower() in answer.text.lower()
        assert f'value="{fields["group_name"]}"' in answer.text

    in_process(story)


def test_a_group_that_is_needed_stays_and_the_page_says_why():
    async def story(cloud, client):
        meet(cloud, "n1")
        page = await made(client, group_name="Desk", nodes="n1")
        image = cloud.service.images.add("lamp", Firmware("lamp", "1.1").to_bytes()).ota_image_id
        cloud.service.jobs.create("Rollout", image, groups=[page.rpartition("/")[2]], continuous=True)
        answer = await client.post(f"{page}/delete")
        assert answer.status_code == 400
        assert "Nodes still join the job" in answer.text
        assert "Rollout" in text_of((await client.get(page)).text)
        assert (await client.post(f"{page}/nonsense")).status_code == 404
        assert (await client.post("/groups/nowhere/edit", data={})).status_code == 404

    in_process(story)
