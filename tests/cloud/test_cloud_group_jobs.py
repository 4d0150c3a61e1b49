"""Jobs for groups: who their targets are, who joins later, and what a group that changes meanwhile does to them."""

from __future__ import annotations

import pytest
from cloud_bench import Bench, expect, failure, refused
from test_cloud_events import restart
from test_cloud_groups import ADMINS, ANN, EVERYBODY, admin, made, one

from py_esp_ota.cloud.event_log import Wanted
from py_esp_ota.cloud.events import Kind
from py_esp_ota.cloud.group_rules import NodeQuery
from py_esp_ota.cloud.plan import Amount, Gate, Plan
from py_esp_ota.cloud.rebuild import rebuild
from py_esp_ota.cloud.refusals import Refusal
from py_esp_ota.cloud.sentences import sentence

MANY = [f"n{number:03}" for number in range(130)]


def targets(bench: Bench, job: str) -> list[str]:
    return sorted(state.node_id for state in bench.service.jobs.node_status(job, num_records=1000).items)


def put(bench: Bench, group: str, *nodes: str, operation: str = "add") -> None:
    bench.ok("PUT", f"{ADMINS}?group_id={group}", json={"nodes": list(nodes), "operation": operation})


def pushed(bench: Bench) -> list[str]:
    return [to.split("/")[1] for to, _ in bench.sent() if to.endswith("/otaurl")]


def test_a_job_for_ten_groups_has_more_than_a_hundred_nodes(bench):
    bench.join(*MANY)
    groups = [made(bench, str(number), nodes=MANY[number * 13 : number * 13 + 13]) for number in range(10)]
    job = bench.job("n000", groups=groups)
    assert targets(bench, job) == MANY
    status = bench.ok("GET", "/v1/admin/otajob/status", params={"ota_job_id": job})
    assert status["total"] == 130
    named = [{"group_id": group, "group_name": str(number)} for number, group in enumerate(groups)]
    assert status["node_groups"] == named
    eleven = [*groups, made(bench, "x", nodes=["n001"])]
    with refused(Refusal.JOB_TARGETS):
        bench.job(groups=eleven, name="eleven")


@pytest.mark.both_databases
def test_a_job_for_a_group_is_for_the_sub_groups_too_and_of_an_admin_for_his_nodes(bench):
    bench.join("n1", "n2", "n3")
    house = made(bench, "house", nodes=["n1"])
    made(bench, "room", parent_group_id=house, nodes=["n2", "n3"])
    lamps = made(bench, "lamps", node_model="lamp")
    token = admin(bench, "n2", "n3")
    assert targets(bench, bench.job(groups=[house])) == ["n1", "n2", "n3"]
    user_id = bench.ok("GET", "/v1/user", token=token)["user_id"]
    for number, group in enumerate((house, lamps)):
        job = bench.job(groups=[group], admin_id=user_id, name=f"{ANN} {number}")
        assert targets(bench, job) == ["n2", "n3"]


def test_an_empty_group_starts_nothing_unless_nodes_may_join_it(bench):
    bench.join("n1")
    group = made(bench, "empty")
    with refused(Refusal.JOB_TARGETS):
        bench.job(groups=[group], name="one")
    with refused(Refusal.GROUP_UNKNOWN):
        bench.job(groups=["nowhere"], name="two")
    job = bench.job(groups=[group], continuous=True, name="three")
    assert bench.fetch("n1") == []
    put(bench, group, "n1")
    (url,) = bench.fetch("n1")
    assert url["ota_job_id"] == job


def test_a_group_that_changes_in_mid_phase_changes_nothing_for_a_job_that_has_begun(bench):
    bench.join("n1", "n2", "n3", "n4")
    canary, rest = made(bench, "canary", nodes=["n3", "n4"]), made(bench, "lamps", node_model="lamp")
    plan = Plan(phases=(f"group:{canary}", "rest"), gate=Gate(success=Amount(percent=100.0)))
    job = bench.job(groups=[rest, canary], plan=plan)
    assert bench.service.jobs.get(job).job.sizes == (2, 2)
    put(bench, canary, "n3", "n4", operation="remove")  # emptied
    bench.join("n4", model="fan", project_name="fan")  # and changed, so that the query does not find it either
    bench.ok("DELETE", f"{ADMINS}?group_id={canary}")
    assert bench.fetch("n1") == []
    for node in ("n3", "n4"):
        assert bench.fetch(node), node
        bench.report(node, job, "success")
    assert bench.fetch("n1")
    assert targets(bench, job) == ["n1", "n2", "n3", "n4"]
    status = bench.ok("GET", "/v1/admin/otajob/status", params={"ota_job_id": job})
    assert status["node_groups"] == [
        {"group_id": rest, "group_name": "lamps"},
        {"group_id": canary, "group_name": ""},
    ]


def test_who_is_put_into_a_group_joins_its_continuous_job_at_once(bench):
    bench.join("n1", "n2", "n3")
    group = made(bench, "desk", nodes=["n1"])
    job = bench.job(groups=[group], continuous=True, force_push=True)
    assert pushed(bench) == ["n1"]
    put(bench, group, "n2")
    bench.service.intake.take([])
    assert (targets(bench, job), pushed(bench)) == (["n1", "n2"], ["n2"])
    put(bench, group, "n2", operation="remove")  # a target all the same
    bench.service.intake.take([])
    assert targets(bench, job) == ["n1", "n2"]
    assert bench.fetch("n3") == []


@pytest.mark.both_databases
def test_a_query_takes_who_agrees_with_it_when_it_asks_and_at_a_regroup(bench):
    bench.join("n1", "n2", "n3", fw_version="0.9")
    group = made(bench, "old lamps", node_model="lamp", node_fw_version="0.9")
    job = bench.job(groups=[group], continuous=True, force_push=True)
    bench.join("n4", fw_version="0.8")
    assert bench.fetch("n4", "0.8") == []
    assert bench.fetch("n4", "0.9")  # what it has just said counts
    bench.join("n5", fw_version="0.9")
    assert "n5" not in targets(bench, job)
    bench.ok("PUT", f"{ADMINS}?group_id={group}", json={"regroup": True})
    bench.service.intake.take([])
    assert targets(bench, job) == ["n1", "n2", "n3", "n4", "n5"]
    bench.join("n6", fw_version="0.9", type="Switch", model="fan", project_name="fan")
    assert bench.fetch("n6", "0.9") == []


@pytest.mark.parametrize("presence", ["online", "offline"])
def test_presence_decides_in_the_turn_in_which_it_changes(bench, presence):
    bench.join("n1", "n2", online=False)
    group = made(bench, "there", node_presence=presence)
    job = bench.job(groups=[group], continuous=True, force_push=True)
    assert targets(bench, job) == ([] if presence == "online" else ["n1", "n2"])
    bench.service.intake.on_presence("n1", True)
    (url,) = bench.fetch("n1") or [{"ota_job_id": ""}]
    assert url["ota_job_id"] == job
    assert targets(bench, job) == (["n1"] if presence == "online" else ["n1", "n2"])


def test_a_group_from_which_nodes_still_join_a_job_stays_until_that_is_over(bench):
    bench.join("n1")
    house = made(bench, "house")
    room = made(bench, "room", parent_group_id=house, nodes=["n1"])
    job = bench.job(groups=[room], continuous=True)
    for group in (room, house):
        refusal = failure(bench.call("DELETE", ADMINS, params={"group_id": group}))
        assert refusal == expect(Refusal.GROUP_REFUSED)
    assert one(bench, room)["nodes"] == ["n1"]
    bench.service.jobs.cancel(job)
    bench.ok("DELETE", f"{ADMINS}?group_id={house}")
    assert [view.job.ota_job_id for view in bench.service.groups.jobs(room)] == [job]


def test_a_continuous_job_goes_on_with_its_groups_after_a_restart(bench):
    bench.join("n1", "n2")
    group = bench.service.groups.create(EVERYBODY, "lamps", query=NodeQuery(node_tag="a:b")).group_id
    bench.job(groups=[group], continuous=True)
    restart(bench)
    bench.presence("n2", True)
    assert bench.fetch("n2") == []
    bench.service.nodes.add_tags("n2", ["a:b"])
    assert bench.fetch("n2")


@pytest.mark.both_databases
def test_a_node_of_another_chip_does_not_join_and_the_log_says_why_once(bench):
    bench.join("n1", "n2")
    group = made(bench, "desk", nodes=["n1"])
    job = bench.job(groups=[group], continuous=True, force_push=True)
    bench.join("n3", platform="esp32s3")
    put(bench, group, "n2", "n3")
    for _ in range(2):
        bench.service.intake.take([])
        assert bench.fetch("n3") == []
    assert targets(bench, job) == ["n1", "n2"]
    entries, _ = bench.service.log.newest(Wanted(kind=Kind.JOIN_REFUSED))
    (event,) = [entry.event for entry in entries]
    assert (event.ota_job_id, event.node_id) == (job, "n3")
    assert event.data["why"] == "the image is for esp32c3, the node is esp32s3"
    assert sentence(event) == "Node n3 did not join the job: the image is for esp32c3, the node is esp32s3"
    rebuild(bench.store)  # it is in nobody's way when rows are told again
    bench.join("n3", platform="esp32c3")  # another board under the same name
    assert bench.fetch("n3") != []
    assert targets(bench, job) == ["n1", "n2", "n3"]


def test_whoever_lets_any_chip_in_lets_in_those_that_join_later(bench):
    bench.join("n1")
    group = made(bench, "desk", nodes=["n1"])
    job = bench.job(groups=[group], continuous=True, allow_wrong_chip=True)
    bench.join("n2", platform="esp32s3")
    put(bench, group, "n2")
    bench.service.intake.take([])
    assert targets(bench, job) == ["n1", "n2"]
