"""The audit page, and what the page of a job does with what is kept of it."""

from __future__ import annotations

import csv
import io

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
