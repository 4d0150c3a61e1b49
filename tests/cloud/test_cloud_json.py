"""Documents that nobody could give back: refused where they come in, whatever the way."""

from __future__ import annotations

import json

import pytest
from cloud_bench import Bench, expect, failure, refused, start, upload

from py_esp_ota.cloud.refusals import Refusal

AS_JSON = {"Content-Type": "application/json"}
DEEP = "[" * 300 + "]" * 300  # the reader of Python takes it, its writer in the API does not
MAPPING = "/v1/user/nodes?node_id=n1"


def send(bench: Bench, method: str, path: str, body: str) -> tuple[int, int]:
    return failure(bench.call(method, path, content=body, headers=AS_JSON))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", MAPPING, '{"metadata":{"a":%s}}'),
        ("PUT", MAPPING, '{"tags":[%s]}'),
        ("PUT", "/v1/user/nodes/params?node_id=n1", '{"Light":{"a":%s}}'),
        ("PUT", "/v1/user/nodes/params", '[{"node_id":"n1","payload":{"Light":{"a":%s}}}]'),
        ("POST", "/v1/admin/otajob", '{"ota_job_name":"j","ota_image_id":"i","nodes":["n1"],"metadata":{"a":%s}}'),
        ("POST", "/v1/login2", '{"user_name":%s}'),
        ("POST", "/v1/login2", "%s"),
    ],
)
@pytest.mark.parametrize("value", [DEEP, "[" * 100_000, "NaN", "1e999", "9" * 5000])
def test_rest_bodies_are_400(bench, method, path, body, value):
    bench.join("n1")
    assert send(bench, method, path, body % value) == expect(Refusal.INVALID_REQUEST)
    assert bench.ok("GET", "/v1/user/nodes?node_details=true")["node_details"][0]["metadata"] == {}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (MAPPING, {"metadata": {"a": "?"}}),
        (MAPPING, {"tags": ["a:?"]}),
        ("/v1/user/nodes/params?node_id=n1", {"L": {"?": 1}}),
    ],
)
def test_half_a_surrogate_pair_is_400(bench, path, body):
    bench.join("n1")
    answer = bench.call("PUT", path, content=json.dumps(body).replace("?", r"\ud800"), headers=AS_JSON)
    assert failure(answer)[0] == 400
    assert bench.sent() == []


def test_half_a_surrogate_pair_in_what_a_node_reports(bench, caplog):
    bench.join("n1")
    bench.hear("n1", "params/local", r'{"Light":{"a":"\ud800"}}')
    bench.hear("n1", "config", r'{"node_id":"n1","info":{"fw_version":"\ud800"}}')
    assert [record.exc_info for record in caplog.records] == [None, None]
    bench.hear("n1", "otafetch", r'{"node_id":"n1","fw_version":"\ud800"}')  # words are shown as far as they are words
    assert bench.service.nodes.get("n1").fw_version == "\N{REPLACEMENT CHARACTER}"


def test_the_refusal_names_what_is_wrong(bench):
    bench.join("n1")
    answer = bench.call("PUT", MAPPING, content='{"metadata":{"a":' + DEEP + "}}", headers=AS_JSON)
    assert answer.json()["description"] == "the body: nested deeper than 64 levels"
    answer = bench.call("PUT", MAPPING, content='{"metadata":{,', headers=AS_JSON)
    assert answer.json()["description"] == "the body is not JSON, at character 13"


@pytest.mark.parametrize("suffix", ["config", "params/local", "params/local/init", "otafetch", "otastatus"])
@pytest.mark.parametrize("value", [DEEP, "[" * 100_000, "NaN", "1e999", "9" * 5000])
def test_what_a_node_reports_is_one_line_in_the_log(bench, caplog, suffix, value):
    bench.join("n1")
    bench.hear(
        "n1",
        suffix,
        '{"node_id":"n1","fw_version":"1","status":"success","info":{"fw_version":"1"},"a":{"b":' + value + "}}",
    )
    (line,) = caplog.records
    assert line.levelname == "WARNING"
    assert line.exc_info is None
    assert "\n" not in line.getMessage()
    detail = bench.service.nodes.detail("n1")
    assert "a" not in detail.config
    assert "a" not in detail.params
    assert bench.ok("GET", "/v1/user/nodes?node_details=true")


def test_as_deep_as_allowed_comes_back_whole(bench):
    bench.join("n1")
    value = json.loads("[" * 61 + "]" * 61)
    bench.ok("PUT", MAPPING, json={"metadata": {"a": value}})
    bench.hear("n1", "params/local", {"Light": {"a": value}})
    (details,) = bench.ok("GET", "/v1/user/nodes?node_details=true")["node_details"]
    assert (details["metadata"], details["params"]["Light"]) == ({"a": value}, {"a": value})
    start(bench, upload(bench)["ota_image_id"], "n1", metadata={"a": value})
    assert bench.fetch("n1")[0]["metadata"] == {"a": value}


def test_who_calls_the_service_itself_is_refused_as_well(bench):
    bench.join("n1")
    deep = json.loads(DEEP)
    with refused(Refusal.INVALID_REQUEST):
        bench.service.nodes.set_metadata("n1", {"a": deep})
    with refused(Refusal.PARAMS_NOT_SENT):
        bench.service.nodes.set_params("n1", {"Light": {"a": deep}})
    with refused(Refusal.JOB_METADATA):
        bench.job("n1", metadata={"a": deep})


def test_of_two_members_with_one_name_the_last_counts_everywhere(bench):
    bench.join("n1")
    bench.call("PUT", MAPPING, content='{"metadata":{"a":1,"a":2}}', headers=AS_JSON)
    bench.hear("n1", "params/local", '{"Light":{"Power":1,"Power":2}}')
    detail = bench.service.nodes.detail("n1")
    assert (detail.metadata, detail.params) == ({"a": 2}, {"Light": {"Power": 2}})
    assert bench.ok("PUT", "/v1/user/nodes/params?node_id=n1", content='{"L":{"a":1,"a":2}}', headers=AS_JSON)
    assert bench.sent()[-1][1] == b'{"L":{"a":2}}'  # written anew: a node, which takes the first one, sees one
