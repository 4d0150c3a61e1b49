"""The calls that pause, resume and retry a job, and what two admins at once and odd nodes make of them."""

from __future__ import annotations

import pytest
from test_cloud_campaigns import campaign, reject, succeed

from py_esp_ota.cloud.plan import Gate, Plan

CALLS = "/v1/local/otajob"


def ask(bench, call, job, **more):
    return bench.call("POST", f"{CALLS}/{call}", json={"ota_job_id": job, **more})


def test_two_admins_who_pause_and_resume_at_once(bench):
    job = campaign(bench, plan=Plan(phases=("2", "rest")))
    first, second = (ask(bench, "pause", job).json()["campaign"] for _ in range(2))
    assert first == second
    assert (first["state"], first["why"]) == ("paused", "paused by hand")
    assert ask(bench, "resume", job).json()["campaign"]["state"] == "running"
    again = ask(bench, "resume", job)
    assert (again.status_code, again.json()["error_code"]) == (409, 106011)


@pytest.mark.parametrize("call", ["pause", "resume", "retry"])
def test_who_comes_after_a_cancel_is_told(bench, call):
    job = campaign(bench)
    bench.ok("PUT", "/v1/admin/otajob", json={"ota_job_id": job})
    assert bench.ok("PUT", "/v1/admin/otajob", json={"ota_job_id": job})["status"] == "cancelled"
    answer = ask(bench, call, job)
    assert (answer.status_code, answer.json()["error_code"]) == (409, 106010)
    assert ask(bench, call, "nothing").status_code == 404


def test_who_failed_begins_anew_by_name_or_all(bench):
    job = campaign(bench)
    reject(bench, job, "n00", "n01")
    succeed(bench, job, "n02")
    assert ask(bench, "retry", job, nodes=["n01"]).json()["nodes"] == ["n01"]
    assert ask(bench, "retry", job).json()["nodes"] == ["n00"]
    assert ask(bench, "retry", job).json()["description"] == "0 nodes begin anew"
    assert ask(bench, "retry", job, nodes=["n02"]).json()["error_code"] == 106002


def test_only_admins_may(bench):
    job = campaign(bench)
    for call in ("pause", "resume", "retry"):
        body = {"ota_job_id": job}
        assert bench.call("POST", f"{CALLS}/{call}", json=body, token="").status_code == 401


def test_a_gate_that_waits_is_told_from_one_that_is_not_met(bench):
    gate = Gate(confirm=True)
    job = campaign(bench, plan=Plan(phases=("1", "1", "rest"), gate=gate))
    look = lambda: bench.service.jobs.get(job).job.progress  # noqa: E731
    succeed(bench, job, "n00")
    assert (look().at_gate, look().gate_met > 0) == (True, True)
    ask(bench, "resume", job)
    reject(bench, job, "n01")
    found = bench.ok("GET", f"/v1/admin/otajob?ota_job_id={job}")["campaign"]
    assert (found["at_gate"], found["gate_met"]) == (True, False)


def test_a_late_or_replayed_report_moves_nothing_twice(bench):
    job = campaign(bench)
    succeed(bench, job, "n00")
    bench.report("n00", job, "success")
    bench.report("n00", job, "failed", "stray")
    reject(bench, job, "n01")
    bench.report("n01", job, "rejected", "Firmware rolled back")
    whole = bench.service.jobs.get(job).standing.whole
    assert (whole.updated, whole.missed, whole.rolled_back, whole.closed, whole.total) == (1, 1, 1, 2, 10)


def test_a_node_that_is_removed_meanwhile_ends_and_cannot_be_tried_again_for_nothing(bench):
    job = campaign(bench)
    bench.service.nodes.forget(["n00"])
    state = bench.service.jobs.state(job, "n00")
    assert (state.closed, state.reason.value) == (True, "removed")
    bench.service.campaigns.pause(job)
    assert bench.service.jobs.get(job).standing.whole.missed == 1
