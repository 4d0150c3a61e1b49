"""Campaigns: phases, gates, thresholds, pace, pause, retry, joining; in time that is set by hand."""

from __future__ import annotations

import pytest
from cloud_bench import NOW, Bench, refused

from py_esp_ota.cloud.plan import Abort, Amount, Gate, Plan, sizes_of
from py_esp_ota.cloud.rebuild import rebuild
from py_esp_ota.cloud.refusals import Refusal

NODES = [f"n{number:02}" for number in range(10)]
GATE = Gate(success=Amount(percent=100.0))


def campaign(bench: Bench, **options: object) -> str:
    bench.join(*NODES)
    return bench.job(*NODES, **options)


def released(bench: Bench, job: str) -> int:
    return bench.service.jobs.get(job).job.progress.released


def state(bench: Bench, job: str) -> tuple[str, str]:
    view = bench.service.jobs.get(job)
    return view.state.value, view.status.value


def later(bench: Bench, seconds: float) -> None:
    bench.clock.time += seconds
    bench.service.campaigns.look()


def succeed(bench: Bench, job: str, *nodes: str) -> None:
    for node_id in nodes:
        bench.fetch(node_id)
        bench.report(node_id, job, "success")


def reject(bench: Bench, job: str, *nodes: str, info: str = "Firmware rolled back") -> None:
    for node_id in nodes:
        bench.fetch(node_id)
        bench.report(node_id, job, "rejected", info)


def test_a_phase_begins_when_the_one_before_it_has_met_its_gate(bench):
    job = campaign(bench, plan=Plan(phases=("2", "30%", "rest"), gate=GATE))
    assert bench.service.jobs.get(job).job.sizes == (2, 3, 5)
    assert released(bench, job) == 2
    assert bench.fetch("n02") == []
    succeed(bench, job, "n00")
    assert released(bench, job) == 2
    succeed(bench, job, "n01")
    assert released(bench, job) == 5
    succeed(bench, job, *NODES[2:])
    assert state(bench, job) == ("completed", "completed")


@pytest.mark.parametrize(
    ("phases", "total", "sizes"),
    [
        (("50%", "50%"), 9, (5, 4)),
        (("33.4%", "33.3%", "33.3%"), 10, (4, 4, 2)),
        (("3", "70%"), 10, (3, 7)),
        (("0.1%", "rest"), 10, (1, 9)),
    ],
)
def test_shares_that_make_a_hundred_fit_however_they_are_rounded(phases, total, sizes):
    assert sizes_of(phases, total, {}) == sizes


@pytest.mark.parametrize(
    ("phases", "sentence"),
    [
        (("50%", "60%"), "phase 2 takes 5 nodes, and 4 of the job's 8 are left for it"),
        (("5", "100%"), "phase 2 takes 8 nodes, and 3 of the job's 8 are left for it"),
        (("50%", "30%"), "they take 7 of the job's 8 nodes; end with rest"),
        (("100%", "rest"), r"phase 2 \(rest\) is left without a node, the job has 8"),
    ],
)
def test_phases_that_do_not_add_up_are_refused(phases, sentence):
    with pytest.raises(ValueError, match=sentence):
        sizes_of(phases, 8, {})


def test_a_gate_that_cannot_be_met_any_more_pauses_and_an_admin_may_open_it(bench):
    job = campaign(bench, plan=Plan(phases=("2", "rest"), gate=GATE))
    reject(bench, job, "n00")
    assert state(bench, job) == ("paused", "in_progress")
    why = "phase 1 cannot meet its gate: 0 of 2 nodes are updated, 1 is not, 2 are needed"
    assert bench.service.jobs.get(job).job.progress.why == why
    assert bench.fetch("n01") == []
    bench.service.campaigns.resume(job)
    assert released(bench, job) == 10
    with refused(Refusal.JOB_NOT_PAUSED):
        bench.service.campaigns.resume(job)


def test_the_tenth_failure_stops_it_in_the_same_transaction(bench):
    job = campaign(bench, plan=Plan(abort=Abort(failed=Amount(3))))
    reject(bench, job, "n00", "n01")
    assert bench.fetch("n02") != []
    bench.report("n02", job, "rejected", "x")
    assert state(bench, job) == ("aborted", "cancelled")
    assert bench.service.jobs.get(job).job.progress.why == "3 of 10 nodes failed; the limit is 3"
    assert bench.fetch("n03") == []
    for act in (bench.service.campaigns.pause, bench.service.campaigns.resume, bench.service.campaigns.retry):
        with refused(Refusal.JOB_OVER):
            act(job)


def test_shares_count_once_enough_nodes_have_ended(bench):
    job = campaign(bench, plan=Plan(abort=Abort(rolled_back=Amount(percent=10.0), least=3)))
    reject(bench, job, "n00")
    succeed(bench, job, "n01")
    assert state(bench, job)[0] == "running"
    succeed(bench, job, "n02")
    assert state(bench, job)[0] == "aborted"


def test_nodes_that_do_not_answer_stop_it(bench):
    job = campaign(bench, plan=Plan(abort=Abort(no_answer=Amount(2)), answer_within=60))
    bench.fetch("n00")
    bench.fetch("n01")
    later(bench, 60.001)
    assert state(bench, job)[0] == "aborted"


def test_a_node_that_answers_after_all_is_not_silent(bench):
    job = campaign(bench, plan=Plan(abort=Abort(no_answer=Amount(2)), answer_within=60))
    bench.fetch("n00")
    later(bench, 60.001)
    assert bench.service.jobs.state(job, "n00").silent
    bench.report("n00", job, "in-progress")
    bench.fetch("n01")
    later(bench, 60.001)
    assert state(bench, job)[0] == "running"


def test_a_node_has_its_own_time(bench):
    job = campaign(bench, plan=Plan(node_timeout=100))
    bench.fetch("n00")
    bench.report("n00", job, "in-progress")
    later(bench, 100.001)
    found = bench.service.jobs.state(job, "n00")
    assert (found.status.value, found.additional_info, found.closed) == (
        "failed",
        "No result within 100 s of its URL",
        True,
    )


def test_an_all_failed_job_ends(bench):
    bench.join("n1", online=True)
    job = bench.job("n1")
    bench.fetch("n1")
    bench.report("n1", job, "failed", "no space")
    assert state(bench, job)[0] == "running"
    later(bench, 25 * 3600 + 1)
    found = bench.service.jobs.state(job, "n1")
    assert (found.status.value, found.additional_info, found.closed) == ("failed", "no space", True)
    assert state(bench, job) == ("completed", "completed")


def test_the_pace_is_kept(bench):
    job = campaign(bench, plan=Plan(rate=2))
    assert released(bench, job) == 1
    later(bench, 30)
    assert released(bench, job) == 2
    bench.service.campaigns.pause(job)
    later(bench, 3600)
    bench.service.campaigns.resume(job)
    assert released(bench, job) == 3
    later(bench, 60)
    assert released(bench, job) == 5


def test_it_begins_when_it_is_to(bench):
    job = campaign(bench, plan=Plan(start=int(NOW) + 100))
    assert (released(bench, job), state(bench, job)[0]) == (0, "scheduled")
    assert bench.fetch("n00") == []
    later(bench, 100)
    assert released(bench, job) == 10


def test_a_phase_is_watched_for_a_while_and_then_confirmed(bench):
    gate = Gate(success=Amount(percent=100.0), hold=60, confirm=True)
    job = campaign(bench, plan=Plan(phases=("1", "rest"), gate=gate))
    succeed(bench, job, "n00")
    assert state(bench, job)[0] == "running"
    later(bench, 60)
    assert state(bench, job)[0] == "paused"
    bench.service.campaigns.resume(job)
    assert released(bench, job) == 10


def test_a_gate_has_a_time(bench):
    job = campaign(bench, plan=Plan(phases=("1", "rest"), gate=Gate(within=60)))
    later(bench, 60)
    assert state(bench, job)[0] == "paused"
    assert "has not met its gate within 60 s" in bench.service.jobs.get(job).job.progress.why


def test_what_failed_is_tried_again_and_opens_the_job(bench):
    job = campaign(bench, plan=Plan())
    succeed(bench, job, *NODES[1:])
    reject(bench, job, "n00")
    assert state(bench, job)[0] == "completed"
    assert bench.service.campaigns.retry(job) == ["n00"]
    assert state(bench, job) == ("running", "in_progress")
    assert bench.fetch("n00") != []
    bench.report("n00", job, "success")
    assert state(bench, job)[0] == "completed"
    with refused(Refusal.JOB_TARGETS):
        bench.service.campaigns.retry(job, ["n00"])
    with refused(Refusal.JOB_TARGETS):
        bench.service.campaigns.retry(job, ["stranger"])


def test_who_joins_later_has_a_continuous_job_too(bench):
    bench.join("n1")
    job = bench.job(groups=["FFFF-FFFF"], continuous=True)
    succeed(bench, job, "n1")
    assert state(bench, job)[0] == "running"
    bench.join("n2")
    assert bench.fetch("n2") != []
    assert bench.states(job) == {"n1": "success", "n2": "started"}
    later(bench, 1_296_001)
    later(bench, 1)
    assert state(bench, job)[0] == "completed"


def test_rows_and_log_tell_the_same(bench):
    job = campaign(bench, plan=Plan(phases=("2", "rest"), gate=GATE, rate=60, node_timeout=100))
    bench.fetch("n03")
    later(bench, 1)
    succeed(bench, job, "n00")
    reject(bench, job, "n01")
    bench.service.campaigns.resume(job)
    bench.service.campaigns.retry(job, ["n01"])
    later(bench, 101)
    before = bench.service.jobs.node_status(job).items, bench.service.jobs.find().items
    rebuild(bench.store)
    assert (bench.service.jobs.node_status(job).items, bench.service.jobs.find().items) == before


@pytest.mark.parametrize("words", ["0", "-1", "101%", "x", "1 %%"])
def test_thresholds_that_make_no_sense_are_named(words):
    with pytest.raises(ValueError, match=r"plan\.abort\.failed: "):
        Plan.from_json({"abort": {"failed": words}})


def test_one_that_vanished_holds_its_network_up_for_an_hour(bench):
    """Nobody asks again meanwhile: the next one has its turn when the hour is over."""
    bench.join("n1", "n2")
    for node_id in ("n1", "n2"):
        bench.hear(node_id, "otafetch", {"node_id": node_id, "fw_version": "1.0.0", "network_id": "thread"})
    job = bench.job("n1", "n2", network_serialised=True, force_push=True)
    assert bench.states(job) == {"n1": "started", "n2": "triggered"}
    later(bench, 1800)
    bench.report("n1", job, "in-progress", "Downloading Firmware Image")
    later(bench, 3599)
    assert bench.states(job)["n2"] == "triggered"
    later(bench, 2)
    assert bench.states(job) == {"n1": "in-progress", "n2": "started"}


def test_a_node_is_due_once_however_often_it_reports(bench):
    job = campaign(bench, plan=Plan(node_timeout=100))
    bench.fetch("n00")
    for _ in range(50):
        bench.report("n00", job, "in-progress")
    assert len(bench.service.turns._jobs._due) == 1
