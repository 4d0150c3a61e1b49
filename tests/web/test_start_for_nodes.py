"""From nodes that are ticked in their list to the form that updates them."""

from __future__ import annotations

import re

from page_stage import Cloud, in_process
from test_pages import fill, introduce, words

from py_esp_ota.cloud.jobs import MAX_NODES


def ticked(page: str) -> list[str]:
    return re.findall(r'name="nodes" value="([^"]+)" id="[^"]+" checked', page)


def test_nodes_that_are_ticked_are_ticked_in_the_form_that_starts_a_job():
    async def test(cloud: Cloud, client):
        image, _ = fill(cloud)
        for node_id in ("n1", "n2"):
            cloud.service.intake.on_presence(node_id, True)
        page = (await client.get("/nodes")).text
        assert 'name="node_ids" value="n1"' in page
        assert 'formmethod="get" formaction="/start"' in page
        query = {"node_ids": ["n1", "n2", "n1"], "ota_image_id": image, "which": "ticked", "back": "/nodes"}
        answer = await client.get("/start", params=query)
        assert answer.headers["location"] == f"/images/{image}/start?nodes=n1&nodes=n2"
        assert ticked((await client.get(answer.headers["location"])).text) == ["n1", "n2"]

    in_process(test)


def test_all_that_a_search_has_found_are_meant_without_ticking_any():
    async def test(cloud: Cloud, client):
        image, _ = fill(cloud)
        for number in range(30):  # more than a page of the list has
            introduce(cloud.service, f"desk{number:02}", {"name": "L", "fw_version": "1", "type": "t", "model": "m"})
        query = {"which": "found", "back": "/nodes?q=desk", "ota_image_id": image}
        answer = await client.get("/start", params=query)
        assert answer.headers["location"].count("nodes=desk") == 30
        assert "lamp1" not in answer.headers["location"]

    in_process(test)


def test_nothing_to_start_or_too_much_is_a_sentence():
    async def test(cloud: Cloud, client):
        image, _ = fill(cloud)
        for number in range(MAX_NODES):
            cloud.service.intake.on_presence(f"m{number:03}", True)
        none = await client.get("/start", params={"ota_image_id": image})
        assert (none.status_code, "No node was ticked" in words(none.text)) == (400, True)
        many = await client.get("/start", params={"ota_image_id": image, "which": "found", "back": "/nodes"})
        assert (many.status_code, "make a group of them" in words(many.text)) == (400, True)
        gone = await client.get("/start", params={"ota_image_id": "none", "node_ids": "m001"})
        assert gone.status_code == 404

    in_process(test)
