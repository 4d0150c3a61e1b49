"""What is kept of jobs: the archive and back, deletion, files for other programs, the audit page."""

from __future__ import annotations

import csv
import io
import json

import pytest
from cloud_bench import expect, failure, refused
from test_cloud_events import kinds, rows

from py_esp_ota.cloud.plan import Plan
from py_esp_ota.cloud.rebuild import rebuild
from py_esp_ota.cloud.refusals import Refusal


def test_a_job_comes_back_from_the_archive(bench):
    bench.join("n1")
    job = bench.job("n1")
    bench.service.jobs.cancel(job)
    bench.service.jobs.archive(job)
    assert bench.ok("PUT", "/v1/admin/otajob", json={"ota_job_id": job, "archive": False})["archived"] is False
    assert bench.service.jobs.find().total == 1
    bench.ok("PUT", "/v1/admin/otajob", json={"ota_job_id": job, "archive": False})  # twice changes nothing
    assert kinds(bench, ota_job_id=job).count("job_unarchived") == 1


def test_jobs_that_are_over_are_deleted_all_or_none(bench):
    bench.join("n1")
    image = bench.image()
    over, runs = bench.job("n1", image=image, name="a"), bench.job("n1", image=image, name="b")
    bench.service.jobs.cancel(over)
    body = {"ota_job_ids": [over, runs]}
    assert failure(bench.call("POST", "/v1/local/otajob/delete", json=body)) == expect(Refusal.JOB_RUNS)
    assert bench.service.jobs.find().total == 2
    bench.ok("POST", "/v1/local/otajob/delete", json={"ota_job_ids": [over, over]})
    assert [view.job.ota_job_id for view in bench.service.jobs.find().items] == [runs]
    with refused(Refusal.JOB_UNKNOWN):
        bench.service.jobs.get(over)
    assert kinds(bench, ota_job_id=over)[-1] == "job_deleted"
    bench.report("n1", over, "success")  # from a node that had the URL: there is nothing to keep it with
    before = rows(bench)
    rebuild(bench.store)
    assert rows(bench) == before


def test_the_image_of_a_deleted_job_can_go(bench):
    bench.join("n1")
    image = bench.image()
    job = bench.job("n1", image=image)
    bench.service.jobs.cancel(job)
    with refused(Refusal.IMAGE_IN_USE):
        bench.service.images.delete(image.ota_image_id)
    bench.service.jobs.delete([job])
    bench.service.images.delete(image.ota_image_id)


def test_a_job_as_a_sheet_and_as_a_document(bench):
    nodes = [f"n{number:04}" for number in range(1100)]
    bench.join(*nodes)
    job = bench.job(groups=["FFFF-FFFF"], plan=Plan(phases=("100", "rest")))
    bench.fetch("n0000")
    bench.report("n0000", job, "failed", "=HYPERLINK(1)")
    sheet = bench.call("GET", f"/v1/local/otajob/export?ota_job_id={job}").text
    table = list(csv.DictReader(io.StringIO(sheet, newline="")))
    assert [row["node_id"] for row in table] == nodes
    assert table[0]["additional_info"] == "'=HYPERLINK(1)"
    assert {row["phase"] for row in table} == {"1", "2"}
    document = json.loads(bench.call("GET", f"/v1/local/otajob/export?ota_job_id={job}&format=json").text)
    assert [row["node_id"] for row in document["nodes_status"]] == nodes
    assert document["nodes_status"][0]["additional_info"] == "=HYPERLINK(1)"
    assert document["campaign"]["phases"] == [100, 1000]
    for path in ("otajob/export?ota_job_id=x", "otajob/export?ota_job_id=x&format=json"):
        assert failure(bench.call("GET", f"/v1/local/{path}")) == expect(Refusal.JOB_UNKNOWN)
    assert failure(bench.call("GET", f"/v1/local/otajob/export?ota_job_id={job}&format=xml"))[0] == 400


@pytest.mark.parametrize("path", ["otajob/export?ota_job_id=x", "webhooks"])
def test_they_are_for_admins(bench, path):
    assert bench.call("GET", f"/v1/local/{path}", token="nonsense").status_code == 401
