"""Sharing as the official CLI does it: offer, accept, decline, cancel, list, remove."""

from __future__ import annotations

import pytest
from cloud_bench import NOW, PASSWORD, done, expect, failure, user_token

from py_esp_ota.cloud.refusals import Refusal

ANN, BOB, CARL = (f"{name}@example.com" for name in ("ann", "bob", "carl"))
SHARING = "/v1/user/nodes/sharing"
REQUESTS = f"{SHARING}/requests"


@pytest.fixture
def people(bench):
    """Tokens of Ann, who has two nodes, of Bob and of Carl."""
    assert bench.token  # so that there is the local admin
    bench.join("n1", "n2", "n3")
    tokens = {name: user_token(bench, name) for name in (ANN, BOB, CARL)}
    ann = bench.ok("GET", "/v1/user", token=tokens[ANN])["user_id"]
    for node in ("n1", "n2"):
        bench.map(node, ann)
    return tokens


def offer(bench, people, *nodes, by=ANN, to=BOB, **more):
    body = {"nodes": list(nodes), "user_name": to, **more}
    return bench.ok("PUT", SHARING, token=people[by], json=body)["request_id"]


def answer(bench, people, request, accept=True, by=BOB):
    return bench.call("PUT", REQUESTS, token=people[by], json={"request_id": request, "accept": accept})


def nodes(bench, token):
    return bench.ok("GET", "/v1/user/nodes", token=token)["nodes"]


def pending(bench, token, query="primary_user=False"):
    return bench.ok("GET", f"{REQUESTS}?{query}", token=token)["sharing_requests"]


def test_a_node_is_shared_once_the_other_accepts(bench, people):
    request = offer(bench, people, "n1", "n2")
    assert nodes(bench, people[BOB]) == []
    (seen,) = pending(bench, people[BOB])
    assert seen == {
        "request_id": request, "request_status": "pending", "request_timestamp": NOW, "node_ids": ["n1", "n2"],
        "user_name": BOB, "primary_user_name": ANN, "metadata": {},
    }  # fmt: skip
    assert pending(bench, people[ANN], "primary_user=True") == [seen]
    assert pending(bench, people[ANN]) == pending(bench, people[CARL]) == []
    assert answer(bench, people, request).json()["status"] == "success"
    assert nodes(bench, people[BOB]) == ["n1", "n2"]
    assert pending(bench, people[BOB]) == pending(bench, people[ANN], "primary_user=true") == []
    (detail,) = bench.ok("GET", "/v1/user/nodes?node_id=n1&node_details=true", token=people[BOB])["node_details"]
    assert (detail["role"], detail["primary"]) == ("secondary", False)
    bench.ok("GET", "/v1/user/nodes/params?nodeid=n1", token=people[BOB])


def test_who_has_a_node_is_told_to_its_users(bench, people):
    answer(bench, people, offer(bench, people, "n1"))
    answer(bench, people, offer(bench, people, "n1", to=CARL), by=CARL)
    admin = "admin@example.com"  # every node's first user here
    first, second = bench.ok("GET", SHARING, token=people[ANN])["node_sharing"]
    assert first == {"node_id": "n1", "users": {"primary": [admin, ANN], "secondary": [BOB, CARL]}}
    assert second == {"node_id": "n2", "users": {"primary": [admin, ANN], "secondary": []}}
    mine = {"node_id": "n1", "users": {"primary": [admin, ANN]}, "sources": ["NODE"]}
    assert bench.ok("GET", f"{SHARING}?node_id=n1", token=people[BOB])["node_sharing"] == [mine]
    assert failure(bench.call("GET", f"{SHARING}?node_id=n3", token=people[ANN])) == expect(Refusal.NODE_NOT_OF_USER)


def test_only_a_primary_user_shares(bench, people):
    answer(bench, people, offer(bench, people, "n1"))
    for by, node, refusal in ((BOB, "n1", Refusal.NOT_PRIMARY), (CARL, "n1", Refusal.NODE_NOT_OF_USER)):
        body = {"nodes": [node], "user_name": CARL if by == BOB else BOB}
        assert failure(bench.call("PUT", SHARING, token=people[by], json=body)) == expect(refusal)
        gone = bench.call("DELETE", f"{SHARING}?nodes={node}&user_name={ANN}", token=people[by])
        assert failure(gone) == expect(refusal)
    answer(bench, people, offer(bench, people, "n2", primary=True))
    assert offer(bench, people, "n2", by=BOB, to=CARL)


def test_nobody_takes_or_cancels_what_is_not_theirs(bench, people):
    request = offer(bench, people, "n1")
    assert failure(answer(bench, people, request, by=CARL)) == expect(Refusal.SHARING_UNKNOWN)
    assert failure(answer(bench, people, request, by=ANN)) == expect(Refusal.SHARING_UNKNOWN)
    for by in (BOB, CARL):
        gone = bench.call("DELETE", f"{REQUESTS}?request_id={request}", token=people[by])
        assert failure(gone) == expect(Refusal.SHARING_UNKNOWN)
    bench.ok("DELETE", f"{REQUESTS}?request_id={request}", token=people[ANN])
    assert failure(answer(bench, people, request)) == expect(Refusal.SHARING_UNKNOWN)


def test_what_was_declined_is_seen_and_cannot_be_taken(bench, people):
    request = offer(bench, people, "n1")
    assert answer(bench, people, request, accept=False).status_code == 200
    assert failure(answer(bench, people, request)) == expect(Refusal.SHARING_UNKNOWN)
    assert [seen["request_status"] for seen in pending(bench, people[ANN], "primary_user=true")] == ["declined"]
    assert nodes(bench, people[BOB]) == []


def test_an_offer_lives_for_seven_days(bench, people):
    request = offer(bench, people, "n1")
    bench.clock.time += 7 * 86_400
    people = {name: done(bench.accounts.log_in(name, PASSWORD)).accesstoken for name in people}
    assert failure(answer(bench, people, request)) == expect(Refusal.SHARING_UNKNOWN)
    assert pending(bench, people[BOB]) == []


def test_who_lost_a_node_gives_nothing_away(bench, people):
    request = offer(bench, people, "n1")
    bench.ok("PUT", "/v1/user/nodes/mapping", token=people[ANN], json={"node_id": "n1", "operation": "remove"})
    assert failure(answer(bench, people, request)) == expect(Refusal.NOT_PRIMARY)
    assert nodes(bench, people[BOB]) == []


def test_a_node_is_taken_back(bench, people):
    answer(bench, people, offer(bench, people, "n1", "n2"))
    bench.ok("DELETE", f"{SHARING}?nodes=n1,n2&user_name={BOB}", token=people[ANN])
    assert nodes(bench, people[BOB]) == []
    gone = bench.call("DELETE", f"{SHARING}?nodes=n1&user_name={BOB}", token=people[ANN])
    assert failure(gone) == expect(Refusal.USER_UNKNOWN)


def test_when_the_last_primary_user_goes_so_do_the_others(bench, people):
    answer(bench, people, offer(bench, people, "n1"))
    admin = "admin@example.com"
    bench.ok("DELETE", f"{SHARING}?nodes=n1&user_name={admin}", token=people[ANN])
    assert nodes(bench, people[BOB]) == ["n1"]
    bench.ok("PUT", "/v1/user/nodes/mapping", token=people[ANN], json={"node_id": "n1", "operation": "remove"})
    assert nodes(bench, people[BOB]) == []


def test_who_is_primary_stays_it(bench, people):
    answer(bench, people, offer(bench, people, "n1", primary=True))
    answer(bench, people, offer(bench, people, "n1"))
    (detail,) = bench.ok("GET", "/v1/user/nodes?node_details=true", token=people[BOB])["node_details"]
    assert detail["role"] == "primary"


def test_requests_come_in_pages_of_ten(bench, people):
    made = [offer(bench, people, "n1", to=CARL) for _ in range(12)][::-1]
    first = bench.ok("GET", f"{REQUESTS}?num_records=99", token=people[CARL])
    assert [seen["request_id"] for seen in first["sharing_requests"]] == made[:10]
    rest = f"start_request_id={first['next_request_id']}&start_user_name={first['next_user_name']}"
    second = bench.ok("GET", f"{REQUESTS}?{rest}", token=people[CARL])
    assert [seen["request_id"] for seen in second["sharing_requests"]] == made[10:]
    assert "next_request_id" not in second
    assert [seen["request_id"] for seen in pending(bench, people[CARL], f"request_id={made[3]}")] == [made[3]]


def test_a_hundred_offers_wait_at_a_time(bench, people):
    for _ in range(100):
        offer(bench, people, "n1")
    body = {"nodes": ["n1"], "user_name": BOB}
    assert failure(bench.call("PUT", SHARING, token=people[ANN], json=body)) == expect(Refusal.TOO_OFTEN)


@pytest.mark.parametrize(
    "body",
    [
        {}, {"nodes": ["n1"]}, {"user_name": BOB}, {"nodes": [], "user_name": BOB}, {"request_id": "x"},
        {"nodes": ["n1"], "user_name": ANN}, {"nodes": ["n1"], "user_name": BOB, "sub_role": 2},
        {"nodes": ["n1"], "user_name": BOB, "transfer": True}, {"nodes": ["n1"], "user_name": "a\nb"},
        {"nodes": ["n1"], "user_name": BOB, "metadata": {"a": "x" * 5000}}, {"nodes": "n1", "user_name": BOB},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(bench, people, body):
    for path in (SHARING, REQUESTS):
        assert failure(bench.call("PUT", path, token=people[ANN], json=body))[0] == 400
    assert pending(bench, people[BOB]) == []
