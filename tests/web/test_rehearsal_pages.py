"""Rehearsals on the page: their buttons, how far they are, and their forecasts."""

from __future__ import annotations

from few_rehearsals import FORECAST, FewRehearsals
from page_stage import in_process
from test_pages import fill, words

from py_esp_ota.cloud.rehearsals import Stage

ORIGIN = {"Origin": "http://127.0.0.1"}


async def rehearsed(cloud, client, **form):
    """The rehearsal of a job, from the button of its page."""
    cloud.app.state.rehearsals = door = FewRehearsals()
    image, job = fill(cloud)
    answer = await client.post(f"/jobs/{job}/rehearse", data=form, headers=ORIGIN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/rehearsals/1")
    return door, image, job


def test_the_button_of_a_job_and_what_is_shown_while_it_is_played():
    async def story(cloud, client):
        door, _, job = await rehearsed(cloud, client, weather=" bad-image ", seed="7")
        assert (door.views["1"].weather, door.views["1"].seed, door.views["1"].ota_job_id) == ("bad-image", 7, job)
        door.finish("1", stage=Stage.RUNNING, forecast=None, closed=1, seconds=3725)
        page = words((await client.get("/rehearsals/1")).text)
        assert "1 of 1 nodes have come to their end, 1:02:05 are played" in page
        assert "Cancel the rehearsal" in page
        await client.post("/rehearsals/1/cancel", headers=ORIGIN)
        page = words((await client.get("/rehearsals/1")).text)
        assert "cancelled" in page.lower()
        assert "Cancel the rehearsal" not in page

    in_process(story)


def test_a_forecast_is_told_and_each_odd_device_has_its_line():
    async def story(cloud, client):
        door, _, job = await rehearsed(cloud, client)
        door.finish("1")
        page = words((await client.get("/rehearsals/1")).text)
        said = (
            "Aborted in phase 2 after 1:02:05: 100 of 1000 updated (the last after 1:01:40), 3 rolled back, 1 failed,"
        )
        for sentence in (
            said,
            "Because 3 of 110 nodes rolled back; the limit is 3.",
            FORECAST["odd"][0]["replay"],
            "5 % of the devices meet app-no.",
            "the chip is not known: the image's, esp32c3 (2: a, b)",
            "Writing and erasing flash takes no time.",
            "2 nodes have the update already and are left out.",
            "chip esp32c3 1000 100 4",
            "896 Triggered its turn never came a, b",
        ):
            assert sentence.lower() in page.lower()
        assert (await client.get("/rehearsals/1/forecast")).json() == FORECAST
        document = (await client.get("/rehearsals/1/document")).json()
        assert [node["node_id"] for node in document["nodes"]] == ["lamp1"]
        assert "Rollout" in words((await client.get("/rehearsals")).text)
        assert cloud.service.jobs.get(job).standing.whole.closed == 0

    in_process(story)


def test_only_an_update_on_every_node_is_green_and_the_course_has_its_end():
    async def story(cloud, client):
        door, _, _ = await rehearsed(cloud, client)
        over = {**FORECAST, "state": "completed", "why": "", "samples": [[at, 9, at, 0] for at in range(9)]}
        for ok, tone in ((True, "tone-success"), (False, "tone-failed")):
            door.finish("1", forecast={**over, "ok": ok})
            html = (await client.get("/rehearsals/1")).text
            assert f'class="banner {tone}"' in html
        assert "0:00:08 8 updated" in words(html)

    in_process(story)


def test_once_more_under_other_weather():
    async def story(cloud, client):
        door, _, job = await rehearsed(cloud, client)
        answer = await client.post(
            "/rehearsals/1/again", data={"weather": "fine; back 2d", "seed": "9"}, headers=ORIGIN
        )
        assert answer.headers["location"] == "/rehearsals/2"
        assert door.kept["2"] is door.kept["1"]
        assert (door.views["2"].weather, door.views["2"].seed, door.views["2"].ota_job_id) == ("fine; back 2d", 9, job)

    in_process(story)


def test_the_button_of_the_form_rehearses_what_is_only_planned():
    async def story(cloud, client):
        cloud.app.state.rehearsals = door = FewRehearsals()
        image, _ = fill(cloud)
        form = {"job_name": "later", "nodes": "lamp1", "force_push": "true", "weather": "bad-image", "seed": "1"}
        assert "Rehearse" in words((await client.get(f"/images/{image}/start")).text)
        answer = await client.post(f"/images/{image}/start/rehearse", data=form, headers=ORIGIN)
        assert answer.headers["location"] == "/rehearsals/1"
        assert (door.kept["1"].job.name, door.views["1"].ota_job_id) == ("later", "")
        assert len(cloud.service.jobs.find().items) == 1
        wrong = await client.post(f"/images/{image}/start/rehearse", data={**form, "phases": "7"}, headers=ORIGIN)
        assert "plan.phases" in words(wrong.text)

    in_process(story)


def test_without_the_engine_there_is_no_button_and_a_sentence():
    async def story(cloud, client):
        image, job = fill(cloud)
        for page in (f"/jobs/{job}", f"/images/{image}/start"):
            assert "Rehearse" not in words((await client.get(page)).text)
        answer = await client.post(f"/jobs/{job}/rehearse", headers=ORIGIN)
        assert answer.status_code == 501
        assert "This server plays no rehearsals." in words(answer.text)

    in_process(story)


def test_what_there_is_not_and_what_makes_no_sense():
    async def story(cloud, client):
        _, _, job = await rehearsed(cloud, client)
        for path in ("/rehearsals/9", "/rehearsals/9/document", "/rehearsals/9/forecast"):
            assert (await client.get(path)).status_code == 404
        for seed in ("-1", "4294967296", "x", "9" * 40):
            answer = await client.post(f"/jobs/{job}/rehearse", data={"seed": seed}, headers=ORIGIN)
            assert answer.status_code == 400
            assert "Seed is a number from 0 to 4294967295." in words(answer.text)

    in_process(story)


def test_hostile_words_are_shown_and_nothing_else():
    async def story(cloud, client):
        door, _, _ = await rehearsed(cloud, client, weather="<script>alert(1)</script>")
        odd = {**FORECAST["odd"][0], "node_id": "<b>x", "info": "<img src=x>"}
        door.finish("1", forecast={**FORECAST, "odd": [odd], "why": "<i>"})
        for path in ("/rehearsals", "/rehearsals/1"):
            html = (await client.get(path)).text
            assert "<script>alert" not in html
            assert "<img src=x>" not in html

    in_process(story)
