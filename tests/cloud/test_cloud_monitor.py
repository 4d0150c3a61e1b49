"""What a monitor asks of a job: nodes worst first, sieves, reasons, versions, the estimated end."""

from __future__ import annotations

import pytest
from test_cloud_campaigns import campaign, later, reject, succeed

from py_esp_ota.cloud.estimate import Pace, estimate
from py_esp_ota.cloud.monitor import Sieve
from py_esp_ota.cloud.plan import Gate, Plan


def names(bench, job, **sieve):
    view = bench.service.jobs.get(job)
    return [state.node_id for state in bench.service.monitor.nodes(view.job, Sieve(**sieve)).items]


def settled(bench):
    """Phases of 6 and 4: one of each fate."""
    job = campaign(bench, plan=Plan(phases=("6", "rest"), answer_within=60))
    bench.fetch("n05")
    later(bench, 61)
    reject(bench, job, "n01")
    bench.clock.time += 1
    reject(bench, job, "n00", info="Chip revision mismatch")
    succeed(bench, job, "n02")
    bench.fetch("n03")
    bench.report("n03", job, "in-progress", "Downloading Firmware Image")
    bench.report("n04", job, "delayed", "Not within download window.")
    return job


def test_the_worst_come_first_and_the_newest_trouble_before_the_older(bench):
    job = settled(bench)
    assert names(bench, job) == ["n00", "n01", "n05", "n04", "n03", "n06", "n07", "n08", "n09", "n02"]
    assert names(bench, job) == names(bench, job)


SIEVES = [
    ({"status": "missed"}, ["n00", "n01"]),
    ({"status": "silent"}, ["n05"]),
    ({"status": "success"}, ["n02"]),
    ({"reason": "rolled_back"}, ["n01"]),
    ({"phase": 2}, ["n06", "n07", "n08", "n09"]),
    ({"phase": 9}, ["n00", "n01", "n05", "n04", "n03", "n06", "n07", "n08", "n09", "n02"]),
    ({"text": "N03"}, ["n03"]),
    ({"text": "%"}, []),
    ({"text": "lamp", "status": "missed"}, ["n00", "n01"]),
]


@pytest.mark.parametrize(("sieve", "expected"), SIEVES)
def test_a_sieve_holds_back_all_others(bench, sieve, expected):
    assert names(bench, settled(bench), **sieve) == expected


def test_reasons_are_counted_and_versions_too(bench):
    job = settled(bench)
    bench.join("n02", fw_version="1.1.0")
    found = bench.service.jobs.get(job).job
    troubles = [(each.reason.value, each.missed, each.trying) for each in bench.service.monitor.troubles(found)]
    assert troubles == [("rolled_back", 1, 0), ("wrong_chip", 1, 0)]
    versions = [(each.fw_version, each.count, each.online) for each in bench.service.monitor.versions(found)]
    assert versions == [("1.0.0", 9, 9), ("1.1.0", 1, 1)]


def test_the_end_is_estimated_by_the_pace_of_those_that_have_ended(bench):
    job = campaign(bench)
    standing = lambda: bench.service.jobs.get(job).standing  # noqa: E731
    assert estimate(standing(), Pace(), 1000).why == "fewer than 5 nodes have ended"
    succeed(bench, job, "n00", "n01", "n02", "n03", "n04")
    now = bench.service.ground.now_ms()
    assert estimate(standing(), Pace(5, now - 8000), now).at == now + 10_000
    assert "time is over before" in estimate(standing(), Pace(5, 1), now).why
    bench.service.campaigns.pause(job)
    assert estimate(standing(), Pace(5, now - 8000), now).why == "it is paused"


def test_a_gate_that_a_person_opens_has_no_estimate(bench):
    job = campaign(bench, plan=Plan(phases=("6", "rest"), gate=Gate(confirm=True)))
    standing = bench.service.jobs.get(job).standing
    assert estimate(standing, Pace(5, 1), 9).why == "a person opens the gates"
