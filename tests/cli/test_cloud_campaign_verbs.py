"""``esp-ota cloud jobs pause|resume|retry`` and a watch of a campaign that stops itself."""

from __future__ import annotations

import pytest
from cloud_desk import refused, run, said
from test_cloud_verbs import SPEED, desk, later, started

from py_esp_ota.cloud.plan import Abort, Amount, Gate, Plan

pytestmark = pytest.mark.sockets
__all__ = ["desk"]


def campaign(desk, plan):
    """A job by a plan, for n1 and n2."""
    for node_id in ("n1", "n2"):
        desk.join(node_id)
    said("images", "upload", "1.1.0.bin")
    (image,) = said("images", "list")["images"]
    create = desk.service.jobs.create
    return desk.act(create, "Autumn", image["ota_image_id"], nodes=["n1", "n2"], plan=plan).job.ota_job_id


def test_a_job_is_paused_and_resumed_and_the_second_one_who_resumes_is_told(desk):
    job = campaign(desk, Plan(phases=("1", "rest")))
    assert run("jobs", "pause", job).stdout == f"job {job} is paused\n"
    assert said("jobs", "pause", job)["campaign"]["state"] == "paused"
    assert "triggered (phase 1 of 2, paused)" in run("jobs", "status", job).stdout
    assert run("jobs", "resume", job).stdout == f"job {job} goes on with phase 1 of 2\n"
    assert "the job is not paused (error 106011)" in refused("jobs", "resume", job)
    assert "there is no job" in refused("jobs", "pause", "nothing")


def test_who_failed_is_tried_again_alone_or_all_together(desk):
    desk.join("n1")
    desk.join("n2")
    job = started("--all")
    assert run("jobs", "retry", job).stdout == "0 nodes begin anew\n"
    for node_id in ("n1", "n2"):
        desk.report(node_id, job, "rejected", "Firmware rolled back")
    assert run("jobs", "retry", job, "--node", "n2").stdout == "1 node begins anew\nn2\n"
    assert said("jobs", "retry", job)["nodes"] == ["n1"]
    assert "the job is not for node n9" in refused("jobs", "retry", job, "--node", "n9")


def test_a_watched_campaign_that_aborts_itself_ends_with_one_and_says_why(desk):
    job = campaign(desk, Plan(abort=Abort(failed=Amount(1))))
    hand = later(lambda: desk.report("n1", job, "rejected", "Chip revision mismatch"))
    done = run("jobs", "status", job, "--watch", *SPEED)
    hand.join()
    assert done.exit_code == 1
    assert "the job aborted itself: 1 of 2 nodes failed; the limit is 1" in done.stdout.splitlines()
    assert f"Autumn ({job}): cancelled (aborted), 0 of 2 updated, 1 failed or rejected" in done.stdout


def test_a_watched_campaign_that_cannot_meet_its_gate_ends_with_one_though_it_is_only_paused(desk):
    job = campaign(desk, Plan(phases=("1", "rest"), gate=Gate(success=Amount(1))))
    hand = later(lambda: desk.report("n1", job, "rejected", "Chip revision mismatch"))
    done = run("jobs", "status", job, "--watch", "--within", "20s", *SPEED)
    hand.join()
    assert done.exit_code == 1
    why = "phase 1 cannot meet its gate: 0 of 1 nodes are updated, 1 is not, 1 are needed"
    assert f"the job has paused: {why}" in done.stdout.splitlines()
    assert "has not ended within" not in done.stdout
    assert run("jobs", "status", job, "--watch", "--json", *SPEED).exit_code == 1


def test_a_gate_that_waits_for_somebody_is_no_failure(desk):
    job = campaign(desk, Plan(phases=("1", "rest"), gate=Gate(success=Amount(1), confirm=True)))
    desk.report("n1", job, "success")
    assert said("jobs", "status", job)["job"]["campaign"]["state"] == "paused"
    hand = later(
        lambda: said("jobs", "resume", job),
        lambda: desk.report("n2", job, "success"),
    )
    done = run("jobs", "status", job, "--watch", *SPEED)
    hand.join()
    assert done.exit_code == 0, done.output
