"""The node registry: how nodes appear, what is kept of their words, whose they are."""

from __future__ import annotations

import json

import pytest
from cloud_bench import NOW, refused

from py_esp_ota.cloud.refusals import Refusal
from py_esp_ota.cloud.roles import LOCAL_ADMIN
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.rainmaker.messages import NodeConfig, encode_params

pytestmark = pytest.mark.both_databases


def test_a_node_appears_when_it_connects(bench):
    bench.presence("n1", True)
    node = bench.service.nodes.get("n1")
    assert (node.connected, node.connectivity_timestamp, node.registration_timestamp) == (True, NOW * 1000, NOW)
    assert (node.name, node.fw_version) == ("", "")
    assert [node.node_id for node in bench.service.nodes.find(user_id=LOCAL_ADMIN).items] == ["n1"]


def test_a_node_appears_when_its_config_comes(bench):
    bench.join("n1", online=False, fw_version="1.2", name="Desk")
    node = bench.service.nodes.get("n1")
    assert (node.name, node.type, node.model, node.fw_version, node.connected) == (
        "Desk", "Lightbulb", "lamp", "1.2", False,
    )  # fmt: skip


def test_a_node_appears_when_it_asks_for_an_update(bench):
    assert bench.fetch("n1", "0.9") == []
    assert bench.service.nodes.get("n1").fw_version == "0.9"


def test_presence_has_a_time(bench):
    bench.join("n1")
    bench.clock.time += 60
    bench.presence("n1", False)
    node = bench.service.nodes.get("n1")
    assert (node.connected, node.connectivity_timestamp) == (False, (NOW + 60) * 1000)
    assert not bench.service.nodes.is_online("n1")
    assert not bench.service.nodes.is_online("stranger")


@pytest.mark.parametrize("client_id", ["cloud", "", "a/b", "+", "#", "../etc", "x" * 65, "\u00fc", "n\n"])
def test_clients_that_are_no_nodes_leave_no_trace(bench, client_id):
    bench.presence(client_id, True)
    assert bench.service.nodes.find().total == 0


def test_after_a_restart_nobody_is_connected(bench):
    bench.join("n1")
    again = CloudService(bench.store, clock=bench.clock, public_url="http://x", token_hex=lambda size: "00" * size)
    assert not again.nodes.is_online("n1")
    assert not again.nodes.get("n1").connected


def test_the_config_is_kept_as_the_node_wrote_it(bench):
    document = {
        "node_id": "somebody else",
        "config_version": "2020-03-20",
        "info": {"name": "Lamp", "fw_version": "1", "type": "t", "model": "m", "readme": "r", "platform": "esp32"},
        "devices": [{"name": "Light", "params": []}],
        "extra": [1, 2.5, None],
    }
    bench.hear("n1", "config", document)
    assert bench.service.nodes.detail("n1").config == document
    assert bench.service.nodes.find().total == 1  # the topic tells who it is, not the payload


def test_params_are_merged(bench):
    bench.hear("n1", "params/local/init", {"Light": {"Power": True, "Level": 20}, "OTA": {"Status": "", "Info": ""}})
    bench.hear("n1", "params/local", encode_params({"OTA": {"Info": "Downloading"}}))
    bench.hear("n1", "params/local", encode_params({"OTA": {"Status": "in-progress"}}))
    assert bench.service.nodes.detail("n1").params == {
        "Light": {"Power": True, "Level": 20},
        "OTA": {"Status": "in-progress", "Info": "Downloading"},
    }


def test_params_do_not_grow_for_ever(bench, caplog):
    for index in range(20):
        bench.hear("n1", "params/local", {f"device {index}": {"text": "x" * 10_000}})
    assert len(json.dumps(bench.service.nodes.detail("n1").params)) < 140_000
    assert "more than" in caplog.text


# ----------------------------------------------------------------------------------------------------------- set params


def test_parameters_are_sent_to_a_node_that_is_there(bench):
    bench.join("n1")
    bench.service.nodes.set_params("n1", {"Light": {"Power": False, "Name": "\u00fc"}})
    ((topic, payload),) = bench.sent()
    assert (topic, json.loads(payload)) == ("node/n1/params/remote", {"Light": {"Power": False, "Name": "\u00fc"}})


def test_parameters_that_cannot_be_sent(bench):
    bench.join("n1", online=False)
    with refused(Refusal.NODE_OFFLINE):
        bench.service.nodes.set_params("n1", {})
    with refused(Refusal.NODE_NOT_OF_USER):
        bench.service.nodes.set_params("stranger", {})
    bench.presence("n1", True)
    for value in (float("inf"), "\ud800"):
        with refused(Refusal.PARAMS_NOT_SENT):
            bench.service.nodes.set_params("n1", {"Light": {"Power": value}})
    bench.service.outbox.close()
    with refused(Refusal.PARAMS_NOT_SENT):
        bench.service.nodes.set_params("n1", {"Light": {"Power": True}})


# ------------------------------------------------------------------------------------------------ tags, metadata, users


def test_tags_and_metadata(bench):
    bench.join("n1", "n2")
    bench.service.nodes.add_tags("n1", ["room:kitchen", "floor:1", "room:kitchen"])
    bench.service.nodes.add_tags("n1", ["room:kitchen"])
    bench.service.nodes.remove_tags("n1", ["floor:1", "never:there"])
    bench.service.nodes.set_metadata("n1", {"a": 1, "b": 2})
    bench.service.nodes.set_metadata("n1", {"a": None, "c": {"deep": True}})
    detail = bench.service.nodes.detail("n1")
    assert (detail.tags, detail.metadata) == (["room:kitchen"], {"b": 2, "c": {"deep": True}})
    assert [node.node_id for node in bench.service.nodes.find(tags=["room:kitchen"]).items] == ["n1"]
    assert bench.service.nodes.find(tags=["room:kitchen", "floor:1"]).total == 0
    bench.service.nodes.set_metadata("n1", None)
    assert bench.service.nodes.detail("n1").metadata == {}


@pytest.mark.parametrize("tag", ["", "novalue", ":", "key:", ":value", "a:b\n", "k:" + "v" * 128])
def test_a_tag_is_key_and_value(bench, tag):
    bench.join("n1")
    with refused(Refusal.INVALID_REQUEST):
        bench.service.nodes.add_tags("n1", [tag])


def test_metadata_that_is_no_json(bench):
    bench.join("n1")
    with refused(Refusal.INVALID_REQUEST):
        bench.service.nodes.set_metadata("n1", {"a": float("nan")})
    with refused(Refusal.NODE_NOT_OF_USER):
        bench.service.nodes.set_metadata("stranger", {})


def test_nodes_by_kind_in_pages(bench):
    bench.join("n1", "n2", "n3", type="Lightbulb", model="lamp")
    bench.join("n4", type="Switch", model="plug", fw_version="2")
    bench.presence("n2", False)
    ids = lambda **wanted: [node.node_id for node in bench.service.nodes.find(**wanted).items]  # noqa: E731
    assert ids(type="Lightbulb") == ["n1", "n2", "n3"]
    assert ids(type="Switch", model="plug", fw_version="2") == ["n4"]
    assert ids(connected=False) == ["n2"]
    page = bench.service.nodes.find(num_records=2)
    assert ([node.node_id for node in page.items], page.total, page.next_id) == (["n1", "n2"], 4, "n3")
    assert ids(start_id="n3", num_records=2) == ["n3", "n4"]


# ---------------------------------------------------------------------------------------------------------- forgetting


def test_a_forgotten_node_is_gone_with_its_tags_users_and_mappings(bench):
    bench.join("n1", "n2")
    bench.service.nodes.add_tags("n1", ["room:hall"])
    bench.service.nodes.forget(["n1"])
    assert [node.node_id for node in bench.service.nodes.find().items] == ["n2"]
    assert [node.node_id for node in bench.service.nodes.find(user_id=LOCAL_ADMIN).items] == ["n2"]
    assert bench.service.nodes.find(tags=["room:hall"]).total == 0
    assert not bench.service.nodes.is_online("n1")
    with refused(Refusal.NODE_NOT_OF_USER):
        bench.service.nodes.get("n1")


def test_forgetting_who_was_never_heard_of_leaves_no_event(bench):
    bench.service.nodes.forget(["nobody"])
    assert list(bench.service.log.all()) == []


def test_open_jobs_of_a_forgotten_node_end_there_as_failed(bench):
    bench.join("n1", "n2")
    job = bench.job("n1", "n2")
    bench.fetch("n1")
    bench.service.nodes.forget(["n1"])
    state = bench.service.jobs.state(job, "n1")
    assert (state.status, state.additional_info, state.closed) == ("failed", "The node was removed", True)
    assert bench.service.jobs.history(job, "n1")[-1].additional_info == "The node was removed"
    bench.report("n2", job, "success")
    assert bench.service.jobs.get(job).status == "completed"


def test_a_result_outlives_its_node(bench):
    bench.join("n1")
    job = bench.job("n1")
    bench.report("n1", job, "success")
    bench.service.nodes.forget(["n1"])
    assert bench.service.jobs.state(job, "n1").status == "success"


def test_the_last_words_of_a_forgotten_node_bring_it_back_to_nobody(bench):
    bench.join("n1")
    job = bench.job("n1")
    bench.service.nodes.forget(["n1"])
    config = {"name": "Lamp", "fw_version": "1", "type": "", "model": "", "project_name": "", "platform": ""}
    bench.hear("n1", "config", NodeConfig(node_id="n1", **config).encode())
    bench.hear("n1", "params/local", {"Light": {"Power": True}})
    bench.report("n1", job, "success")
    bench.fetch("n1")
    bench.presence("n1", False)
    assert bench.service.nodes.find().total == 0
    assert bench.states(job) == {"n1": "failed"}


def test_a_forgotten_node_that_connects_again_is_a_new_one(bench):
    bench.join("n1")
    bench.service.nodes.forget(["n1"])
    bench.clock.time += 60
    bench.join("n1", name="Again")
    node = bench.service.nodes.get("n1")
    assert (node.name, node.registration_timestamp) == ("Again", NOW + 60)
    kinds = [entry.event.kind for piece in bench.service.log.all() for entry in piece]
    assert kinds == ["node_joined", "node_forgotten", "node_joined"]
