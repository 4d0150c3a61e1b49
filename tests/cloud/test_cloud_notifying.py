"""Whom a job tells that an update waits: the users of each node, when its turn has come."""

from __future__ import annotations

from cloud_bench import Bench, user_token

from py_esp_ota.cloud.event_log import Wanted
from py_esp_ota.cloud.events import Kind
from py_esp_ota.cloud.plan import Amount, Gate, Plan

PHASES = Plan(phases=("1", "rest"), gate=Gate(success=Amount(percent=100.0)))


def told(bench: Bench, job: str) -> list[tuple[str, list[str]]]:
    pieces = bench.service.log.all(Wanted(ota_job_id=job))
    events = [entry.event for piece in pieces for entry in piece]
    return [(each.node_id, each.data["users"]) for each in events if each.kind is Kind.USERS_NOTIFIED]


def owned(bench: Bench, *node_ids: str) -> None:
    bench.join(*node_ids)
    token = user_token(bench)
    user_id = bench.ok("GET", "/v1/user2", token=token)["user_id"]
    for node_id in node_ids:
        bench.map(node_id, user_id)


def test_users_are_told_when_the_turn_of_their_node_has_come(bench):
    owned(bench, "a", "b")
    bench.join("nobodys")
    job = bench.job("a", "b", "nobodys", notify=True, user_approval=True, plan=PHASES)
    assert told(bench, job) == [("a", ["ann@example.com"])]
    bench.service.jobs.approve_update("a", job)
    bench.report("a", job, "success")
    assert told(bench, job) == [("a", ["ann@example.com"]), ("b", ["ann@example.com"])]


def test_nobody_is_told_of_what_does_not_wait_for_him(bench):
    owned(bench, "a")
    assert told(bench, bench.job("a", notify=True, name="one")) == []
    assert told(bench, bench.job("a", user_approval=True, name="two")) == []
    done = bench.image("1.0.0", name="runs already")
    assert told(bench, bench.job("a", notify=True, user_approval=True, image=done)) == []
