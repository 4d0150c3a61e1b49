"""What the page says, as tables."""

from __future__ import annotations

import pytest

from py_esp_ota.cloud.history import HistoryLine
from py_esp_ota.cloud.job_rows import JobView
from py_esp_ota.cloud.jobs import JobStatus, NodeState, NodeStatus, OtaJob, summary
from py_esp_ota.cloud.nodes import Node
from py_esp_ota.cloud.progress import Progress
from py_esp_ota.cloud.standing import Standing
from py_esp_ota.cloud.web.show import bar_text, moment, own_clock, percent, remark, segments, size, tone

JOB = {
    "ota_job_id": "j",
    "ota_job_name": "job",
    "ota_image_id": "i",
    "fw_version": "1",
    "triggered_timestamp": 1,
}
NODE = {
    "node_id": "n",
    "name": "",
    "type": "",
    "model": "",
    "fw_version": "",
    "connectivity_timestamp": 1,
    "registration_timestamp": 1,
}


@pytest.mark.parametrize(
    ("job", "state", "online", "expected"),
    [
        ({}, {}, True, "It gets the URL when it next asks"),
        ({}, {}, False, "after its next boot"),
        ({}, {}, None, "after its next boot"),
        ({"user_approval": True}, {}, True, "approves"),
        ({"user_approval": True}, {"approved": True}, True, "when it next asks"),
        ({"cancelled_timestamp": 2}, {}, True, "It will not get the URL"),
        ({}, {"status": NodeStatus.STARTED}, True, "No report yet"),
        ({}, {"status": NodeStatus.FAILED, "failed_cycles": 1}, True, "2 of 3 hand-outs are left"),
        ({"cancelled_timestamp": 2}, {"status": NodeStatus.FAILED, "failed_cycles": 1}, True, ""),
        ({}, {"status": NodeStatus.FAILED, "failed_cycles": 3, "closed": True}, True, ""),
        ({}, {"status": NodeStatus.SUCCESS, "closed": True}, True, ""),
        ({}, {"status": NodeStatus.IN_PROGRESS}, True, ""),
    ],
)
def test_a_row_says_why_nothing_happens(job, state, online, expected):
    view = JobView(Standing(OtaJob(**JOB, progress=Progress(released=1), **job), ()), JobStatus.TRIGGERED, summary({}))
    node = None if online is None else Node(**NODE, connected=online)
    said = remark(view, NodeState("n", **state), node)
    assert expected in said
    assert bool(said) == bool(expected)


@pytest.mark.parametrize(
    ("status", "info", "expected"),
    [
        (NodeStatus.IN_PROGRESS, "Downloaded 40% Firmware Image", 40),
        (NodeStatus.IN_PROGRESS, "Downloaded 100% Firmware Image", 100),
        (NodeStatus.IN_PROGRESS, "Downloaded 999% Firmware Image", 100),
        (NodeStatus.IN_PROGRESS, "Downloading Firmware Image", None),
        (NodeStatus.IN_PROGRESS, "40%", None),
        (NodeStatus.SUCCESS, "Downloaded 40% Firmware Image", None),
    ],
)
def test_the_download_bar_follows_the_node_s_words(status, info, expected):
    assert percent(NodeState("n", status, info)) == expected


def test_the_bar_is_full_and_names_what_it_shows():
    counts = summary({NodeStatus.SUCCESS: 1, NodeStatus.FAILED: 2})
    parts = {segment.label: segment for segment in segments(counts)}
    assert parts["success"].width + parts["failed"].width == pytest.approx(100, abs=0.01)
    assert parts["failed"].start == pytest.approx(parts["success"].width)
    assert len(parts) == len(NodeStatus)
    assert bar_text(counts) == "3 nodes: 1 success, 2 failed"


def test_a_word_a_node_made_up_has_no_class_of_its_own():
    assert tone('x" onload="alert(1)') == "unknown"
    assert {tone(status.value) for status in NodeStatus}.isdisjoint({"unknown"})
    assert {tone(status.value) for status in JobStatus}.isdisjoint({"unknown"})


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (999, "999 B"), (16384, "16.4 kB"), (1_048_576, "1.05 MB")])
def test_sizes_read_well(count, text):
    assert size(count) == text


@pytest.mark.parametrize("milliseconds", [2**53 * 1000, -(2**60)])
def test_a_time_beyond_every_calendar_is_shown_as_a_number(milliseconds):
    assert moment(milliseconds) == str(milliseconds)


@pytest.mark.parametrize(
    ("ts", "expected"),
    [
        (None, None),
        (1_767_225_600, None),
        (1_767_225_641, None),
        (1_767_225_661, 1_767_225_661_000),
        (12, 12_000),
        (0, 0),
    ],
)
def test_a_node_s_own_clock_is_only_mentioned_when_it_is_off(ts, expected):
    said = HistoryLine(
        node_id="n", by_node=True, status="failed", additional_info="", timestamp=1_767_225_600_500, ts=ts
    )
    assert own_clock(said) == expected


def test_a_time_is_exact_for_machines_and_absent_ones_are_a_dash():
    assert 'datetime="2026-01-01T00:00:00.000+00:00"' in moment(1_767_225_600_000)
    assert "ndash" in moment(None)
