"""The overview, the list of nodes with its filters and hands, new virtual nodes, an image's page: in process."""

from __future__ import annotations

import re

from page_stage import Cloud, Node, in_process, reported
from stub_nodes import introduce
from test_pages import LAMP, words

from py_esp_ota import PartitionTable
from py_esp_ota.cloud.virtual_nodes import Act, Dials
from py_esp_ota.cloud.web.virtual_nodes import TABLES
from py_esp_ota.cloud.web.weather import PRESETS
from py_esp_ota.faults import parse
from py_esp_ota.firmware import Firmware


def ids(html: str) -> list[str]:
    """The nodes of the list."""
    return re.findall(r'id="node-([^"]+)"', html)


def settle(cloud: Cloud) -> None:
    """Three virtual nodes and two boards, one of each with something of its own."""
    service = cloud.service
    cloud.virtual.put("lamp1")
    cloud.virtual.put("lamp2", dials=Dials(weather="app-no"))
    cloud.virtual.put("lamp3", power="off", running="")
    for board, online in (("board1", True), ("board2", False)):
        service.intake.on_presence(board, online)
        introduce(service, board, name="Fridge", version="2.0.0")
    service.nodes.add_tags("board1", ["room:cellar"])


# ------------------------------------------------------------------------------------------------------------- filters


FOUND = [
    ("", ["board1", "board2", "lamp1", "lamp2", "lamp3"]),
    ("q=AMP2", ["lamp2"]),
    ("q=frid", ["board1", "board2"]),
    ("q=2.0", ["board1", "board2"]),
    ("q=cellar", ["board1"]),
    ("q=%25", []),
    ("show=online", ["board1", "lamp1", "lamp2"]),
    ("show=offline", ["board2", "lamp3"]),
    ("kind=virtual", ["lamp1", "lamp2", "lamp3"]),
    ("kind=real", ["board1", "board2"]),
    ("version=2.0.0&show=online", ["board1"]),
    ("model=lamp", ["board1", "board2", "lamp1", "lamp2", "lamp3"]),
    ("model=kettle", []),
    ("trouble=1", ["lamp3"]),
    ("trouble=1&kind=real", []),
    ("kind=virtual&q=board", []),
]


def test_nodes_are_found_by_what_people_know_of_them():
    async def story(cloud, client):
        settle(cloud)
        for query, expected in FOUND:
            page = (await client.get(f"/nodes?{query}")).text
            assert ids(page) == expected, query
            if not expected:
                assert "No node is like that" in words(page), query

    in_process(story)


def test_a_node_whose_job_failed_needs_a_look_until_the_job_is_put_away():
    async def story(cloud, client):
        settle(cloud)
        image = cloud.service.images.add("lamp", LAMP).ota_image_id
        job = cloud.service.jobs.create("Rollout", image, nodes=["board1", "lamp1"]).job.ota_job_id
        async with cloud.broker("board1") as mqtt:
            await Node("board1", mqtt).report(job, "rejected", "Firmware rolled back")
            await cloud.until(reported(job, "Firmware rolled back"))
            assert ids((await client.get("/nodes?trouble=1")).text) == ["board1", "lamp3"]
            home = words((await client.get("/")).text)
            assert "board1 Fridge rolled back Firmware rolled back in Rollout" in home
            assert "2 need a look" in home
            cloud.service.jobs.cancel(job)
            cloud.service.jobs.archive(job)
            assert ids((await client.get("/nodes?trouble=1")).text) == ["lamp3"]

    in_process(story)


def test_the_list_pages_through_what_was_found():
    async def story(cloud, client):
        for number in range(60):
            cloud.virtual.put(f"lamp{number:02}")
        page = (await client.get("/nodes?kind=virtual")).text
        assert "Page 1 of 3" in words(page)
        assert "kind=virtual&amp;trail=lamp25" in page

    in_process(story)


def test_a_virtual_node_that_never_connected_is_named():
    async def story(cloud, client):
        cloud.virtual.put("dark", silent=True, running="")
        page = (await client.get("/nodes")).text
        assert "Virtual, but not connected yet: dark" in words(page)
        assert '<a href="/nodes/dark">' in page

    in_process(story)


# --------------------------------------------------------------------------------------------------------------- hands


def test_several_are_switched_at_once_and_a_board_is_never_among_them():
    async def story(cloud, client):
        settle(cloud)
        page = (await client.get("/nodes")).text
        ticked = re.findall(r'name="node_ids" value="([^"]+)"', page)
        assert ticked == ["board1", "board2", "lamp1", "lamp2", "lamp3"]  # updates are for boards, too
        form = {"node_ids": ["lamp1", "board1"], "act": Act.RESET.value, "back": "/nodes"}
        assert (await client.post("/virtual/act", data=form)).status_code == 404
        assert cloud.virtual.acts == []
        form = {"node_ids": ["lamp1", "lamp2"], "act": Act.RESET.value, "which": "ticked", "back": "/nodes?q=lamp"}
        answer = await client.post("/virtual/act", data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, "/nodes?q=lamp")
        assert cloud.virtual.acts == [("lamp1", Act.RESET), ("lamp2", Act.RESET)]

    in_process(story)


def test_all_that_the_list_found_are_meant_on_every_page_of_it():
    async def story(cloud, client):
        for number in range(60):
            cloud.virtual.put(f"lamp{number:02}")
        introduce(cloud.service, "lamp-board")
        form = {"act": "reset", "which": "found", "back": "/nodes?q=lamp&trail=lamp25"}
        await client.post("/virtual/act", data=form)
        assert [node_id for node_id, _ in cloud.virtual.acts] == [f"lamp{number:02}" for number in range(60)]

    in_process(story)


def test_nothing_ticked_is_said():
    async def story(cloud, client):
        settle(cloud)
        answer = await client.post("/virtual/act", data={"act": "reset", "back": "/nodes"})
        assert answer.status_code == 400
        assert "No virtual node was ticked" in words(answer.text)
        answer = await client.post("/virtual/act", data={"act": "paint", "node_ids": "lamp1"})
        assert answer.status_code == 400
        assert "Nobody can do that to a node." in words(answer.text)
        answer = await client.post("/virtual/act", data={"act": "reset", "node_ids": "board1"})
        assert answer.status_code == 404

    in_process(story)


def test_deleting_asks_once_and_forgets_the_nodes():
    async def story(cloud, client):
        settle(cloud)
        form = {"node_ids": ["lamp1", "lamp3"], "act": "remove", "back": "/nodes"}
        asked = await client.post("/virtual/act", data=form)
        assert "Delete 2 virtual nodes?" in words(asked.text)
        assert len(cloud.virtual.all()) == 3
        answer = await client.post("/virtual/remove", data={"node_ids": ["lamp1", "lamp3"]})
        assert (answer.status_code, answer.headers["location"]) == (303, "/nodes?gone=2")
        page = (await client.get("/nodes?gone=2")).text
        assert ids(page) == ["board1", "board2", "lamp2"]
        assert "Deleted 2 nodes." in words(page)
        assert (await client.post("/virtual/remove", data={"node_ids": ["board1"]})).status_code == 404
        assert "board1" in ids((await client.get("/nodes")).text)

    in_process(story)


# ----------------------------------------------------------------------------------------------------------- new nodes


def test_nodes_are_ordered_from_a_form_that_keeps_what_was_filled_in():
    async def story(cloud, client):
        assert "A node leaves the factory with an image" in words((await client.get("/virtual/add")).text)
        image = cloud.service.images.add("lamp-1.1.0", LAMP).ota_image_id
        form = {"count": "20", "ota_image_id": image, "partitions": "two_ota", "name": "Lamp", "type": "Switch"}
        refused = await client.post("/virtual/add", data=form | {"weather": "nonsense"})
        assert refused.status_code == 409
        assert "Nothing was made. Not a fault plan" in words(refused.text)
        for kept in ('value="20"', 'value="Lamp"', "selected>Switch", 'value="nonsense"', '"two_ota" selected'):
            assert kept in refused.text
        answer = await client.post("/virtual/add", data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, "/nodes?made=20")
        assert len(cloud.virtual.all()) == 20
        answer = await client.post("/virtual/add", data=form | {"count": "1", "prefix": "one"})
        assert answer.headers["location"].startswith("/nodes/one")
        for count in ("0", "1001", "many"):
            assert (await client.post("/virtual/add", data=form | {"count": count})).status_code == 400

    in_process(story)


def test_what_the_forms_offer_is_what_there_is():
    assert set(TABLES) - {""} <= set(PartitionTable.builtin_names())
    for preset in PRESETS:
        assert str(parse(preset.plan)) == preset.plan
    assert len({preset.plan for preset in PRESETS}) == len(PRESETS)


def test_a_server_without_virtual_nodes_offers_none():
    async def story() -> None:
        cloud = Cloud(virtual=False)
        import httpx2

        transport = httpx2.ASGITransport(app=cloud.app)
        async with cloud.running(), httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            cloud.service.intake.on_presence("board", True)
            introduce(cloud.service, "board")
            for path in ("/", "/nodes", "/nodes/board"):
                page = await client.get(path)
                assert page.status_code == 200
                assert "virtual/" not in page.text
            assert "started without them" in words((await client.get("/virtual/add")).text)
            assert "started without what opens a flash" in words((await client.get("/flash")).text)
            assert (await client.post("/virtual/act", data={"act": "reset", "node_ids": "board"})).status_code == 501
            assert (await client.post("/flash", files={"file": ("d", b"x")})).status_code == 501

    import asyncio

    asyncio.run(story())


# ------------------------------------------------------------------------------------------------------------ overview


def test_an_empty_overview_says_what_to_do():
    async def story(_cloud, client):
        said = words((await client.get("/")).text)
        for expected in ("No node has connected yet.", "Upload an image first.", "Nothing has happened yet."):
            assert expected in said

    in_process(story)


def test_the_overview_counts_versions_and_shows_jobs_and_trouble_first():
    async def story(cloud, client):
        settle(cloud)
        image = cloud.service.images.add("lamp-1.1.0", LAMP).ota_image_id
        cloud.service.jobs.create("Autumn rollout", image, nodes=["lamp1", "board2"])
        page = (await client.get("/")).text
        said = words(page)
        for expected in (
            "3 online of 5",
            "1 running job",
            "lamp 1.0.0 3 2 online",
            "lamp 2.0.0 2 1 online",
            "Autumn rollout 0 of 2 succeeded",
            "board2 Fridge offline in a job The job waits for it.",
            "lamp3 no power",
            "lamp-1.1.0 image uploaded",
            "board2 connected for the first time",
        ):
            assert expected in said
        assert said.index("Needs a look") < said.index("Versions in the field")

    in_process(story)


def test_trouble_is_worst_first_and_each_node_once():
    async def story(cloud, client):
        cloud.virtual.put("a", power="off", running="")
        cloud.virtual.put("b", running="", slot="", state="")
        cloud.virtual.put("c")
        image = cloud.service.images.add("lamp-1.1.0", LAMP).ota_image_id
        job = cloud.service.jobs.create("r", image, nodes=["a", "b", "c"]).job.ota_job_id
        async with cloud.broker("c") as mqtt:
            await Node("c", mqtt).report(job, "rejected", "Firmware rolled back")
            await cloud.until(reported(job, "Firmware rolled back"))
            page = (await client.get("/")).text
        assert re.findall(r'<span class="who"><a href="/nodes/(\w)">', page) == ["c", "b", "a"]
        assert "3 need a look" in words(page)

    in_process(story)


# --------------------------------------------------------------------------------------------------------------- image


def test_an_image_s_page_shows_its_parts_who_runs_it_and_its_jobs():
    async def story(cloud, client):
        settle(cloud)
        image = cloud.service.images.add("lamp-2.0.0", Firmware("lamp", "2.0.0").to_bytes())
        other = cloud.service.images.add("lamp-1.1.0", LAMP)
        cloud.service.jobs.create("Rollout", image.ota_image_id, nodes=["lamp1"])
        said = words((await client.get(f"/images/{image.ota_image_id}")).text)
        for expected in (
            image.file_md5,
            image.file_sha256,
            "0 map 0x3c000020 0x000020",
            "sound",
            "not signed",
            "board1 Fridge",
            "board2",
            "Rollout triggered",
            "A job uses it: cancel that job first.",
        ):
            assert expected in said
        assert "None does at the moment." in words((await client.get(f"/images/{other.ota_image_id}")).text)
        assert (await client.post(f"/images/{image.ota_image_id}/delete")).status_code == 409
        answer = await client.post(f"/images/{other.ota_image_id}/delete")
        assert (answer.status_code, answer.headers["location"]) == (303, "/images")
        assert (await client.get(f"/images/{other.ota_image_id}")).status_code == 404

    in_process(story)
