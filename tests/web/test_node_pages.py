"""A node's page, in process: what it shows of boards and virtual nodes, what its forms do, what its stream sends."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from page_stage import Node, in_process
from stub_nodes import PARAMS, introduce
from test_pages import EVIL, LAMP, words

from py_esp_ota.cloud.virtual_nodes import Act, Dials
from py_esp_ota.cloud.web import live
from py_esp_ota.firmware import Firmware
from py_esp_ota.rainmaker.messages import PARAMS_REMOTE, topic

HTMX = {"HX-Request": "true"}


def test_a_board_s_page_shows_what_it_reported_its_tags_and_its_users():
    async def story(cloud, client):
        cloud.service.intake.on_presence("board", True)
        introduce(cloud.service, "board", name="Desk lamp")
        cloud.service.nodes.add_tags("board", ["room:kitchen"])
        cloud.service.nodes.set_metadata("board", {"shelf": 3})
        await cloud.accounts.ensure_admin("ann@example.com", "a long secret")
        said = words((await client.get("/nodes/board")).text)
        for expected in (
            "Desk lamp online since",
            "Project lamp",
            "Platform esp32c3",
            "Version 1.0.0",
            "room:kitchen",
            '{"shelf": 3}',
            "Users ann@example.com",
            "Temperature 23.5",
            "Open a flash dump",
        ):
            assert expected in said
        for of_virtual in ("Pull the plug", "Weather", "In the chip's own words"):
            assert of_virtual not in said

    in_process(story)


def test_a_virtual_node_s_page_opens_its_flash():
    async def story(cloud, client):
        cloud.virtual.put("lamp1")
        page = (await client.get("/nodes/lamp1")).text
        said = words(page)
        for expected in (
            "lamp 1.0.0 runs from ota_0 , whose otadata says VALID",
            "the bootloader goes by it",
            "Its CRC is wrong: the bootloader passes it over.",
            "0xdeadbeef wrong",
            "magic at 0x190000 is 0xff, expected 0xe9",
            "ESP-ROM:esp32c3-api1-20210207",
            "which names ota_ 1",
            "rmaker_creds node_id blob lamp001",
            "17 erases, at most 9 of a sector",
            "0x010000 to 0x12f000: written, not erased yet",
        ):
            assert expected in said
        assert len(re.findall(r'<div class="region(?: small)? kind-', page)) == 8

    in_process(story)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"power": "off", "running": ""}, "The board lies dead."),
        ({"running": "", "slot": "", "state": ""}, "no image in its flash can be started"),
        ({"cut_armed": True}, "the next flash operation is its last"),
        ({"dials": Dials(weather="app-no")}, "weather: Self-test fails"),
        ({"silent": True}, "has not connected yet"),
    ],
)
def test_the_board_says_how_it_is(changes, expected):
    async def story(cloud, client):
        cloud.virtual.put("lamp1", **changes)
        assert expected in words((await client.get("/nodes/lamp1")).text)

    in_process(story)


def test_a_node_that_is_not_there_is_not_found():
    async def story(_cloud, client):
        answer = await client.get("/nodes/nobody")
        assert answer.status_code == 404
        assert "There is no node with this id." in words(answer.text)

    in_process(story)


def test_what_a_node_says_of_itself_is_text_on_its_page():
    async def story(cloud, client):
        cloud.virtual.put("lamp1")
        cloud.virtual.console = lambda _node_id: [EVIL]
        introduce(cloud.service, "lamp1", name=EVIL, version=EVIL)
        cloud.service.nodes.add_tags("lamp1", [f"a:{EVIL}"])
        page = (await client.get("/nodes/lamp1")).text
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert EVIL in words(page)

    in_process(story)


def test_a_board_is_deleted_and_joins_as_a_new_node_when_it_comes_back():
    async def story(cloud, client):
        cloud.service.intake.on_presence("board", False)
        introduce(cloud.service, "board")
        cloud.service.nodes.add_tags("board", ["room:kitchen"])
        assert "it joins as a new node" in words((await client.get("/nodes/board")).text)
        answer = await client.post("/nodes/board/forget")
        assert (answer.status_code, answer.headers["location"]) == (303, "/nodes?gone=1")
        assert (await client.get("/nodes/board")).status_code == 404
        cloud.service.intake.on_presence("board", True)
        said = words((await client.get("/nodes/board")).text)
        assert "online" in said
        assert "room:kitchen" not in said

    in_process(story)


# ---------------------------------------------------------------------------------------------------------- parameters


def test_a_parameter_is_sent_as_params_remote():
    async def story(cloud, client):
        async with cloud.broker("lamp1") as mqtt:
            await mqtt.subscribe(topic("lamp1", PARAMS_REMOTE))
            introduce(cloud.service, "lamp1")
            form = {"device": "Lamp", "param": "Brightness", "value": "7"}
            answer = await client.post("/nodes/lamp1/params", data=form)
            assert (answer.status_code, answer.headers["location"]) == (303, "/nodes/lamp1#params")
            assert (await client.post("/nodes/lamp1/params", data=form, headers=HTMX)).status_code == 204
            async with asyncio.timeout(5):
                async for message in mqtt.messages():
                    assert json.loads(message.payload) == {"Lamp": {"Brightness": 7}}
                    break

    in_process(story)


@pytest.mark.parametrize(
    ("value", "online", "sentence"),
    [("101", True, "at most 100"), ("7", False, "The node is offline, so that nothing was sent")],
)
def test_a_parameter_that_cannot_be_set_says_why(value, online, sentence):
    async def story(cloud, client):
        cloud.service.intake.on_presence("lamp1", online)
        introduce(cloud.service, "lamp1")
        form = {"device": "Lamp", "param": "Brightness", "value": value}
        answer = await client.post("/nodes/lamp1/params", data=form)
        assert answer.status_code == 400
        assert sentence in words(answer.text)

    in_process(story)


def test_of_a_node_that_is_offline_no_parameter_can_be_pressed():
    async def story(cloud, client):
        cloud.service.intake.on_presence("lamp1", False)
        introduce(cloud.service, "lamp1")
        page = (await client.get("/nodes/lamp1")).text
        assert "Offline: parameters can be set when it is back." in words(page)
        forms = re.findall(r'<form class="param".*?</form>', page, re.DOTALL)
        assert len(forms) == len(PARAMS["Lamp"])
        for form in forms:
            for control in re.findall(r"<(?:button|select|input)(?![^>]*hidden)[^>]*>", form):
                assert "disabled" in control

    in_process(story)


# ------------------------------------------------------------------------------------------------------------- updates


@pytest.mark.parametrize("force", [True, False])
def test_an_update_is_started_from_the_node_s_page_and_told_on_it(force):
    async def story(cloud, client):
        async with cloud.broker("lamp1") as mqtt:
            node = Node("lamp1", mqtt)
            await node.introduce()
            await cloud.until(lambda service: bool(service.nodes.version("lamp1")))
            image = cloud.service.images.add("lamp", LAMP).ota_image_id
            form = {"ota_image_id": image} | ({"force_push": "true"} if force else {})
            answer = await client.post("/nodes/lamp1/start", data=form)
            assert (answer.status_code, answer.headers["location"]) == (303, "/nodes/lamp1#jobs")
            ((view, state),) = cloud.service.jobs.of_node("lamp1")
            assert view.job.ota_job_name == "lamp 1.1.0 for lamp1"
            assert state.status == ("started" if force else "triggered")
            said = words((await client.get("/nodes/lamp1")).text)
            assert "lamp 1.1.0 for lamp1 " + ("started" if force else "triggered") in said
            assert "cloud triggered Job created" in said

    in_process(story)


def test_images_for_the_node_s_chip_and_project_are_offered_first():
    async def story(cloud, client):
        cloud.service.intake.on_presence("lamp1", True)
        introduce(cloud.service, "lamp1", platform="esp32s3")
        for chip, project in (("esp32c3", "lamp"), ("esp32s3", "other"), ("esp32s3", "lamp")):
            image = Firmware(project, "2.0.0", chip=chip).to_bytes()
            cloud.service.images.add(f"{project} {chip}", image)
        page = (await client.get("/nodes/lamp1")).text
        offered = re.search(r'<select id="start-image".*?</select>', page, re.DOTALL)[0]
        assert re.findall(r">([^<]+)</option>", offered) == [
            "lamp esp32s3 · 2.0.0",
            "other esp32s3 · 2.0.0 · other project",
            "lamp esp32c3 · 2.0.0 · for esp32c3",
        ]

    in_process(story)


# ---------------------------------------------------------------------------------------------------------------- hand


@pytest.mark.parametrize("act", list(Act))
def test_a_hand_does_what_its_button_says(act):
    async def story(cloud, client):
        cloud.virtual.put("lamp1", power="off" if act is Act.POWER_ON else "on")
        page = (await client.get("/nodes/lamp1")).text
        assert f'id="{act}"' in page
        form = {"node_ids": "lamp1", "act": act.value, "back": "/nodes/lamp1"}
        answer = await client.post("/virtual/act", data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, "/nodes/lamp1")
        assert cloud.virtual.acts == [("lamp1", act)]
        assert (await client.post("/virtual/act", data=form, headers=HTMX)).status_code == 204

    in_process(story)


def test_the_weather_is_set_and_a_plan_that_is_none_is_refused_in_words():
    async def story(cloud, client):
        cloud.virtual.put("lamp1")
        form = {"node_ids": "lamp1", "act": "dials", "weather": " app-no ", "back": "/nodes/lamp1"}
        assert (await client.post("/virtual/act", data=form)).status_code == 303
        assert cloud.virtual.get("lamp1").dials == Dials(weather="app-no")
        answer = await client.post("/virtual/act", data=form | {"weather": "nonsense"})
        assert answer.status_code == 409
        assert "not a fault plan" in words(answer.text).lower()

    in_process(story)


def test_a_form_leads_back_to_this_server_and_nowhere_else():
    async def story(cloud, client):
        cloud.virtual.put("lamp1")
        for back in ("//evil.example", "https://evil.example/", "/\\evil.example"):
            form = {"node_ids": "lamp1", "act": "reset", "back": back}
            assert (await client.post("/virtual/act", data=form)).headers["location"] == "/"

    in_process(story)


# ---------------------------------------------------------------------------------------------------------------- live


async def parts_of(stream) -> dict[str, str]:
    async with asyncio.timeout(20):
        async for text in stream:
            if b"event: view" in text:
                return json.loads(text.decode().partition("data: ")[2])["parts"]
    raise AssertionError("the stream ended")


def test_while_a_slot_is_written_its_region_is_sent_and_nothing_else(monkeypatch):
    monkeypatch.setattr(live, "PAUSE_S", 0.0)
    monkeypatch.setattr(live, "REST", 0.0)

    async def story(cloud, client):
        cloud.virtual.put("lamp1")
        cloud.virtual.put("lamp2")
        page = (await client.get("/nodes/lamp1")).text
        assert set(re.findall(r'data-part="([^"]*)"', page)) >= {"map", "map/6", "otadata", "log", "why", "nvs"}
        stream = cloud.app.state.views.stream({"/nodes/lamp1": "a page of another run"})
        assert len(await parts_of(stream)) > 10  # all of it; from now on what differs
        cloud.virtual.write("lamp1", 40)
        sent = await parts_of(stream)
        assert set(sent) == {"map/6"}
        assert "40 written" in sent["map/6"]
        cloud.virtual.write("lamp2", 41)  # no view is about it
        cloud.virtual.written = 60
        await cloud.virtual.turn(["lamp1"], Dials(weather="app-no"))
        sent = await parts_of(stream)
        assert {"map/6", "board"} <= set(sent)
        assert not {"map", "map/5", "otadata", "slots", "why", "log", "nvs", "jobs"} & set(sent)
        await stream.aclose()

    in_process(story)


def test_a_job_for_the_node_appears_on_its_page_by_itself(monkeypatch):
    monkeypatch.setattr(live, "PAUSE_S", 0.0)
    monkeypatch.setattr(live, "REST", 0.0)

    async def story(cloud, client):
        cloud.virtual.put("lamp1")
        image = cloud.service.images.add("lamp", LAMP).ota_image_id
        at = re.search(r'data-at="([^"]*)"', (await client.get("/nodes/lamp1")).text)[1]
        stream = cloud.app.state.views.stream({"/nodes/lamp1": at})
        await anext(stream)
        cloud.service.jobs.create("Rollout", image, nodes=["lamp1"])
        assert "Rollout" in (await parts_of(stream))["jobs"]
        await stream.aclose()

    in_process(story)


# ---------------------------------------------------------------------------------------------------------------- dump


def test_a_dump_is_opened_and_forgotten():
    async def story(cloud, client):
        answer = await client.post("/flash?node=board", files={"file": ("dump.bin", bytes(0x9000))})
        assert answer.status_code == 200
        said = words(answer.text)
        assert "dump.bin 4096 KiB of flash of esp32c3" in said
        assert "the bootloader goes by it" in said
        assert cloud.virtual.dumps == [0x9000]
        assert cloud.service.images.find().total == 0

    in_process(story)


@pytest.mark.parametrize(
    ("data", "status", "sentence"),
    [
        (bytes(100), 409, "This is no flash: it ends before its partition table."),
        (bytes((32 << 20) + 1), 413, "A flash dump has at most 32 MiB"),
        (None, 400, "Choose a file first"),
    ],
    ids=["short", "long", "none"],
)
def test_what_is_no_dump_is_refused_in_words(data, status, sentence):
    async def story(_cloud, client):
        files = {"name": (None, "x")} if data is None else {"file": ("dump.bin", data)}
        answer = await client.post("/flash", files=files)
        assert answer.status_code == status
        assert sentence in words(answer.text)

    in_process(story)


def test_a_board_is_noted_from_its_dump_and_shown_on_its_page():
    async def story(cloud, client):
        cloud.service.intake.on_presence("board", True)
        introduce(cloud.service, "board")
        assert "Note it for board" in (await client.get("/flash?node=board")).text
        dump = {"file": ("dump.bin", bytes(0x9000))}
        assert "Board noted" not in (await client.get("/nodes/board")).text
        answer = await client.post("/flash?node=board&note=1", files=dump)
        assert answer.headers.get("location") == "/nodes/board#facts", words(answer.text)
        assert "Board noted" in (await client.get("/nodes/board")).text
        assert cloud.service.boards.facts(["board"])["board"].chip == "esp32c3"
        assert (await client.post("/flash?node=nobody&note=1", files=dump)).status_code == 400

    in_process(story)
