"""User-node mapping: a node belongs to whom it says, and says only whom it was told with a secret."""

from __future__ import annotations

import pytest
from cloud_bench import NOW, failure, refused, user_token
from databases import dump

from py_esp_ota.cloud.refusals import Refusal
from py_esp_ota.cloud.roles import LOCAL_ADMIN
from py_esp_ota.rainmaker.messages import NO_SECRET, NO_USER


def status(bench, request, user="ann"):
    return bench.service.mappings.status(request, user).value


def nodes_of(bench, user):
    return [node.node_id for node in bench.service.nodes.find(user_id=user).items]


def test_a_known_node_is_nobodys_until_it_says_so_itself(bench):
    bench.join("n1", "n2")
    request = bench.service.mappings.request("ann", "n1", "a secret")
    assert (status(bench, request), nodes_of(bench, "ann")) == ("requested", [])
    bench.clock.time += 7
    bench.claims("n1", "ann", "a secret")
    assert (status(bench, request), nodes_of(bench, "ann")) == ("confirmed", ["n1"])
    assert bench.service.nodes.detail("n1", "ann").mapping_timestamp == NOW + 7
    with refused(Refusal.NODE_NOT_OF_USER):
        bench.service.nodes.get("n2", "ann")


def test_the_nodes_word_may_come_first(bench):
    bench.claims("n1", "ann", "a secret")
    bench.clock.time += 300
    request = bench.service.mappings.request("ann", "n1", "a secret")
    assert (status(bench, request), nodes_of(bench, "ann")) == ("confirmed", ["n1"])


@pytest.mark.parametrize(
    ("node", "user", "secret"),
    [("n1", "ann", "another"), ("n1", "bob", "a secret"), ("n2", "ann", "a secret"), ("n1", "ann\na", "secret")],
)
def test_node_user_and_secret_have_to_match(bench, node, user, secret):
    bench.join("n1", "n2")
    before = bench.service.mappings.request("ann", "n1", "a secret")
    bench.claims(node, user, secret)
    after = bench.service.mappings.request("ann", "n1", "a secret")
    assert [status(bench, request) for request in (before, after)] == ["requested"] * 2
    assert nodes_of(bench, "ann") == nodes_of(bench, "bob") == []


def test_both_words_count_for_five_minutes(bench):
    bench.join("n1", "n2")
    early = bench.service.mappings.request("ann", "n1", "a secret")
    bench.claims("n2", "ann", "a secret")
    bench.clock.time += 301
    assert status(bench, early) == "timedout"
    bench.claims("n1", "ann", "a secret")
    assert status(bench, early) == "timedout"
    late = bench.service.mappings.request("ann", "n2", "a secret")
    assert status(bench, late) == "requested"
    assert nodes_of(bench, "ann") == []


def test_a_clock_that_was_set_back_confirms_nothing_old(bench):
    bench.claims("n1", "ann", "a secret")
    bench.clock.time -= 400
    assert status(bench, bench.service.mappings.request("ann", "n1", "a secret")) == "requested"


def test_a_node_that_was_reset_forgets_who_was_before(bench):
    bench.join("n1")
    bench.map("n1", "ann")
    bench.service.mappings.request("bob", "n1", "another")
    bench.claims("n1", "bob", "another")
    assert [nodes_of(bench, user) for user in ("ann", "bob", LOCAL_ADMIN)] == [["n1"]] * 3
    bench.claims("n1", "carl", "nobody asked", reset=True)  # a word alone takes nothing from anybody
    assert nodes_of(bench, "ann") == ["n1"]
    bench.service.mappings.request("carl", "n1", "nobody asked")
    assert [nodes_of(bench, user) for user in ("ann", "bob", LOCAL_ADMIN, "carl")] == [[], [], [], ["n1"]]
    assert bench.ok("GET", "/v1/admin/nodes")["nodes"] == ["n1"]  # it is still claimed


def test_a_factory_reset_leaves_no_user(bench):
    bench.join("n1")
    bench.map("n1", "ann")
    bench.claims("n1", NO_USER, NO_SECRET, reset=True)
    assert nodes_of(bench, "ann") == []
    assert bench.service.nodes.find().total == 1


def test_requests_are_private(bench):
    request = bench.service.mappings.request("ann", "n1", "a secret")
    for request_id, user in ((request, "bob"), ("nothing", "ann")):
        with refused(Refusal.MAPPING_UNKNOWN):
            bench.service.mappings.status(request_id, user)


@pytest.mark.parametrize(("node", "secret"), [("a/b", "x"), ("n1", "")])
def test_a_request_needs_a_node_and_a_secret(bench, node, secret):
    with refused(Refusal.INVALID_REQUEST):
        bench.service.mappings.request("ann", node, secret)


def test_requests_of_a_day_are_counted_and_then_forgotten(bench, monkeypatch):
    monkeypatch.setattr("py_esp_ota.cloud.mapping.REQUESTS_LIMIT", 2)
    old = [bench.service.mappings.request("ann", "n1", "x") for _ in range(2)]
    with refused(Refusal.TOO_OFTEN):
        bench.service.mappings.request("ann", "n1", "x")
    bench.service.mappings.request("bob", "n1", "x")
    bench.clock.time += 86_401
    bench.service.mappings.request("ann", "n1", "x")
    with refused(Refusal.MAPPING_UNKNOWN):
        bench.service.mappings.status(old[0], "ann")


def test_no_secret_is_stored(bench):
    bench.service.mappings.request("ann", "n1", "a very special secret")
    bench.claims("n2", "ann", "a very special secret")
    rows = "\n".join(dump(bench.store))
    assert "n1" in rows
    assert "very special" not in rows


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (b"{", "not JSON"),
        ({"node_id": "n1", "user_id": "ann"}, "'secret_key' is missing"),
        ({"node_id": "n1", "user_id": 5, "secret_key": "x"}, "'user_id' is not a string"),
        ({"node_id": "n1", "user_id": "ann", "secret_key": "x", "reset": 1}, "'reset' is neither true nor false"),
        (b'{"node_id":"n1","user_id":"ann","secret_key":"' + b"x" * 153, "cut off after 199 bytes"),
    ],
)
def test_what_makes_no_sense_is_one_line_in_the_log(bench, caplog, payload, why):
    bench.hear("n1", "user/mapping", payload)
    (line,) = caplog.messages
    assert line.startswith("ignored a message of node n1: user/mapping: ")
    assert why in line


def test_adding_and_removing_a_node_as_the_cli_does(bench):
    bench.join("n1")
    token = user_token(bench)
    user_id = bench.ok("GET", "/v1/user", token=token)["user_id"]
    body = {"user_id": user_id, "node_id": "n1", "secret_key": "a uuid", "operation": "add"}
    request_id = bench.ok("PUT", "/v1/user/nodes/mapping", json=body, token=token)["request_id"]
    asked = f"/v1/user/nodes/mapping?&request_id={request_id}"
    assert bench.ok("GET", asked, token=token)["request_status"] == "requested"
    bench.claims("n1", user_id, "a uuid")
    assert bench.ok("GET", asked, token=token)["request_status"] == "confirmed"
    assert bench.ok("GET", "/v1/user/nodes", token=token)["nodes"] == ["n1"]
    (detail,) = bench.ok("GET", "/v1/user/nodes?node_details=true", token=token)["node_details"]
    assert (detail["role"], detail["primary"]) == ("primary", True)
    gone = {**body, "secret_key": "", "operation": "remove"}
    bench.ok("PUT", "/v1/user/nodes/mapping", json=gone, token=token)
    assert bench.ok("GET", "/v1/user/nodes", token=token)["nodes"] == []
    assert failure(bench.call("PUT", "/v1/user/nodes/mapping", json=gone, token=token)) == (400, 100010)
    wrong = {**body, "user_id": "somebody"}
    assert failure(bench.call("PUT", "/v1/user/nodes/mapping", json=wrong, token=token))[0] == 400
