"""The audit page, and what the page of a job does with what is kept of it."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from datetime import datetime, timedelta

import pytest
from page_stage import Cloud, in_process
from test_pages import EVIL, fill, introduce, words

from py_esp_ota.cloud.events import Actor, By
from py_esp_ota.cloud.refusals import CloudError


def test_what_happened_stands_there_newest_first_and_may_be_filtered():
    async def test(cloud: Cloud, client):
        image, job = fill(cloud)
        cloud.service.jobs.cancel(job, By(Actor.ADMIN, EVIL))
        page = (await client.get("/audit")).text
        said = words(page)
        assert said.index("The job was cancelled") < said.index("Job “Rollout” was started for 1 nodes")
        assert "<script>alert" not in page
        one = words((await client.get(f"/audit?kind=image_uploaded&ota_image_id={image}")).text)
        assert "was uploaded" in one
        assert "was cancelled" not in one
        assert "Nothing like that happened" in words((await client.get("/audit?node_id=nobody")).text)
        assert (await client.get("/audit?trail=x")).status_code == 400
        assert (await client.get("/audit?kind=x&actor=y")).status_code == 200

    in_process(test)


def test_a_long_log_has_pages():
    async def test(cloud: Cloud, client):
        for number in range(120):
            introduce(cloud.service, f"n{number:03}", {"name": "L", "fw_version": "1", "type": "t", "model": "m"})
        page = (await client.get("/audit?kind=node_joined")).text
        seen = page.count('id="event-')
        pages = 1
        while 'rel="next"' in page:
            following = page.split('rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
            page = (await client.get(following)).text
            seen += page.count('id="event-')
            pages += 1
        assert (seen, pages) == (120, 3)

    in_process(test)


def test_a_job_is_taken_back_exported_and_deleted():
    async def test(cloud: Cloud, client):
        _, job = fill(cloud)
        rows = list(csv.reader(io.StringIO((await client.get(f"/jobs/{job}/export/csv")).text)))
        assert [row[0] for row in rows] == ["node_id", "lamp1"]
        assert (await client.get(f"/jobs/{job}/export/json")).json()["ota_job_id"] == job
        assert (await client.get("/jobs/none/export/csv")).status_code == 404
        assert (await client.post(f"/jobs/{job}/delete")).status_code == 409
        cloud.service.jobs.cancel(job)
        cloud.service.jobs.archive(job)
        assert "Take back from the archive" in words((await client.get(f"/jobs/{job}")).text)
        assert (await client.post(f"/jobs/{job}/unarchive")).status_code == 303
        assert not cloud.service.jobs.get(job).job.archived
        assert (await client.post(f"/jobs/{job}/delete")).headers["location"] == "/jobs"
        with pytest.raises(CloudError):
            cloud.service.jobs.get(job)

    in_process(test)


def test_a_span_of_time_is_shown_and_given_as_a_file():
    async def test(cloud: Cloud, client):
        _, job = fill(cloud)
        cloud.service.jobs.cancel(job)
        now = datetime.now().astimezone()
        soon, past = (f"{now + timedelta(hours=hours):%Y-%m-%dT%H:%M}" for hours in (1, -1))
        for query, there in ((f"since={past}&until={soon}", True), (f"since={soon}", False), (f"until={past}", False)):
            page = (await client.get(f"/audit?{query}")).text
            assert ("The job was cancelled" in page) is there, query
            assert f'value="{query.partition("=")[2].partition("&")[0]}"' in page
            lines = (await client.get(f"/audit/export?{query}&kind=job_cancelled")).text.splitlines()
            assert [json.loads(line)["ota_job_id"] for line in lines] == ([job] if there else []), query
        assert (await client.get("/audit?since=noon")).status_code == 400
        assert f'href="/audit/export?ota_job_id={job}" download' in (await client.get(f"/audit?ota_job_id={job}")).text

    in_process(test)


def test_its_head_is_live_and_older_pages_stay_as_they_are():
    async def test(cloud: Cloud, client):
        _, job = fill(cloud)
        page = (await client.get(f"/audit?ota_job_id={job}")).text
        address = f"/audit?ota_job_id={job}"
        at = re.search(r'data-at="([^"]*)"', page)[1]
        assert f'data-view="{address}"' in page
        stream = cloud.app.state.views.stream({address: at})
        await anext(stream)
        cloud.service.jobs.cancel(job, By(Actor.ADMIN, "ann"))
        async with asyncio.timeout(10):
            assert b"The job was cancelled" in await anext(stream)
        await stream.aclose()
        older = (await client.get("/audit?trail=2")).text
        assert "data-view" not in older.partition("<main")[2]

    in_process(test)
