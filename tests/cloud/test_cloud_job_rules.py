"""The rules of a job, as tables: no store, no broker, no clock."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_esp_ota.cloud.jobs import (
    ALREADY_ON_VERSION,
    FINAL,
    SUMMARY_KEYS,
    URL_SENT,
    Hold,
    JobStatus,
    NodeState,
    NodeStatus,
    OtaJob,
    Report,
    already_on_version,
    choose,
    hand_out,
    job_status,
    metadata_problem,
    summary,
)
from py_esp_ota.cloud.progress import Progress

T0 = 1_767_225_600_000
DAY = 86_400_000
N = NodeStatus
REPORTABLE = [N.IN_PROGRESS, N.DELAYED, N.SUCCESS, N.REJECTED, N.FAILED]


def job(**fields) -> OtaJob:
    facts = {
        "ota_job_id": "J",
        "ota_job_name": "job",
        "ota_image_id": "I",
        "fw_version": "2.0",
        "triggered_timestamp": T0,
        "progress": Progress(released=10, phase=0, phase_began=T0),
    }
    return OtaJob(**{**facts, **fields})


def after(*words: NodeStatus, cap: int = 3) -> NodeState:
    """The state after a hand-out (``started``) or report for each word."""
    state = NodeState("n")
    for index, word in enumerate(words):
        if word is N.STARTED:
            state = hand_out(state, T0 + index)
        else:
            state = job(max_fetch_cycles=cap).apply(state, Report(word, f"text {index}", T0 + index))
    return state


def test_the_words_are_those_of_the_wire():
    assert [status.value for status in N] == [
        "triggered", "started", "in-progress", "delayed", "success", "rejected", "failed",
    ]  # fmt: skip
    assert [status.value for status in JobStatus] == ["triggered", "in_progress", "completed", "cancelled"]


# -------------------------------------------------------------------------------------------------------------- reports


@pytest.mark.parametrize("before", [N.TRIGGERED, N.STARTED, N.IN_PROGRESS, N.DELAYED, N.FAILED])
@pytest.mark.parametrize("word", REPORTABLE)
def test_an_open_node_takes_every_report(before, word):
    state = NodeState("n", status=before, failed_cycles=before is N.FAILED, failing=before is N.FAILED)
    new = job().apply(state, Report(word, "so it is", T0 + 9))
    assert (new.status, new.additional_info, new.timestamp) == (word, "so it is", T0 + 9)
    assert new.closed == (word in {N.SUCCESS, N.REJECTED})


@pytest.mark.parametrize(
    ("closed_by", "word", "result"),
    [
        *((N.SUCCESS, word, N.SUCCESS) for word in REPORTABLE),  # never taken back
        *((N.REJECTED, word, N.REJECTED) for word in REPORTABLE),
        (N.FAILED, N.IN_PROGRESS, N.FAILED),
        (N.FAILED, N.DELAYED, N.FAILED),
        (N.FAILED, N.FAILED, N.FAILED),
        (N.FAILED, N.SUCCESS, N.SUCCESS),  # the node's own last attempt
        (N.FAILED, N.REJECTED, N.REJECTED),
    ],
)
def test_what_a_late_report_changes(closed_by, word, result):
    state = NodeState("n", status=closed_by, additional_info="the result", closed=True, failed_cycles=3, failing=True)
    new = job().apply(state, Report(word, "late", T0 + 9))
    assert new.closed
    assert new.status is result
    kept_as_it_was = closed_by in FINAL or word in {N.IN_PROGRESS, N.DELAYED}
    assert (new == state) == kept_as_it_was


def test_a_word_that_is_no_status_changes_nothing():
    state = after(N.STARTED, N.IN_PROGRESS)
    assert job().apply(state, Report(None, "invalid", T0 + 9)) == state


@pytest.mark.parametrize(
    ("cap", "story", "closed", "cycles"),
    [
        (3, [N.STARTED, N.FAILED], False, 1),
        (3, [N.STARTED, N.FAILED, N.FAILED, N.FAILED], False, 1),  # three attempts of one hand-out are one cycle
        (3, [N.STARTED, N.FAILED, N.IN_PROGRESS, N.FAILED], False, 1),
        (3, [N.STARTED, N.FAILED, N.STARTED, N.FAILED], False, 2),
        (3, [N.STARTED, N.FAILED, N.STARTED, N.FAILED, N.STARTED, N.FAILED], True, 3),
        (3, [N.STARTED, N.STARTED, N.STARTED, N.STARTED], False, 0),  # power cuts and second messages burn no cycle
        (3, [N.STARTED, N.DELAYED, N.STARTED, N.DELAYED, N.STARTED, N.DELAYED, N.STARTED], False, 0),
        (3, [N.STARTED, N.FAILED, N.STARTED, N.FAILED, N.STARTED, N.SUCCESS], True, 2),
        (1, [N.STARTED, N.FAILED], True, 1),
        (2, [N.STARTED, N.FAILED, N.STARTED, N.FAILED], True, 2),
    ],
)
def test_failed_is_the_end_only_after_so_many_fetch_cycles(cap, story, closed, cycles):
    state = after(*story, cap=cap)
    assert (state.closed, state.failed_cycles) == (closed, cycles)


def test_failed_three_times_then_success_is_success():
    state = after(N.STARTED, N.FAILED, N.FAILED, N.FAILED, N.STARTED, N.IN_PROGRESS, N.SUCCESS)
    assert (state.status, state.closed) == (N.SUCCESS, True)


def test_a_cancelled_job_still_takes_reports():
    cancelled = job(cancelled_timestamp=T0 + 5)
    state = cancelled.apply(after(N.STARTED, N.IN_PROGRESS), Report(N.SUCCESS, "verified", T0 + 9))
    assert (state.status, state.additional_info, state.closed) == (N.SUCCESS, "verified", True)


# ------------------------------------------------------------------------------------------------------------- hand-out


def test_handing_out_says_so():
    state = hand_out(NodeState("n"), T0 + 1)
    assert (state.status, state.additional_info, state.timestamp) == (N.STARTED, URL_SENT, T0 + 1)
    assert not state.closed


@pytest.mark.parametrize(
    ("fields", "state", "now", "expected"),
    [
        ({}, NodeState("n"), T0, None),
        ({}, NodeState("n", status=N.FAILED, failed_cycles=2), T0, None),
        ({"cancelled_timestamp": T0}, NodeState("n"), T0, Hold.CANCELLED),
        ({"cancelled_timestamp": T0}, NodeState("n", closed=True), T0, Hold.CANCELLED),
        ({}, NodeState("n", status=N.SUCCESS, closed=True), T0, Hold.CLOSED),
        ({"timeout": 60}, NodeState("n"), T0 + 60_000, None),
        ({"timeout": 60}, NodeState("n"), T0 + 60_001, Hold.LAPSED),
        ({"metadata": {"validity": {"end": T0 // 1000 + 10}}}, NodeState("n"), T0 + 10_001, Hold.LAPSED),
        ({"metadata": {"validity": {"start": T0 // 1000 + 10}}}, NodeState("n"), T0, None),  # the node waits itself
        ({"user_approval": True}, NodeState("n"), T0, Hold.UNAPPROVED),
        ({"user_approval": True}, NodeState("n", approved=True), T0, None),
    ],
)
def test_why_a_job_is_held_back(fields, state, now, expected):
    assert job(**fields).hold(state, now) is expected


def test_the_timeout_defaults_to_fifteen_days():
    assert job().deadline == T0 + 15 * DAY


@pytest.mark.parametrize(
    ("jobs", "expected"),
    [
        ([], None),
        ([{"ota_job_id": "a", "priority": 5}, {"ota_job_id": "b", "priority": 1}], "b"),
        ([{"ota_job_id": "a", "priority": 1}, {"ota_job_id": "b", "priority": 5, "number": 9}], "a"),
        ([{"ota_job_id": "a", "number": 1}, {"ota_job_id": "b", "number": 2}], "b"),
        ([{"ota_job_id": "a", "number": 1, "triggered_timestamp": T0 + 9}, {"ota_job_id": "b", "number": 2}], "b"),
        ([{"ota_job_id": "a"}, {"ota_job_id": "b", "priority": 1, "cancelled_timestamp": T0}], "a"),
        ([{"ota_job_id": "a"}, {"ota_job_id": "b", "priority": 1, "user_approval": True}], "a"),
        ([{"ota_job_id": "a", "fw_version": "1.0"}], None),
        ([{"ota_job_id": "a", "fw_version": "1.0", "priority": 1}, {"ota_job_id": "b"}], "b"),
    ],
)
def test_which_job_a_node_gets(jobs, expected):
    choice = choose([(job(**fields), NodeState("n")) for fields in jobs], "1.0", T0)
    assert (choice.serve[0].ota_job_id if choice.serve else None) == expected
    assert [offer[0].ota_job_id for offer in choice.up_to_date] == [
        fields["ota_job_id"] for fields in jobs if fields.get("fw_version") == "1.0"
    ]


def test_a_closed_or_cancelled_job_is_not_called_up_to_date():
    offers = [
        (job(fw_version="1.0"), NodeState("n", status=N.REJECTED, closed=True)),
        (job(fw_version="1.0", cancelled_timestamp=T0), NodeState("n")),
    ]
    assert choose(offers, "1.0", T0).up_to_date == ()


def test_a_node_on_the_version_is_done():
    state = already_on_version(NodeState("n"), T0 + 3)
    assert (state.status, state.additional_info, state.closed) == (N.SUCCESS, ALREADY_ON_VERSION, True)


# ----------------------------------------------------------------------------------------------------------- time's end


@pytest.mark.parametrize(
    ("fields", "state", "text"),
    [
        ({"timeout": 60}, NodeState("n"), "No result within 60 s"),
        ({"timeout": 60}, after(N.STARTED, N.IN_PROGRESS), "No result within 60 s"),
        ({"metadata": {"validity": {"end": T0 // 1000 + 5}}}, after(N.STARTED), "No result before the validity ended"),
    ],
)
def test_a_node_whose_time_is_over_has_failed(fields, state, text):
    late = job(**fields).expire(state, T0 + 60_001)
    assert (late.status, late.additional_info, late.closed) == (N.FAILED, text, True)


@pytest.mark.parametrize(
    ("fields", "state", "now"),
    [
        ({"timeout": 60}, after(N.STARTED), T0 + 60_000),
        ({"timeout": 60}, after(N.STARTED, N.REJECTED), T0 + DAY),
        ({"timeout": 60, "cancelled_timestamp": T0}, after(N.STARTED), T0 + DAY),
    ],
)
def test_whom_the_timeout_leaves_alone(fields, state, now):
    assert job(**fields).expire(state, now) == state


def test_a_success_after_the_timeout_counts():
    timed_out = job(timeout=60).expire(after(N.STARTED), T0 + 60_001)
    assert job(timeout=60).apply(timed_out, Report(N.SUCCESS, "late", T0 + DAY)).status is N.SUCCESS


# --------------------------------------------------------------------------------------------------------------- counts


@pytest.mark.parametrize(
    ("counts", "closed", "fields", "expected"),
    [
        ({N.TRIGGERED: 2}, 0, {}, JobStatus.TRIGGERED),
        ({N.TRIGGERED: 1, N.STARTED: 1}, 0, {}, JobStatus.TRIGGERED),  # nobody has reported yet
        ({N.TRIGGERED: 1, N.IN_PROGRESS: 1}, 0, {}, JobStatus.IN_PROGRESS),
        ({N.TRIGGERED: 1, N.SUCCESS: 1}, 1, {}, JobStatus.IN_PROGRESS),
        ({N.FAILED: 1}, 0, {}, JobStatus.IN_PROGRESS),  # it may be served again
        ({N.FAILED: 1}, 1, {}, JobStatus.COMPLETED),
        ({N.SUCCESS: 1, N.REJECTED: 1, N.FAILED: 1}, 3, {}, JobStatus.COMPLETED),
        ({N.TRIGGERED: 2}, 0, {"cancelled_timestamp": T0}, JobStatus.CANCELLED),
        ({N.SUCCESS: 1}, 1, {"cancelled_timestamp": T0}, JobStatus.CANCELLED),
    ],
)
def test_where_a_job_stands(counts, closed, fields, expected):
    assert job_status(job(**fields), counts, closed) is expected


def test_the_summary_has_every_key_and_an_underscore():
    assert summary({N.IN_PROGRESS: 2, N.SUCCESS: 1}) == {
        "triggered": 0,
        "started": 0,
        "in_progress": 2,
        "rejected": 0,
        "delayed": 0,
        "success": 1,
        "failed": 0,
        "total": 3,
    }


moves = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([N.STARTED, *REPORTABLE, None]), st.booleans()), max_size=40
)


@given(moves, st.integers(1, 4))
def test_any_story_keeps_the_counts_consistent(story, cap):
    the_job = job(max_fetch_cycles=cap)
    states = [NodeState(f"n{index}") for index in range(4)]
    completed = False
    for step, (index, word, _) in enumerate(story):
        before = states[index]
        now = T0 + step
        if word is N.STARTED:
            offers = [(the_job, before)]
            states[index] = hand_out(before, now) if choose(offers, "1.0", now).serve else before
        else:
            states[index] = the_job.apply(before, Report(word, "", now))
        new = states[index]
        assert new.closed >= before.closed  # nothing opens again
        assert new.failed_cycles >= before.failed_cycles
        assert not (before.status in FINAL and new.status is not before.status)
        counts = Counter(state.status for state in states)
        numbers = summary(counts)
        assert numbers["total"] == 4 == sum(numbers[key] for key in SUMMARY_KEYS.values())
        status = job_status(the_job, counts, sum(state.closed for state in states))
        assert (status is JobStatus.COMPLETED) == all(state.closed for state in states)
        assert status is JobStatus.COMPLETED or not completed  # completed is for ever
        completed = status is JobStatus.COMPLETED


@given(moves)
def test_a_cancelled_job_is_never_handed_out(story):
    cancelled = job(cancelled_timestamp=T0)
    state = NodeState("n")
    for step, (_, word, approved) in enumerate(story):
        state = replace(cancelled.apply(state, Report(word, "", T0 + step)), approved=approved)
        assert choose([(cancelled, state)], "1.0", T0 + step) == choose([], "1.0", T0)


# ------------------------------------------------------------------------------------------------------------- metadata


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"anything": ["else", 1]},
        {"download_window": {"start": 1080, "end": 1155}},
        {"download_window": {"start": 1380, "end": 120}},  # over midnight
        {"validity": {"start": 1665081000}},
        {"validity": {"start": 1665081000, "end": 2**31 - 1}},
    ],
)
def test_metadata_that_nodes_understand(metadata):
    assert metadata_problem(metadata, T0) is None


@pytest.mark.parametrize(
    "metadata",
    [
        {"download_window": {"start": 1080}},  # every node would fail
        {"download_window": {"start": -1, "end": 3}},
        {"download_window": {"start": 0, "end": 1440}},
        {"download_window": {"start": "18:00", "end": "19:00"}},
        {"download_window": [1080, 1155]},
        {"validity": {"start": True}},
        {"validity": {"start": 20, "end": 10}},
        {"validity": {"end": T0 // 1000 - 1}},
        {"validity": {"start": 1665081000, "end": 2**31}},  # an int of the node's C has 32 bits
        {"validity": {"start": 2**31}},
        {"validity": "tomorrow"},
    ],
)
def test_metadata_that_no_node_could_keep(metadata):
    assert (metadata_problem(metadata, T0) or "").startswith("metadata.")
