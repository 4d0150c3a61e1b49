"""Start OTA: every field of the form, its preview before anything is sent, and refusals at their fields."""

from __future__ import annotations

import re
from datetime import datetime
from html import unescape

import pytest
from page_stage import in_process
from test_pages import HTMX, fill, introduce, start, words

from py_esp_ota.cloud.models import GroupRow
from py_esp_ota.cloud.refusals import CloudError
from py_esp_ota.cloud.web.start_form import StartForm, options_of, wrong_of
from py_esp_ota.firmware import Firmware

KNOWN = {"model": "lamp", "fw_version": "1.0.0", "project_name": "lamp", "platform": "esp32c3"}
OLD_FORM = {"job_name": "x", "nodes": "lamp1"}
WRONG = {
    "phases": ("some", "phase 1: 'some' is neither"),
    "gate": ("120%", "more than all"),
    "hold": ("soon", "plan.gate.hold is a time like"),
    "gate_within": ("soon", "plan.gate.within is a time like"),
    "abort_failed": ("0", "0 would stop the job"),
    "abort_rolled_back": ("0%", "0 would stop the job"),
    "abort_no_answer": ("x", "neither a number of nodes"),
    "abort_least": ("many", "plan.abort.least is a whole number"),
    "answer_within": ("-1", "plan.answer_within is a time like"),
    "node_timeout": ("1w", "plan.node_timeout is a time like"),
    "rate": ("fast", "plan.rate is a whole number"),
    "start_at": ("noon", "plan.start: a time is written"),
    "priority": ("11", "priority is a number from 1 to 9"),
    "timeout": ("0", "timeout is a number from 1"),
    "window_start": ("25:00", "a time of the day is written HH:MM"),
    "valid_until": ("2001-01-01T00:00", "its end has passed"),
    "metadata": ("[]", "metadata is a JSON object"),
    "description": ("x" * 1025, "description"),
}


def form_of(**values: str | list[str]) -> StartForm:
    return StartForm.read(lambda name: [values[name]] if isinstance(values.get(name), str) else values.get(name, []))


def test_every_field_becomes_part_of_the_job():
    form = form_of(
        target="groups", groups=["g"], description="new", priority="2", timeout="12h", window_start="22:30",
        window_end="04:05", valid_from="2036-01-01T00:00", valid_until="2037-01-01T00:00", metadata='{"a": 1}',
        host_mcu="true", phases="1, 50% rest", gate="100%", hold="10m", gate_within="2h", confirm="true",
        abort_failed="2", abort_rolled_back="2%", abort_no_answer="3", abort_least="5", answer_within="5m",
        node_timeout="1h", rate="60", start_at="2036-01-01T00:00", force_push="true", user_approval="true",
        notify="true", continuous="true", network_serialised="true", allow_wrong_chip="true",
    )  # fmt: skip
    begin, end = (int(datetime(year, 1, 1).astimezone().timestamp()) for year in (2036, 2037))
    options = options_of(form)
    assert options.pop("plan").to_json() == {
        "phases": ["1", "50%", "rest"],
        "gate": {"success": "100%", "hold": 600, "within": 7200, "confirm": True},
        "abort": {"failed": "2", "rolled_back": "2%", "no_answer": "3", "least": 5},
        "answer_within": 300,
        "node_timeout": 3600,
        "rate": 60,
        "start": begin,
    }
    flags = ("force_push", "user_approval", "notify", "continuous", "network_serialised", "allow_wrong_chip")
    assert options == {
        "nodes": (),
        "groups": ("g",),
        "description": "new",
        "priority": 2,
        "timeout": 43_200,
        "metadata": {
            "a": 1,
            "download_window": {"start": 1350, "end": 245},
            "validity": {"start": begin, "end": end},
            "esp.ota.target": "host_mcu",
        },
        **dict.fromkeys(flags, True),
    }


def test_a_refusal_stands_at_its_field():
    async def story(cloud, client):
        image, _ = fill(cloud)
        for name, (value, why) in WRONG.items():
            answer = await client.post(f"/images/{image}/start", data={**OLD_FORM, name: value})
            assert answer.status_code == 400, name
            at = re.search(rf'<span class="wrong" id="wrong-{name}">(.*?)</span>', answer.text)
            assert at, name
            assert why in unescape(at[1]), name
            assert cloud.service.jobs.find().total == 1, name
            piece = await client.post(f"/images/{image}/start/preview", data={**OLD_FORM, name: value}, headers=HTMX)
            assert piece.status_code == 200, name
            assert f'id="wrong-{name}" hx-swap-oob="true">{at[1]}' in piece.text

    in_process(story)


def test_a_field_that_nobody_knows_is_told_all_the_same():
    with pytest.raises(CloudError) as told:
        options_of(form_of(phases=",".join(["1"] * 30)))
    assert wrong_of(told.value).field == "phases"


def test_nothing_is_started_that_was_not_foretold():
    async def story(cloud, client):
        image, _ = fill(cloud)
        answer = await client.post(f"/images/{image}/start", data=OLD_FORM)
        assert answer.status_code == 200
        assert "Nothing was started yet" in words(answer.text)
        assert cloud.service.jobs.find().total == 1
        assert (await start(client, image, OLD_FORM)).status_code == 303
        assert cloud.service.jobs.find().total == 2

    in_process(story)


def test_what_has_changed_since_is_shown_before_it_is_started():
    async def story(cloud, client):
        image, _ = fill(cloud)
        page = (await client.post(f"/images/{image}/start/preview", data=OLD_FORM)).text
        seen = unescape(re.search(r'name="seen" value="([^"]*)"', page)[1])
        other = cloud.service.jobs.create("the other admin's", image, nodes=["lamp1"]).job.ota_job_id
        answer = await client.post(f"/images/{image}/start", data={**OLD_FORM, "seen": seen})
        assert "Something has changed" in words(answer.text)
        assert f"/jobs/{other}" in answer.text
        assert cloud.service.jobs.find().total == 2
        cloud.service.images.archive(image)
        answer = await client.post(f"/images/{image}/start", data={**OLD_FORM, "seen": seen})
        assert (answer.status_code, "an archived image" in words(answer.text).lower()) == (409, True)

    in_process(story)


def test_an_image_that_is_deleted_while_its_form_is_open():
    async def story(cloud, client):
        fill(cloud)
        image = cloud.service.images.add("gone", Firmware("lamp", "9.0.0").to_bytes()).ota_image_id
        cloud.service.images.delete(image)
        for path in ("start", "start/preview"):
            answer = await client.post(f"/images/{image}/{path}", data=OLD_FORM)
            assert answer.status_code == 404
            assert "not there any more" in words(answer.text)

    in_process(story)


def test_another_chip_needs_a_hand_of_its_own():
    async def story(cloud, client):
        fill(cloud)
        introduce(cloud.service, "lamp1", KNOWN)
        image = cloud.service.images.add("s3", Firmware("lamp", "9.0.0", chip="esp32s3").to_bytes()).ota_image_id
        page = await client.post(f"/images/{image}/start/preview", data=OLD_FORM)
        assert "Not for this chip" in words(page.text)
        seen = unescape(re.search(r'name="seen" value="([^"]*)"', page.text)[1])
        refused = await client.post(f"/images/{image}/start", data={**OLD_FORM, "seen": seen})
        assert refused.status_code == 409
        assert 'name="allow_wrong_chip"' in refused.text
        assert cloud.service.jobs.find().total == 1
        assert (await start(client, image, {**OLD_FORM, "allow_wrong_chip": "true"})).status_code == 303

    in_process(story)


def test_groups_are_offered_by_their_names():
    async def story(cloud, client):
        image, _ = fill(cloud)
        assert 'name="groups"' not in (await client.get(f"/images/{image}/start")).text
        with cloud.store.begin() as tx:
            tx.add(GroupRow(group_id="kitchen-id", group_name="Kitchen", created_timestamp=0))
            tx.add(GroupRow(group_id="own", group_name="A user's", user_id="ann", created_timestamp=0))
        page = (await client.get(f"/images/{image}/start")).text
        assert 'name="groups" value="kitchen-id"' in page
        assert "A user" not in unescape(page)

    in_process(story)


def test_the_form_folds_what_nobody_has_changed_and_keeps_what_is_ticked_in_a_search():
    async def story(cloud, client):
        image, _ = fill(cloud)
        page = (await client.get(f"/images/{image}/start")).text
        assert re.search(r'<details class="card" id="rollout">', page)
        assert re.search(r'<details class="card" id="advanced">', page)
        found = await client.get(f"/images/{image}/start", params={**OLD_FORM, "q": "zebra", "phases": "1, rest"})
        assert re.search(r'id="node-lamp1" checked', found.text)
        assert re.search(r'<details class="card" id="rollout" open>', found.text)

    in_process(story)


def test_the_preview_says_who_will_refuse_and_why():
    async def story(cloud, client):
        image, _ = fill(cloud)
        introduce(cloud.service, "lamp1", KNOWN)
        fan = cloud.service.images.add("fan", Firmware("fan", "1.0.0").to_bytes()).ota_image_id
        piece = await client.post(f"/images/{fan}/start/preview", data=OLD_FORM, headers=HTMX)
        said = words(piece.text)
        assert "will refuse" in said
        assert "Project Name mismatch" in said
        assert "validate_image_header" in piece.text.replace("<wbr>", "")
        none = await client.post(f"/images/{image}/start/preview", data={"job_name": "x"}, headers=HTMX)
        assert "Choose nodes" in words(none.text)

    in_process(story)
