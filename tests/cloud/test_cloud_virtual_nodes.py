"""The calls about virtual nodes: what they hand to the door, what they answer, and who may make them."""

from __future__ import annotations

from dataclasses import asdict

import pytest
from cloud_bench import expect, failure, user_token
from few_virtual_nodes import FRESH, LOOK, FewVirtualNodes

from py_esp_ota.cloud.api.virtual_nodes import BODY_LIMITS
from py_esp_ota.cloud.refusals import Refusal
from py_esp_ota.cloud.virtual_nodes import Act, Dials, NewNodes

URL = "/v1/local/virtual_nodes"


@pytest.fixture
def nodes():
    return FewVirtualNodes()


@pytest.fixture
def bench(make_bench, nodes):
    return make_bench(virtual_nodes=nodes)


def order(bench, **words):
    return bench.ok("POST", URL, json={"ota_image_id": "fw", **words})["node_ids"]


def test_an_order_reaches_the_door_with_every_word(bench, nodes):
    words = {
        "count": 2, "ota_image_id": "fw", "partitions": "two_ota", "name": "Desk lamp", "prefix": "desk",
        "type": "Switch", "rollback": False,
    }  # fmt: skip
    assert order(bench, **words, weather="drop@65536") == ["desk-0001", "desk-0002"]
    assert nodes.asked == [("add", NewNodes(**words, dials=Dials(weather="drop@65536")))]


def test_an_order_needs_an_image_alone(bench, nodes):
    assert order(bench) == ["lamp-0001"]
    assert nodes.asked == [("add", NewNodes(count=1, ota_image_id="fw"))]


@pytest.mark.parametrize(
    "words", [{"count": 0}, {"count": 1001}, {"count": "many"}, {"count": True}, {"weather": "x" * 1001}]
)
def test_an_order_out_of_bounds_is_refused(bench, nodes, words):
    answer = bench.call("POST", URL, json={"ota_image_id": "fw", **words})
    assert failure(answer) == expect(Refusal.INVALID_REQUEST)
    assert nodes.asked == []


def test_they_are_listed_page_by_page(bench):
    order(bench, count=3)
    first = bench.ok("GET", f"{URL}?num_records=2")
    assert [node["node_id"] for node in first["virtual_nodes"]] == ["lamp-0001", "lamp-0002"]
    assert (first["total"], first["next_id"]) == (3, "lamp-0003")
    rest = bench.ok("GET", f"{URL}?start_id=lamp-0003")
    assert [node["node_id"] for node in rest["virtual_nodes"]] == ["lamp-0003"]
    assert "next_id" not in rest


def test_one_is_shown_as_it_stands(bench):
    order(bench, weather="mqtt-lose@2")
    shown = bench.ok("GET", f"{URL}/lamp-0001")
    assert shown == asdict(FRESH) | {"node_id": "lamp-0001", "dials": {"weather": "mqtt-lose@2"}}


def test_its_flash_is_opened_up(bench):
    order(bench)
    assert bench.ok("GET", f"{URL}/lamp-0001/flash") == asdict(LOOK)


@pytest.mark.parametrize("act", Act)
def test_an_act_is_done_to_some(bench, nodes, act):
    order(bench, count=2)
    bench.ok("POST", f"{URL}/act", json={"node_ids": ["lamp-0002"], "act": act})
    assert nodes.asked[1:] == [("act", ("lamp-0002",), act)]


def test_dials_are_turned(bench, nodes):
    order(bench, count=2)
    bench.ok("PUT", f"{URL}/dials", json={"node_ids": ["lamp-0001"], "weather": "drop@65536"})
    assert [node.dials.weather for node in nodes.all()] == ["drop@65536", ""]


def test_one_press_takes_nodes_away_and_the_cloud_forgets_them(bench, nodes):
    order(bench, count=2)
    bench.join("lamp-0001", "lamp-0002")
    job = bench.job("lamp-0001")
    bench.ok("DELETE", URL, json={"node_ids": ["lamp-0001"]})
    assert [node.node_id for node in nodes.all()] == ["lamp-0002"]
    assert bench.ok("GET", "/v1/admin/nodes")["nodes"] == ["lamp-0002"]
    assert bench.states(job) == {"lamp-0001": "failed"}
    event = bench.ok("GET", "/v1/admin/events?kind=node_forgotten")["events"][-1]
    assert event["node_id"] == "lamp-0001"
    assert event["who"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/nobody", None),
        ("GET", "/nobody/flash", None),
        ("POST", "/act", {"node_ids": ["nobody"], "act": "reset"}),
        ("PUT", "/dials", {"node_ids": ["nobody"], "weather": ""}),
        ("DELETE", "", {"node_ids": ["nobody"]}),
    ],
)
def test_a_node_that_is_none_of_these_is_named(bench, method, path, body):
    assert failure(bench.call(method, URL + path, json=body)) == expect(Refusal.VIRTUAL_NODE_UNKNOWN)


@pytest.mark.parametrize("body", [{"node_ids": []}, {"node_ids": ["x"] * 1001}, {"node_ids": ["x" * 65]}, {}])
def test_a_call_names_one_to_a_thousand_nodes(bench, body):
    for method, path, more in [
        ("POST", "/act", {"act": "reset"}),
        ("PUT", "/dials", {"weather": ""}),
        ("DELETE", "", {}),
    ]:
        assert failure(bench.call(method, URL + path, json=body | more)) == expect(Refusal.INVALID_REQUEST)


def test_a_dump_is_opened_up(bench):
    look = bench.ok("POST", "/v1/local/flash_dump", content=b"\xff" * 3_000_000)
    assert (look["size"], look["operations"]) == (3_000_000, None)


def test_a_dump_that_is_larger_than_any_flash_is_refused(bench):
    (limit,) = BODY_LIMITS.values()
    answer = bench.call("POST", "/v1/local/flash_dump", content=bytes(limit + 1))
    assert failure(answer) == expect(Refusal.BODY_TOO_LARGE)


CALLS = [
    ("GET", URL), ("POST", URL), ("DELETE", URL), ("POST", f"{URL}/act"), ("PUT", f"{URL}/dials"),
    ("GET", f"{URL}/x"), ("GET", f"{URL}/x/flash"), ("POST", "/v1/local/flash_dump"),
]  # fmt: skip
BODY = {"ota_image_id": "fw", "node_ids": ["x"], "act": "reset", "weather": ""}


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_they_are_for_super_admins(bench, method, path):
    token = user_token(bench)
    assert failure(bench.call(method, path, json=BODY, token=token)) == expect(Refusal.NOT_AN_ADMIN)
    assert bench.call(method, path, json=BODY, token="nonsense").status_code == 401


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_a_server_without_virtual_nodes_says_so(make_bench, method, path):
    assert failure(make_bench().call(method, path, json=BODY)) == expect(Refusal.NO_VIRTUAL_NODES)


@pytest.mark.parametrize("words", [{"priority": True}, {"timeout": False}])
def test_a_truth_value_is_no_number_of_a_job_either(bench, words):
    bench.join("n1")
    body = {"ota_job_name": "j", "ota_image_id": bench.image().ota_image_id, "nodes": ["n1"], **words}
    assert failure(bench.call("POST", "/v1/admin/otajob", json=body)) == expect(Refusal.INVALID_REQUEST)
