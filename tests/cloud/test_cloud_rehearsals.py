"""Writing what a rehearsal plays, and the calls for it."""

from __future__ import annotations

import time

import pytest
from cloud_bench import expect, failure, refused, user_token
from few_rehearsals import FORECAST, FewRehearsals
from sqlalchemy import insert

from py_esp_ota.cloud.boards import BoardFacts
from py_esp_ota.cloud.event_log import Wanted
from py_esp_ota.cloud.jobs import ALL_NODES
from py_esp_ota.cloud.models import BoardRow, NodeRow
from py_esp_ota.cloud.plan import Plan
from py_esp_ota.cloud.refusals import Refusal

PLAN = Plan.from_json({"phases": ["1", "rest"], "gate": {"success": "1"}})
BOARD = BoardFacts(chip="esp32c3", partitions="two_ota", rollback=True)
PATH = "/v1/local/rehearsal"


@pytest.fixture
def few(bench) -> FewRehearsals:
    bench.app.state.rehearsals = door = FewRehearsals()
    return door


@pytest.mark.both_databases
def test_a_planned_job_is_written_with_all_that_is_known(bench):
    old, new = bench.image("1.0.0"), bench.image("1.1.0")
    bench.join("a", "b")
    bench.join("c", online=False, fw_version="0.9.0")
    bench.service.boards.note("b", BOARD)
    words = {"nodes": ["c", "a", "b"], "plan": PLAN, "priority": 2, "force_push": True, "metadata": {"k": 1}}
    written = bench.service.rehearsing.of_draft("lamps", new.ota_image_id, **words)
    assert [copy.node_id for copy in written.nodes] == ["c", "a", "b"]
    assert [copy.online for copy in written.nodes] == [False, True, True]
    assert [copy.version for copy in written.nodes] == ["0.9.0", "1.0.0", "1.0.0"]
    assert {copy.chip for copy in written.nodes} == {"esp32c3"}
    assert [copy.board for copy in written.nodes] == [BoardFacts(), BoardFacts(), BOARD]
    assert [copy.image for copy in written.nodes] == ["", old.file_sha256, old.file_sha256]
    assert set(written.images) == {old.file_sha256, new.file_sha256}
    assert (written.job.sizes, written.job.plan.phases) == ((1, 2), ("1", "2"))
    assert (written.job.priority, written.job.force_push, written.job.metadata) == (2, True, {"k": 1})
    assert written.now == bench.service.ground.now_ms()


def test_nothing_of_the_cloud_changes_when_a_rehearsal_is_written(bench):
    bench.join("a", "b")
    job = bench.job("a", "b")
    image = bench.image("2.0.0").ota_image_id
    before = [*bench.service.log.all(Wanted())]
    bench.sent()
    bench.service.rehearsing.of_job(job)
    bench.service.rehearsing.of_draft("x", image, nodes=["a"])
    assert bench.sent() == []
    assert len(bench.service.jobs.find().items) == 1
    assert [*bench.service.log.all(Wanted())] == before


def test_of_a_job_those_that_have_the_update_are_left_out(bench):
    bench.join("a", "b", "c", "d")
    job = bench.job("a", "b", "c", "d", plan=Plan.from_json({"phases": ["1", "rest"]}), force_push=True)
    bench.report("a", job, "success")
    written = bench.service.rehearsing.of_job(job)
    assert [copy.node_id for copy in written.nodes] == ["b", "c", "d"]
    assert (written.left_out, written.job.sizes, written.job.plan.phases) == (1, (3,), ())
    for node in "bcd":
        bench.report(node, job, "success")
    with refused(Refusal.REHEARSAL_REFUSED):
        bench.service.rehearsing.of_job(job)


def test_a_group_is_its_nodes_and_what_is_not_played_is_said(bench):
    bench.join("a", "b")
    words = {"groups": [ALL_NODES], "continuous": True, "user_approval": True, "network_serialised": True}
    written = bench.service.rehearsing.of_draft("x", bench.image().ota_image_id, **words)
    assert sorted(copy.node_id for copy in written.nodes) == ["a", "b"]
    assert len(written.simplified) == 4


def test_a_job_that_cannot_be_played_is_refused(bench):
    image = bench.image().ota_image_id
    with refused(Refusal.REHEARSAL_REFUSED):
        bench.service.rehearsing.of_draft("x", image, groups=[ALL_NODES], continuous=True)
    with refused(Refusal.JOB_UNKNOWN):
        bench.service.rehearsing.of_job("no such job")
    with refused(Refusal.NODE_NOT_OF_USER):
        bench.service.rehearsing.of_draft("x", image, nodes=["nobody"])


def test_ten_thousand_nodes_are_written_at_once(bench, monkeypatch):
    with bench.store.begin() as tx:
        ids = [f"node-{number:05}" for number in range(10_001)]
        row = {"project_name": "lamp", "platform": "esp32c3", "fw_version": "1.0.0", "connectivity_timestamp": 1}
        row["registration_timestamp"] = 1
        tx.execute(insert(NodeRow), [{"node_id": node_id, **row} for node_id in ids])
        tx.execute(
            insert(BoardRow), [{"node_id": each, "facts": BOARD.to_json(), "noted_timestamp": 0} for each in ids]
        )
    image = bench.image().ota_image_id
    with refused(Refusal.REHEARSAL_REFUSED):
        bench.service.rehearsing.of_draft("x", image, groups=[ALL_NODES])
    monkeypatch.setattr("py_esp_ota.cloud.rehearsing.MOST", 20_000)
    began = time.process_time()
    document = bench.service.rehearsing.of_draft("x", image, groups=[ALL_NODES]).to_json()
    assert time.process_time() - began < 2
    assert (len(document["nodes"]), len(document["boards"])) == (10_001, 1)


# ----------------------------------------------------------------------------------------------------------------- api


def test_the_calls_of_a_rehearsal(bench, few):
    bench.join("a", "b")
    job = bench.job("a", "b")
    asked = {"ota_job_id": job, "weather": "bad-image", "seed": 7}
    name = bench.ok("POST", PATH, json=asked)["rehearsal_id"]
    assert (few.views[name].ota_job_id, few.views[name].weather, few.views[name].seed) == (job, "bad-image", 7)
    few.finish(name)
    shown = bench.ok("GET", f"{PATH}/{name}")
    assert (shown["stage"], shown["forecast"]) == ("done", FORECAST)
    listed = bench.ok("GET", PATH)
    assert [each["rehearsal_id"] for each in listed["rehearsals"]] == [name]
    assert [each["name"] for each in listed["weathers"]] == ["fine", "bad-image"]
    played = bench.ok("GET", f"{PATH}/{name}/document")
    assert [node["node_id"] for node in played["nodes"]] == ["a", "b"]
    assert bench.ok("POST", f"{PATH}/document", json={"ota_job_id": job}) == played
    assert bench.ok("DELETE", f"{PATH}?rehearsal_id={name}")["status"] == "success"
    assert bench.ok("GET", f"{PATH}/{name}")["stage"] == "cancelled"


def test_a_job_that_is_only_planned_is_rehearsed_in_the_words_of_a_job(bench, few):
    bench.join("a")
    body = {"ota_job_name": "later", "ota_image_id": bench.image().ota_image_id, "nodes": ["a"]}
    name = bench.ok("POST", f"{PATH}?force_push=true", json={"job": body})["rehearsal_id"]
    assert (few.kept[name].job.force_push, few.views[name].ota_job_id) == (True, "")
    assert bench.service.jobs.find().items == []
    assert failure(bench.call("POST", PATH, json={})) == expect(Refusal.INVALID_REQUEST)
    both = {"job": body, "ota_job_id": "x"}
    assert failure(bench.call("POST", PATH, json=both)) == expect(Refusal.INVALID_REQUEST)
    wrong = {"job": {**body, "plan": {"phases": ["7"]}}}
    assert failure(bench.call("POST", PATH, json=wrong)) == expect(Refusal.JOB_PLAN)


def test_a_cloud_without_the_engine_says_so_and_still_writes_documents(bench):
    bench.join("a")
    job = bench.job("a")
    assert failure(bench.call("POST", PATH, json={"ota_job_id": job})) == expect(Refusal.NO_REHEARSAL)
    assert failure(bench.call("GET", PATH)) == expect(Refusal.NO_REHEARSAL)
    assert bench.ok("POST", f"{PATH}/document", json={"ota_job_id": job})["rehearsal"] == 1


def test_a_rehearsal_that_nobody_remembers(bench, few):
    for method, path in (("GET", "/9"), ("GET", "/9/document"), ("DELETE", "?rehearsal_id=9")):
        assert failure(bench.call(method, PATH + path)) == expect(Refusal.REHEARSAL_UNKNOWN)


def test_a_user_rehearses_nothing(bench, few):
    token = user_token(bench)
    assert failure(bench.call("POST", PATH, json={"ota_job_id": "x"}, token=token)) == expect(Refusal.NOT_AN_ADMIN)
