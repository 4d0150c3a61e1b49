"""Jobs in the store: creation, targets, dispatch, reports, cancel, archive, time-out."""

from __future__ import annotations

import json

import pytest
from cloud_bench import NOW, refused

from py_esp_ota.cloud.plan import Plan
from py_esp_ota.cloud.refusals import Refusal

pytestmark = pytest.mark.both_databases

KEYS = {"ota_job_id", "url", "fw_version", "file_size", "file_md5", "stream_id"}


# --------------------------------------------------------------------------------------------------------------- create


def test_a_job_waits_for_its_nodes_to_ask(bench):
    bench.join("n1", "n2")
    job = bench.job("n1", "n2")
    assert bench.sent() == []
    assert bench.states(job) == {"n1": "triggered", "n2": "triggered"}
    (offer,) = bench.fetch("n1")
    assert set(offer) == KEYS
    assert (offer["ota_job_id"], offer["fw_version"]) == (job, "1.1.0")
    assert bench.states(job) == {"n1": "started", "n2": "triggered"}


def test_force_push_reaches_the_nodes_online_and_no_other(bench):
    bench.join("n1")
    bench.join("n2", online=False)
    job = bench.job("n1", "n2", force_push=True)
    assert [topic for topic, _ in bench.sent()] == ["node/n1/otaurl"]
    assert bench.states(job) == {"n1": "started", "n2": "triggered"}
    bench.presence("n2", True)
    assert bench.sent() == []  # connecting alone is not asking
    assert [offer["ota_job_id"] for offer in bench.fetch("n2")] == [job]


def test_force_push_leaves_the_version_check_to_the_node(bench):
    bench.join("n1", fw_version="1.1.0")
    job = bench.job("n1", force_push=True)
    assert len(bench.sent()) == 1
    bench.report("n1", job, "rejected", "Same version received")
    assert bench.states(job) == {"n1": "rejected"}


def test_force_push_without_a_broker_leaves_the_nodes_waiting(bench):
    bench.join("n1")
    bench.service.outbox.close()
    assert bench.states(bench.job("n1", force_push=True)) == {"n1": "triggered"}


def test_the_all_nodes_group_is_every_node(bench):
    bench.join(*(f"n{index:03}" for index in range(150)))
    image = bench.image()
    view = bench.service.jobs.create("all", image.ota_image_id, groups=["FFFF-FFFF"])
    assert view.summary["total"] == 150
    assert (view.job.nodes, view.job.groups) == ((), ("FFFF-FFFF",))


def test_a_node_named_twice_is_one_target(bench):
    bench.join("n1")
    assert bench.states(bench.job("n1", "n1")) == {"n1": "triggered"}


@pytest.mark.parametrize(
    ("options", "refusal"),
    [
        ({}, Refusal.JOB_TARGETS),
        ({"nodes": [f"n{index}" for index in range(101)]}, Refusal.JOB_TARGETS),
        ({"groups": [f"g{index}" for index in range(11)]}, Refusal.JOB_TARGETS),
        ({"groups": ["abcd"]}, Refusal.GROUP_UNKNOWN),
        ({"nodes": ["n1"], "continuous": True}, Refusal.JOB_TARGETS),
        ({"nodes": ["n1"], "plan": Plan(phases=("2", "rest"))}, Refusal.JOB_PLAN),
        ({"nodes": ["n1"], "plan": Plan(phases=("group:g", "rest"))}, Refusal.JOB_PLAN),
        ({"nodes": ["stranger"]}, Refusal.NODE_NOT_OF_USER),
        ({"nodes": ["n1", "stranger"]}, Refusal.NODE_NOT_OF_USER),
        ({"nodes": ["n1"], "priority": 0}, Refusal.INVALID_REQUEST),
        ({"nodes": ["n1"], "priority": 10}, Refusal.INVALID_REQUEST),
        ({"nodes": ["n1"], "timeout": 0}, Refusal.INVALID_REQUEST),
        ({"nodes": ["n1"], "metadata": {"validity": {"end": NOW - 1}}}, Refusal.JOB_METADATA),
        ({"nodes": ["n1"], "metadata": {"x": float("nan")}}, Refusal.JOB_METADATA),
        ({"nodes": ["n1"], "metadata": {"x": "y" * 5000}}, Refusal.JOB_METADATA),
        ({"nodes": ["n1"], "description": "a\x00b"}, Refusal.INVALID_REQUEST),
    ],
)
def test_a_job_that_cannot_be_made_leaves_nothing_behind(bench, options, refusal):
    bench.join("n1")
    image = bench.image()
    with refused(refusal):
        bench.service.jobs.create("job", image.ota_image_id, **options)
    assert bench.service.jobs.find(archived=None).total == 0


@pytest.mark.parametrize("name", ["", "x" * 129, "two\nlines"])
def test_a_job_needs_a_name(bench, name):
    bench.join("n1")
    with refused(Refusal.INVALID_REQUEST):
        bench.job("n1", image=bench.image(), name=name)


def test_a_job_needs_an_image_that_is_not_archived(bench):
    bench.join("n1")
    with refused(Refusal.IMAGE_UNKNOWN):
        bench.service.jobs.create("job", "nothing", nodes=["n1"])
    image = bench.image()
    bench.service.images.archive(image.ota_image_id)
    with refused(Refusal.IMAGE_ARCHIVED):
        bench.job("n1", image=image)
    bench.service.images.archive(image.ota_image_id, archived=False)
    assert bench.job("n1", image=image)


def test_all_nodes_of_an_empty_cloud_is_no_target(bench):
    with refused(Refusal.JOB_TARGETS):
        bench.service.jobs.create("job", bench.image().ota_image_id, groups=["FFFF-FFFF"])


# ------------------------------------------------------------------------------------------------------------- dispatch


def test_the_offer_carries_all_that_a_node_reads(bench):
    bench.join("n1")
    image = bench.image()
    metadata = {"validity": {"start": int(NOW) + 60}, "text": "\u00fc"}
    bench.job("n1", image=image, metadata=metadata)
    (offer,) = bench.fetch("n1")
    assert set(offer) == KEYS | {"metadata"}
    assert (offer["file_size"], offer["file_md5"]) == (image.file_size, image.file_md5)
    assert offer["metadata"] == metadata
    assert offer["url"].startswith(f"http://cloud.lab/v1/ota/image/{image.ota_image_id}/firmware.bin?token=")


def test_every_hand_out_has_a_fresh_link(bench):
    bench.join("n1")
    bench.job("n1")
    (first,) = bench.fetch("n1")
    bench.clock.time += 3600
    (second,) = bench.fetch("n1")
    assert first["url"] != second["url"]


def test_priority_one_beats_five_and_of_equals_the_newer_wins(bench):
    bench.join("n1")
    older = bench.job("n1", name="older")
    newer = bench.job("n1", name="newer")
    first = bench.job("n1", name="first", priority=1)
    served = []
    for _ in range(3):
        (offer,) = bench.fetch("n1")
        served.append(offer["ota_job_id"])
        bench.report("n1", served[-1], "rejected")
    assert served == [first, newer, older]
    assert bench.fetch("n1") == []


def test_a_node_on_the_version_is_not_served_and_counts_as_success(bench):
    bench.join("n1")
    job = bench.job("n1")
    assert bench.fetch("n1", "1.1.0") == []
    assert bench.states(job) == {"n1": "success"}
    assert bench.service.nodes.get("n1").fw_version == "1.1.0"
    assert bench.service.jobs.get(job).status.value == "completed"


def test_a_node_that_is_not_a_target_gets_nothing(bench):
    bench.join("n1", "n2")
    bench.job("n1")
    assert bench.fetch("n2") == []


def test_failed_is_served_again_until_the_cycles_are_used_up(bench):
    bench.join("n1")
    job = bench.job("n1")
    for cycle in range(3):
        assert len(bench.fetch("n1")) == 1, cycle
        for attempt in range(3):
            bench.report("n1", job, "in-progress", f"attempt {attempt}")
            bench.report("n1", job, "failed", f"attempt {attempt}")
    assert bench.fetch("n1") == []
    assert bench.service.jobs.get(job).status.value == "completed"
    assert bench.service.jobs.summary(job)["failed"] == 1


def test_the_number_of_cycles_is_an_option(make_bench):
    bench = make_bench(max_fetch_cycles=1)
    bench.join("n1")
    job = bench.job("n1")
    bench.fetch("n1")
    bench.report("n1", job, "failed")
    assert bench.fetch("n1") == []


def test_delayed_keeps_the_job_open(bench):
    bench.join("n1")
    job = bench.job("n1")
    for _ in range(10):
        assert len(bench.fetch("n1")) == 1
        bench.report("n1", job, "delayed", "Not within download window.")
    assert bench.service.jobs.summary(job)["delayed"] == 1
    assert bench.service.jobs.get(job).status.value == "in_progress"


def test_a_url_that_was_withdrawn_was_not_sent(bench):
    bench.join("n1")
    job = bench.job("n1", force_push=True)
    assert bench.states(job) == {"n1": "started"}
    bench.service.jobs.cancel(job)  # the message is still here
    assert bench.states(job) == {"n1": "triggered"}
    assert [line.additional_info for line in bench.service.jobs.history(job)] == [
        "",
        "OTA URL Sent to Node",
        "The URL was not sent",
    ]


def test_a_withdrawn_url_does_not_undo_what_the_node_said_since(bench):
    bench.join("n1")
    job = bench.job("n1", force_push=True)
    bench.report("n1", job, "in-progress", "Downloading Firmware Image")
    bench.service.jobs.cancel(job)
    assert bench.states(job) == {"n1": "in-progress"}


def test_a_withdrawn_url_leaves_what_was_known_before(bench):
    bench.join("n1")
    job = bench.job("n1")
    bench.fetch("n1")
    bench.report("n1", job, "failed", "no room")
    bench.hear("n1", "otafetch", {"node_id": "n1", "fw_version": "1.0.0"})
    bench.service.jobs.cancel(job)
    (state,) = bench.service.jobs.node_status(job).items
    assert (state.status.value, state.additional_info, state.failed_cycles) == ("failed", "no room", 1)


# ------------------------------------------------------------------------------------------------------ cancel, archive


def test_a_cancelled_job_reaches_no_new_node_and_keeps_late_reports(bench):
    bench.join("n1", "n2")
    job = bench.job("n1", "n2")
    bench.fetch("n1")
    view = bench.service.jobs.cancel(job)
    assert (view.status.value, view.job.cancelled_timestamp) == ("cancelled", int(NOW * 1000))
    assert bench.fetch("n2") == []
    assert bench.fetch("n1") == []
    bench.report("n1", job, "in-progress", "Downloading Firmware Image")
    bench.report("n1", job, "success", "OTA Upgrade finished and verified successfully")
    assert bench.states(job) == {"n1": "success", "n2": "triggered"}
    assert bench.service.jobs.get(job).status.value == "cancelled"


def test_cancelling_stops_the_urls_that_are_not_out_yet(bench):
    bench.join("n1", "n2")
    other = bench.job("n1", force_push=True, name="other")
    job = bench.job("n1", "n2", force_push=True)
    bench.service.jobs.cancel(job)
    assert [json.loads(payload)["ota_job_id"] for _, payload in bench.sent()] == [other]
    assert bench.states(job) == {"n1": "triggered", "n2": "triggered"}
    assert bench.states(other) == {"n1": "started"}


def test_cancelling_twice_changes_nothing(bench):
    bench.join("n1")
    job = bench.job("n1")
    first = bench.service.jobs.cancel(job)
    bench.clock.time += 60
    assert bench.service.jobs.cancel(job) == first


def test_only_a_cancelled_job_can_be_archived(bench):
    bench.join("n1")
    job = bench.job("n1")
    bench.fetch("n1")
    with refused(Refusal.JOB_NOT_CANCELLED):
        bench.service.jobs.archive(job)
    bench.report("n1", job, "success")
    with refused(Refusal.JOB_NOT_CANCELLED):  # completed is not cancelled
        bench.service.jobs.archive(job)
    bench.service.jobs.cancel(job)  # a completed job can be
    assert bench.service.jobs.archive(job).job.archived
    assert bench.service.jobs.find().items == []
    assert [view.job.ota_job_id for view in bench.service.jobs.find(archived=True).items] == [job]
    assert bench.states(job) == {"n1": "success"}


@pytest.mark.parametrize("action", ["get", "cancel", "archive", "summary", "node_status", "history"])
def test_an_unknown_job_is_refused(bench, action):
    with refused(Refusal.JOB_UNKNOWN):
        getattr(bench.service.jobs, action)("nothing")


# -------------------------------------------------------------------------------------------------------------- reports


def test_every_report_is_kept_not_just_the_last(bench):
    bench.join("n1")
    job = bench.job("n1")
    bench.fetch("n1")
    told = [
        ("in-progress", "Starting OTA Upgrade (HTTPS attempt 1/3)"),
        ("in-progress", "Downloading Firmware Image"),
        ("invalid", "whatever that was"),
        ("success", "OTA Upgrade finished and verified successfully"),
        ("failed", "a stray report against the old job"),
    ]
    for status, info in told:
        bench.report("n1", job, status, info)
    history = bench.service.jobs.history(job, "n1")
    assert [(line.status, line.additional_info) for line in history if line.by_node] == told
    assert [line.status for line in history if not line.by_node] == ["triggered", "started"]
    assert {line.ts for line in history if line.by_node} == {5}
    assert bench.states(job) == {"n1": "success"}


def test_a_duplicate_report_changes_nothing_but_the_history(bench):
    bench.join("n1")
    job = bench.job("n1")
    for _ in range(3):
        bench.report("n1", job, "success", "done")
    assert bench.service.jobs.summary(job)["success"] == 1
    assert len(bench.service.jobs.history(job, "n1")) == 4


@pytest.mark.parametrize("node", ["n2", "n3"])
def test_a_report_about_somebody_elses_job_is_ignored(bench, caplog, node):
    bench.join("n1", "n2")
    job = bench.job("n1")
    bench.report(node, job, "success")
    bench.report("n1", "no such job", "success")
    assert bench.states(job) == {"n1": "triggered"}
    assert len(bench.service.jobs.history(job)) == 1
    assert len(caplog.records) == 2


# ------------------------------------------------------------------------------------------------------------- time-out


def test_nodes_without_a_result_fail_when_the_time_is_over(bench):
    bench.join("n1", "n2", "n3")
    job = bench.job("n1", "n2", "n3", timeout=60)
    bench.report("n1", job, "success")
    bench.fetch("n2")
    bench.clock.time += 60
    assert bench.service.campaigns.look() == int((NOW + 60) * 1000)
    assert bench.states(job) == {"n1": "success", "n2": "started", "n3": "triggered"}
    bench.clock.time += 0.001
    assert bench.service.campaigns.look() is None
    assert bench.states(job) == {"n1": "success", "n2": "failed", "n3": "failed"}
    assert bench.fetch("n3") == []
    assert bench.service.jobs.get(job).status.value == "completed"
    bench.report("n2", job, "success")
    assert bench.states(job)["n2"] == "success"


def test_a_job_past_its_time_is_not_handed_out_even_before_it_is_closed(bench):
    bench.join("n1")
    bench.job("n1", timeout=60)
    bench.clock.time += 61
    assert bench.fetch("n1") == []


def test_the_next_deadline_is_the_earliest_of_the_open_jobs(bench):
    bench.join("n1")
    assert bench.service.campaigns.look() is None
    bench.job("n1", name="a", timeout=500)
    cancelled = bench.job("n1", name="b", timeout=50)
    bench.service.jobs.cancel(cancelled)
    assert bench.service.campaigns.look() == int((NOW + 500) * 1000)


# ------------------------------------------------------------------------------------------------------------- approval


def test_an_update_that_needs_approval_waits_for_it(bench):
    bench.join("n1")
    job = bench.job("n1", force_push=True, user_approval=True, description="Better light")
    assert bench.sent() == []
    assert bench.fetch("n1") == []
    offer = bench.service.jobs.pending_update("n1")
    assert offer is not None
    assert (offer.ota_job_id, offer.description) == (job, "Better light")
    bench.service.jobs.approve_update("n1", job)
    assert [topic for topic, _ in bench.sent()] == ["node/n1/otaurl"]
    bench.report("n1", job, "failed")
    assert [offer["ota_job_id"] for offer in bench.fetch("n1")] == [job]  # approved once is approved


def test_approval_needs_the_node_online_and_the_job_open(bench):
    bench.join("n1", online=False)
    job = bench.job("n1", user_approval=True)
    with refused(Refusal.NODE_OFFLINE):
        bench.service.jobs.approve_update("n1", job)
    bench.join("n1", "n2")
    with refused(Refusal.NO_UPDATE):
        bench.service.jobs.approve_update("n2", job)
    bench.service.jobs.cancel(job)
    with refused(Refusal.NO_UPDATE):
        bench.service.jobs.approve_update("n1", job)
    assert bench.service.jobs.pending_update("n1") is None


def test_no_update_is_pending_on_the_version_itself(bench):
    bench.join("n1", fw_version="1.1.0")
    bench.job("n1")
    assert bench.service.jobs.pending_update("n1") is None


# ---------------------------------------------------------------------------------------------------------------- lists


def test_jobs_are_listed_newest_first_in_pages(bench):
    bench.join("n1")
    image = bench.image()
    ids = [bench.job("n1", image=image, name=f"job {index}") for index in range(5)]
    page = bench.service.jobs.find(num_records=2)
    seen = [view.job.ota_job_id for view in page.items]
    while page.next_id:
        assert page.total == 5
        page = bench.service.jobs.find(num_records=2, start_id=page.next_id)
        seen += [view.job.ota_job_id for view in page.items]
    assert seen == ids[::-1]


def test_jobs_are_found_by_a_part_of_their_name(bench):
    bench.join("n1")
    image = bench.image()
    for name in ("Spring 100%", "autumn 1000", "spring_2"):
        bench.job("n1", image=image, name=name)
    found = lambda text: [view.job.ota_job_name for view in bench.service.jobs.find(name=text).items]  # noqa: E731
    assert found("SPRING") == ["spring_2", "Spring 100%"]
    assert found("0%") == ["Spring 100%"]
    assert found("_") == ["spring_2"]


def test_node_states_come_in_pages_and_by_status(bench):
    names = [f"n{index}" for index in range(5)]
    bench.join(*names)
    job = bench.job(*names)
    bench.report("n3", job, "success")
    page = bench.service.jobs.node_status(job, num_records=3)
    assert ([state.node_id for state in page.items], page.total, page.next_id) == (["n0", "n1", "n2"], 5, "n3")
    page = bench.service.jobs.node_status(job, num_records=3, start_id="n3")
    assert ([state.node_id for state in page.items], page.next_id) == (["n3", "n4"], None)
    (state,) = bench.service.jobs.node_status(job, status=page.items[0].status).items
    assert state.node_id == "n3"


def test_a_start_that_is_no_number_is_refused(bench):
    for start in ("x", "-1", "1" * 30, "\u0663"):
        with refused(Refusal.INVALID_REQUEST):
            bench.service.jobs.find(start_id=start)
