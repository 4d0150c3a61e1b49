"""Roles as data: what each may do, and how super admins hand them out."""

from __future__ import annotations

import pytest
from cloud_bench import ADMIN, PASSWORD, done, expect, failure, user_token
from test_cloud_api import SUPER_ADMIN_ONLY

from py_esp_ota.cloud.refusals import Refusal
from py_esp_ota.cloud.roles import Act, NodeAct, NodeRole, Role, greater, may, role_of, roles_that_may
from py_esp_ota.rainmaker.messages import NO_SECRET, NO_USER

ANN, BOB = "ann@example.com", "bob@example.com"


def test_the_table_of_roles():
    allowed = {role: {act for act in Act if may(role, act)} for role in Role}
    assert allowed == {Role.USER: set(), Role.ADMIN: {Act.ADMINISTER}, Role.SUPER_ADMIN: set(Act)}
    assert roles_that_may(NodeAct.USE) == set(NodeRole)
    assert roles_that_may(NodeAct.SHARE) == {NodeRole.PRIMARY}
    flags = {(a, b): role_of(super_admin=a, admin=b) for a in (False, True) for b in (False, True)}
    assert list(flags.values()) == [Role.USER, Role.ADMIN, Role.SUPER_ADMIN, Role.SUPER_ADMIN]
    assert [greater(one, NodeRole.SECONDARY) for one in (None, *NodeRole)] == ["secondary", "primary", "secondary"]


def me(bench, token):
    found = bench.ok("GET", "/v1/user", token=token)
    return found["super_admin"], found["admin"]


def make_admin(bench, name=ANN, **flags):
    token = user_token(bench, name)
    bench.ok("PUT", "/v1/admin/user2", json={"user_name": name, **flags})
    return token


def test_user_tells_what_an_account_is(bench):
    token = user_token(bench, ANN)
    assert (me(bench, bench.token), me(bench, token)) == ((True, True), (False, False))
    for flags, seen in (({"admin": True}, (False, True)), ({"super_admin": True}, (True, True)), ({}, (False, False))):
        bench.ok("PUT", "/v1/admin/user2", json={"user_name": ANN, **flags})
        assert me(bench, token) == seen  # at once, in the login that goes on


@pytest.mark.parametrize(("method", "path"), SUPER_ADMIN_ONLY)
def test_accounts_are_managed_by_super_admins_alone(bench, method, path):
    token = make_admin(bench, admin=True)
    bench.ok("GET", "/v1/admin/nodes", token=token)
    assert failure(bench.call(method, f"/v1/{path}", token=token)) == expect(Refusal.NOT_AN_ADMIN)


def test_an_admin_sees_and_updates_the_nodes_he_has_claimed(bench):
    token = make_admin(bench, admin=True)
    bench.join("n1", "n2")
    image = bench.image().ota_image_id

    def nodes(of):
        return bench.ok("GET", "/v1/admin/nodes", token=of)["nodes"]

    def start(**targets):
        return bench.call(
            "POST", "/v1/admin/otajob", token=token, json={"ota_job_name": "j", "ota_image_id": image, **targets}
        )

    assert (nodes(bench.token), nodes(token)) == (["n1", "n2"], [])
    assert failure(start(nodes=["n1"])) == expect(Refusal.NODE_NOT_OF_USER)
    assert failure(start(groups=["FFFF-FFFF"])) == expect(Refusal.JOB_TARGETS)
    bench.ok("PUT", "/v1/admin/nodes/claim", json={"node_ids": ["n2"], "user_name": ANN})
    assert (nodes(bench.token), nodes(token)) == (["n1", "n2"], ["n2"])
    assert bench.ok("GET", "/v1/admin/nodes?node_id=n2", token=token)["nodes"] == ["n2"]
    other = bench.call("GET", "/v1/admin/nodes?node_id=n1", token=token)
    assert failure(other) == expect(Refusal.NODE_NOT_OF_USER)
    assert failure(start(nodes=["n1", "n2"])) == expect(Refusal.NODE_NOT_OF_USER)
    job = start(groups=["FFFF-FFFF"]).json()["ota_job_id"]
    assert bench.states(job) == {"n2": "triggered"}


def test_nodes_are_claimed_for_admins_all_or_none(bench):
    bench.join("n1")
    user_token(bench, BOB)
    for body, refusal in (
        ({"node_ids": ["n1"], "user_name": BOB}, Refusal.NOT_AN_ADMIN),
        ({"node_ids": ["n1"], "user_name": "nobody@example.com"}, Refusal.USER_UNKNOWN),
        ({"node_ids": ["n1", "n9"], "user_name": ADMIN}, Refusal.NODE_NOT_OF_USER),
    ):
        assert failure(bench.call("PUT", "/v1/admin/nodes/claim", json=body)) == expect(refusal)


def test_an_account_is_made_for_somebody_who_sets_the_password(bench):
    body = {"user_name": ANN, "admin": True}
    assert bench.call("POST", "/v1/admin/user2", json=body).status_code == 201
    ((to, code),) = bench.mail
    assert to == ANN
    for password in ("", PASSWORD):
        answer = bench.call("POST", "/v1/login2", token="", json={"user_name": ANN, "password": password})
        assert failure(answer) == expect(Refusal.WRONG_PASSWORD)
    own = {"user_name": ANN, "password": PASSWORD, "verification_code": code}
    bench.ok("PUT", "/v1/forgotpassword2", json=own, token="")
    token = done(bench.accounts.log_in(ANN, PASSWORD)).accesstoken
    assert me(bench, token) == (False, True)
    assert failure(bench.call("POST", "/v1/admin/user2", json=body)) == expect(Refusal.USER_EXISTS)
    bad = bench.call("POST", "/v1/admin/user2", json={"user_name": "no mail"})
    assert failure(bad) == expect(Refusal.EMAIL_FORMAT)


def test_a_stranger_who_signs_up_for_it_gets_no_role(bench):
    bench.call("POST", "/v1/admin/user2", json={"user_name": ANN, "super_admin": True})
    bench.clock.time += 900  # the code is too old: the name may be signed up anew
    assert me(bench, user_token(bench, ANN)) == (False, False)


def test_lists_of_accounts(bench):
    def names(query=""):
        return {user["user_name"] for user in bench.ok("GET", f"/v1/admin/user2?{query}")["users_list"]}

    make_admin(bench, admin=True)
    user_token(bench, BOB)
    assert names() == {ADMIN, ANN}
    assert names("all_users=true") == {ADMIN, ANN, BOB}
    assert (names("admin=true"), names("superadmin=true")) == ({ANN}, {ADMIN})
    assert names(f"user_name={BOB}") == {BOB}
    page = bench.ok("GET", "/v1/admin/user2?all_users=true&num_records=2")
    rest = bench.ok("GET", f"/v1/admin/user2?all_users=true&start_id={page['next_id']}")
    assert (len(page["users_list"]), page["total"], len(rest["users_list"])) == (2, 3, 1)
    assert failure(bench.call("GET", "/v1/admin/user2?user_name=nobody")) == expect(Refusal.USER_UNKNOWN)


def test_the_nodes_of_a_user(bench):
    bench.join("n1", "n2")
    token = user_token(bench, ANN)
    user_id = bench.ok("GET", "/v1/user", token=token)["user_id"]
    bench.map("n2", user_id)
    both = {"primary": {"nodes": ["n2"], "total": 1}, "secondary": {"nodes": [], "total": 0}, "total": 1}
    assert bench.ok("GET", f"/v1/admin/user/nodes?user_name={ANN}") == both
    assert bench.ok("GET", f"/v1/admin/user/nodes?user_id={user_id}&role=secondary") == {
        "secondary": {"nodes": [], "total": 0}, "total": 0,
    }  # fmt: skip
    assert failure(bench.call("GET", "/v1/admin/user/nodes"))[0] == 400
    assert failure(bench.call("GET", "/v1/admin/user/nodes?user_id=x")) == expect(Refusal.USER_UNKNOWN)


def test_an_account_ends_in_two_steps_and_leaves_nothing(bench):
    token = make_admin(bench, admin=True)
    bench.join("n1")
    bench.map("n1", bench.ok("GET", "/v1/user", token=token)["user_id"])
    bench.ok("PUT", "/v1/admin/nodes/claim", json={"node_ids": ["n1"], "user_name": ANN})
    bench.ok("PUT", "/v1/user/nodes/sharing", token=token, json={"nodes": ["n1"], "user_name": BOB})
    bench.mail.clear()
    bench.ok("DELETE", f"/v1/admin/user2?user_name={ANN}&request=true")
    ((to, code),) = bench.mail
    assert to == ADMIN
    wrong = bench.call("DELETE", f"/v1/admin/user2?user_name={ANN}&verification_code=x")
    assert failure(wrong) == expect(Refusal.WRONG_CODE)
    bench.ok("DELETE", f"/v1/admin/user2?user_name={ANN}&verification_code={code}")
    assert bench.call("GET", "/v1/user", token=token).status_code == 401
    assert failure(bench.call("GET", f"/v1/admin/user2?user_name={ANN}")) == expect(Refusal.USER_UNKNOWN)
    bob = user_token(bench, BOB)
    assert bench.ok("GET", "/v1/user/nodes/sharing/requests", token=bob)["sharing_requests"] == []
    assert bench.service.nodes.find(admin_id="localadmin").total == 1


def test_ones_own_account_ends_too(bench):
    token = user_token(bench, ANN)
    assert failure(bench.call("DELETE", "/v1/user2", token=token))[0] == 400
    bench.ok("DELETE", "/v1/user2?request=true", token=token)
    to, code = bench.mail[-1]
    assert to == ANN
    bench.ok("DELETE", f"/v1/user2?verification_code={code}", token=token)
    assert bench.call("GET", "/v1/user", token=token).status_code == 401


def test_the_servers_own_account_stays_what_it_is(bench):
    lesser = bench.call("PUT", "/v1/admin/user2", json={"user_name": bench.token and ADMIN, "admin": True})
    assert failure(lesser) == expect(Refusal.LOCAL_ADMIN_STAYS)
    for path in (f"admin/user2?user_name={ADMIN}&request=true", "user2?request=true", "user2?verification_code=1"):
        assert failure(bench.call("DELETE", f"/v1/{path}")) == expect(Refusal.LOCAL_ADMIN_STAYS)


@pytest.mark.parametrize("option", [{"quota": 5}, {"roles": ["x"]}])
def test_what_is_not_offered_is_refused(bench, option):
    user_token(bench, ANN)
    assert failure(bench.call("PUT", "/v1/admin/user2", json={"user_name": ANN, **option}))[0] == 400


def test_everything_about_accounts_and_who_has_a_node_is_in_the_log(bench):
    bench.join("n1")
    token = user_token(bench, ANN)
    bob = user_token(bench, BOB)
    bench.call("POST", "/v1/login2", token="", json={"user_name": ANN, "password": "wrong password"})
    bench.map("n1", bench.ok("GET", "/v1/user", token=token)["user_id"])
    share = {"nodes": ["n1"], "user_name": BOB}
    request = bench.ok("PUT", "/v1/user/nodes/sharing", token=token, json=share)["request_id"]
    answer = {"request_id": request, "accept": True}
    bench.ok("PUT", "/v1/user/nodes/sharing/requests", token=bob, json=answer)
    bench.ok("DELETE", f"/v1/user/nodes/sharing?nodes=n1&user_name={BOB}", token=token)
    bench.ok("PUT", "/v1/user/nodes/mapping", token=token, json={"node_id": "n1", "operation": "remove"})
    bench.claims("n1", NO_USER, NO_SECRET, reset=True)
    bench.ok("PUT", "/v1/admin/user2", json={"user_name": ANN, "admin": True})
    bench.ok("PUT", "/v1/admin/nodes/claim", json={"node_ids": ["n1"], "user_name": ANN})
    bench.accounts.forgot_password(BOB)
    done(bench.accounts.reset_password(BOB, PASSWORD, bench.mail[-1][1]))
    bench.ok("POST", "/v1/logout2", token=token)
    bench.ok("DELETE", f"/v1/admin/user2?user_name={ANN}&request=true")
    bench.ok("DELETE", f"/v1/admin/user2?user_name={ANN}&verification_code={bench.mail[-1][1]}")
    events = bench.ok("GET", "/v1/admin/events?num_records=100")["events"][::-1]
    told = [(event["kind"], event["actor"], event.get("who", ""), event.get("user_name", "")) for event in events]
    assert told == [
        ("node_joined", "node", "n1", ""),
        *((kind, "user", name, name) for name in (ANN, BOB) for kind in ("signed_up", "confirmed", "logged_in")),
        ("login_refused", "user", "", ANN),
        ("node_mapped", "node", "n1", ANN),
        ("node_offered", "user", ANN, BOB),
        ("node_shared", "user", BOB, BOB),
        ("node_unshared", "user", ANN, BOB),
        ("node_unmapped", "user", ANN, ANN),
        ("node_unmapped", "node", "n1", ""),
        ("logged_in", "admin", ADMIN, ADMIN),
        ("role_changed", "admin", ADMIN, ANN),
        ("node_claimed", "admin", ADMIN, ANN),
        ("password_reset", "user", BOB, BOB),
        ("logged_out", "admin", ANN, ANN),
        ("account_deleted", "admin", ADMIN, ANN),
    ]
    assert "wrong password" not in str(events)
    refusal = next(event for event in events if event["kind"] == "login_refused")
    assert refusal["data"] == {"kind": "api", "address": "127.0.0.1"}


def test_a_name_that_is_no_text_is_refused_and_logged_as_far_as_it_can_be(bench):
    body = {"user_name": "a\nb\u0000", "password": PASSWORD}
    assert failure(bench.call("POST", "/v1/login2", token="", json=body)) == expect(Refusal.WRONG_PASSWORD)
    (event,) = bench.ok("GET", "/v1/admin/events?kind=login_refused")["events"]
    assert event["user_name"] == "a\ufffdb\ufffd"
