"""The REST API: paths, shapes and refusals as RainMaker's clients expect them."""

from __future__ import annotations

import json

import pytest
from cloud_bench import ADMIN, NOW, PASSWORD, done, expect, failure, user_token

from py_esp_ota.cloud.refusals import Refusal

# -------------------------------------------------------------------------------------------------- outside, and logins


def test_the_two_calls_outside_v1(bench):
    assert "v1" in bench.ok("GET", "/apiversions", token="")["supported_versions"]
    assert bench.ok("GET", "/mqtt_host", token="") == {"mqtt_host": "broker.lab"}


def test_login_refresh_whoami_logout(bench):
    done(bench.accounts.ensure_admin(ADMIN, PASSWORD))
    tokens = bench.ok("POST", "/v1/login2", json={"user_name": ADMIN, "password": PASSWORD}, token="")
    assert tokens["status"] == "success"
    renewed = bench.ok("POST", "/v1/login2", json={"refreshtoken": tokens["refreshtoken"]}, token="")
    assert set(renewed) == {"status", "description", "idtoken", "accesstoken"}
    me = bench.ok("GET", "/v1/user", token=renewed["accesstoken"])
    assert (me["user_name"], me["email"], me["super_admin"]) == (ADMIN, ADMIN, True)
    assert bench.ok("GET", "/v1/user2", token=renewed["accesstoken"]) == me
    assert bench.ok("POST", "/v1/logout2?logout_all=false", token=tokens["accesstoken"])["status"] == "success"
    assert bench.call("GET", "/v1/user", token=renewed["accesstoken"]).status_code == 401


def test_sign_up_in_two_steps(bench):
    body = {"user_name": "ann@example.com", "password": PASSWORD}
    assert bench.call("POST", "/v1/user2", json=body).status_code == 201
    code = {"user_name": "ann@example.com", "verification_code": bench.mail[0][1]}
    assert bench.call("POST", "/v1/user2", json=code).status_code == 200
    assert bench.ok("POST", "/v1/login", json=body)["accesstoken"]


def test_a_forgotten_password_in_two_steps(bench):
    user_token(bench)
    nulls = {"user_name": "ann@example.com", "password": None, "verification_code": None}
    bench.ok("PUT", "/v1/forgotpassword2", json=nulls)
    again = {"user_name": "ann@example.com", "password": "a new secret", "verification_code": bench.mail[-1][1]}
    bench.ok("PUT", "/v1/forgotpassword2", json=again)
    assert bench.ok("POST", "/v1/login2", json={"user_name": "ann@example.com", "password": "a new secret"})


def test_a_wrong_password_has_the_number_the_cli_prints(bench):
    answer = bench.call("POST", "/v1/login2", json={"user_name": ADMIN, "password": "wrong"}, token="")
    assert failure(answer) == (401, 101009)


PROTECTED = [
    ("POST", "logout2"), ("GET", "user"), ("GET", "user2"),
    ("GET", "user/nodes"), ("PUT", "user/nodes"), ("DELETE", "user/nodes"),
    ("GET", "user/nodes/config"), ("GET", "user/nodes/status"), ("GET", "user/nodes/params"),
    ("PUT", "user/nodes/params"), ("PUT", "user/nodes/mapping"), ("GET", "user/nodes/mapping"),
    ("GET", "user/nodes/sharing"), ("PUT", "user/nodes/sharing"), ("DELETE", "user/nodes/sharing"),
    ("GET", "user/nodes/sharing/requests"), ("PUT", "user/nodes/sharing/requests"),
    ("DELETE", "user/nodes/sharing/requests"), ("DELETE", "user2"),
    ("GET", "user/sessions"), ("DELETE", "user/sessions"),
    ("GET", "user/nodes/ota_update"), ("POST", "user/nodes/ota_update"), ("GET", "user/nodes/ota_status"),
    ("POST", "user/otaimage"),
    *((method, "user/node_group") for method in ("GET", "POST", "PUT", "DELETE")),
]  # fmt: skip
SUPER_ADMIN_ONLY = [
    ("GET", "admin/user2"), ("POST", "admin/user2"), ("PUT", "admin/user2"), ("DELETE", "admin/user2"),
    ("GET", "admin/user/nodes"), ("PUT", "admin/nodes/claim"),
    ("GET", "local/virtual_nodes"), ("POST", "local/virtual_nodes"), ("DELETE", "local/virtual_nodes"),
    ("POST", "local/virtual_nodes/act"), ("PUT", "local/virtual_nodes/dials"), ("POST", "local/flash_dump"),
    ("GET", "local/virtual_nodes/{node_id}"), ("GET", "local/virtual_nodes/{node_id}/flash"),
    ("GET", "local/webhooks"), ("POST", "local/webhooks"), ("DELETE", "local/webhooks"),
    ("POST", "local/webhooks/resume"), ("POST", "local/webhooks/test"),
]  # fmt: skip
ADMIN_ONLY = [
    ("GET", "admin/events"), ("GET", "admin/events/export"),
    ("GET", "admin/nodes"), ("POST", "admin/otaimage"), ("GET", "admin/otaimage"), ("PUT", "admin/otaimage"),
    ("DELETE", "admin/otaimage"), ("GET", "admin/otaimage/upload_request"), ("POST", "admin/otaimage/upload_confirm"),
    ("POST", "admin/otajob"), ("GET", "admin/otajob"), ("PUT", "admin/otajob"),
    ("GET", "admin/otajob/status"), ("GET", "admin/otajob/status/summary"),
    *((method, "admin/node_group") for method in ("GET", "POST", "PUT", "DELETE")),
    *(("POST", f"local/otajob/{act}") for act in ("preview", "pause", "resume", "retry", "delete")),
    *((method, "local/rehearsal") for method in ("GET", "POST", "DELETE")), ("POST", "local/rehearsal/document"),
    ("GET", "local/rehearsal/{rehearsal_id}"), ("GET", "local/rehearsal/{rehearsal_id}/document"),
    ("GET", "local/otajob/export"), ("GET", "local/nodes/board"), ("POST", "local/nodes/board"),
    *SUPER_ADMIN_ONLY,
]  # fmt: skip


def test_without_a_token_there_is_nothing_to_see(bench):
    said = {
        (method, path, token): bench.call(method, f"/v1/{path}", token=token)
        for method, path in PROTECTED + ADMIN_ONLY
        for token in ("", "nonsense", f"Bearer {bench.token}")
    }
    unauthorized = (401, {"message": "Unauthorized"})
    assert {call: it for call, it in said.items() if (it.status_code, it.json()) != unauthorized} == {}


def test_admin_calls_are_for_the_admin(bench):
    user = user_token(bench)
    said = {call: failure(bench.call(call[0], f"/v1/{call[1]}", token=user)) for call in ADMIN_ONLY}
    assert {call: it for call, it in said.items() if it != expect(Refusal.NOT_AN_ADMIN)} == {}


def test_every_path_is_either_open_or_on_the_lists_above(api_document):
    listed = {(method, f"/v1/{path}") for method, path in PROTECTED + ADMIN_ONLY}
    open_to_all = {
        ("GET", "/apiversions"), ("GET", "/mqtt_host"), ("POST", "/v1/user"), ("POST", "/v1/user2"),
        ("POST", "/v1/login"), ("POST", "/v1/login2"), ("PUT", "/v1/forgotpassword2"),
        ("PUT", "/v1/ota/upload/{ota_image_id}"), ("GET", "/v1/ota/image/{ota_image_id}/firmware.bin"),
    }  # fmt: skip
    paths = api_document["paths"]
    assert {(method.upper(), path) for path, methods in paths.items() for method in methods} == listed | open_to_all


def test_the_document_says_how_a_token_is_sent_and_where_it_comes_from(api_document):
    ((name, scheme),) = api_document["components"]["securitySchemes"].items()
    assert (name, scheme["type"], scheme["in"], scheme["name"]) == ("accesstoken", "apiKey", "header", "Authorization")
    assert "`POST /v1/login2`" in scheme["description"]
    for method, path in PROTECTED + ADMIN_ONLY:
        call = api_document["paths"][f"/v1/{path}"][method.lower()]
        assert call["security"] == [{name: []}]
        assert "authorization" not in {parameter["name"].lower() for parameter in call.get("parameters", [])}
    assert "security" not in api_document["paths"]["/v1/login2"]["post"]


# --------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/v1/nothing"), ("GET", "/"), ("GET", "/v1//user/nodes"), ("PATCH", "/v1/user"), ("GET", "/v1/login2")],
)
def test_an_unknown_path_is_answered_as_the_gateway_does(bench, method, path):
    answer = bench.call(method, path)
    assert (answer.status_code, answer.json()) == (403, {"message": "Missing Authentication Token"})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"not json",
        b"\xff\xfe",
        b"[" * 100_000,
        b"[]",
        b"7",
        b"null",
        b'{"user_name": 5, "password": []}',
        b"9" * 5000,
    ],
)
def test_a_body_that_is_no_json_is_400_in_the_right_shape(bench, content):
    headers = {"Content-Type": "application/json"}
    answer = bench.call("POST", "/v1/login2", content=content, headers=headers, token="")
    assert failure(answer) == expect(Refusal.INVALID_REQUEST)


def test_a_body_sent_as_a_form_is_not_taken_for_json(bench):
    answer = bench.call(
        "POST", "/v1/login2", content=b'{"user_name": "a", "password": "b"}', headers={"Content-Type": "text/plain"}
    )
    assert failure(answer) == expect(Refusal.INVALID_REQUEST)


def test_a_refusal_does_not_repeat_a_password(bench):
    answer = bench.call("POST", "/v1/login2", json={"user_name": "a", "password": ["hunter2"]})
    assert failure(answer)[0] == 400
    assert "hunter2" not in answer.text


def test_a_crash_is_json_without_a_traceback(bench, monkeypatch):
    monkeypatch.setattr(bench.service.jobs, "find", lambda **_: 1 / 0)
    answer = bench.call("GET", "/v1/admin/otajob", raise_app_exceptions=False)
    assert failure(answer) == expect(Refusal.INTERNAL)
    assert "division" not in answer.text


@pytest.mark.parametrize("path", ["user/nodes", "admin/nodes", "admin/otajob", "admin/otaimage"])
@pytest.mark.parametrize(
    "query", ["num_records=0", "num_records=x", "num_records=1001", "num_records=-1", "start_id=" + "x" * 200]
)
def test_paging_has_bounds(bench, path, query):
    assert failure(bench.call("GET", f"/v1/{path}?{query}")) == expect(Refusal.INVALID_REQUEST)


def test_a_body_beyond_its_limit_is_refused_while_it_is_read(bench):
    sent = 0

    async def endless():
        nonlocal sent
        while True:
            sent += 65536
            yield b" " * 65536

    answer = bench.call("POST", "/v1/login2", content=endless(), headers={"Content-Type": "application/json"})
    assert failure(answer) == expect(Refusal.BODY_TOO_LARGE)
    assert sent < 2 * 1024 * 1024
    answer = bench.call("POST", "/v1/admin/otaimage", content=endless(), headers={"Content-Type": "application/json"})
    assert failure(answer) == expect(Refusal.BODY_TOO_LARGE)
    assert sent < 32 * 1024 * 1024


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "[::1", "localhost@evil.example", "127.0.0.1:x@e"]
)
def test_a_foreign_host_is_turned_away(bench, host):
    answer = bench.call("GET", "/apiversions", headers={"Host": host})
    assert failure(answer) == expect(Refusal.FOREIGN_HOST)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000", "cloud.lab", "cloud.lab:443"]
)
def test_this_machine_and_the_public_name_are_known(bench, host):
    assert bench.ok("GET", "/apiversions", headers={"Host": host})


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},  # another server on this machine
        {"Origin": "http://localhost:8000"},
        {"Origin": "http://[::1"},
        {"Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_page_of_another_origin_changes_nothing(bench, headers):
    bench.image("1.0.0", name="fw")
    image = bench.service.images.find().items[0].ota_image_id
    answer = bench.call("DELETE", f"/v1/admin/otaimage?ota_image_id={image}", headers=headers)
    assert failure(answer) == expect(Refusal.FOREIGN_ORIGIN)
    assert bench.service.images.find().total == 1
    assert bench.ok("GET", "/v1/admin/otaimage", headers=headers)["total"] == 1


def test_the_own_page_may_change_things(bench):
    image = bench.image().ota_image_id
    headers = {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}
    assert bench.ok("DELETE", f"/v1/admin/otaimage?ota_image_id={image}", headers=headers)


# ---------------------------------------------------------------------------------------------------------------- nodes


def test_nodes_page_by_page(bench):
    bench.join("n1", "n2", "n3")
    first = bench.ok("GET", "/v1/user/nodes?num_records=2")
    assert first == {"nodes": ["n1", "n2"], "total": 3, "next_id": "n3"}
    assert bench.ok("GET", f"/v1/user/nodes?num_records=2&start_id={first['next_id']}") == {"nodes": ["n3"], "total": 3}


def test_no_nodes_is_an_empty_list(bench):
    assert bench.ok("GET", "/v1/user/nodes") == {"nodes": [], "total": 0}


@pytest.mark.parametrize("key", ["node_id", "nodeid"])
def test_one_node_in_detail(bench, key):
    bench.join("n1")
    bench.hear("n1", "params/local/init", {"Light": {"Power": True}})
    body = bench.ok("GET", f"/v1/user/nodes?node_details=true&{key}=n1")
    assert body["nodes"] == ["n1"]
    (detail,) = body["node_details"]
    assert (detail["id"], detail["role"], detail["primary"], detail["mapping_timestamp"]) == (
        "n1",
        "primary",
        True,
        NOW,
    )
    assert detail["status"] == {"connectivity": {"connected": True, "timestamp": NOW * 1000}}
    assert (detail["config"]["info"]["fw_version"], detail["params"]) == ("1.0.0", {"Light": {"Power": True}})
    slim = bench.ok("GET", f"/v1/user/nodes?node_details=true&{key}=n1&config=false&params=false&status=false")
    assert not {"config", "params", "status"} & set(slim["node_details"][0])
    assert bench.ok("GET", f"/v1/user/nodes/status?{key}=n1") == detail["status"]
    assert bench.ok("GET", f"/v1/user/nodes/config?{key}=n1") == detail["config"]
    assert bench.ok("GET", f"/v1/user/nodes/params?{key}=n1") == detail["params"]


@pytest.mark.parametrize(
    "path", ["user/nodes", "user/nodes/config", "user/nodes/status", "user/nodes/params", "user/nodes/ota_update"]
)
def test_a_node_of_somebody_else_is_refused(bench, path):
    bench.join("n1")
    answer = bench.call("GET", f"/v1/{path}?node_id=n1", token=user_token(bench))
    assert failure(answer) == (400, 100010)
    assert failure(bench.call("GET", f"/v1/{path}?node_id=stranger")) == (400, 100010)


@pytest.mark.parametrize(
    "path", ["user/nodes/config", "user/nodes/status", "user/nodes/params", "user/nodes/ota_update"]
)
def test_a_node_id_is_needed(bench, path):
    assert failure(bench.call("GET", f"/v1/{path}")) == (400, 100009)


def test_params_of_two_nodes_one_of_them_failing(bench):
    bench.join("n1")
    bench.join("n2", online=False)
    body = [{"node_id": name, "payload": {"Light": {"Power": True}}} for name in ("n1", "n2", "n3")]
    results = bench.ok("PUT", "/v1/user/nodes/params", json=body)
    assert [(result["node_id"], result["status"]) for result in results] == [
        ("n1", "success"), ("n2", "failure"), ("n3", "failure"),
    ]  # fmt: skip
    assert results[1]["description"] == "the node is offline"
    assert [topic for topic, _ in bench.sent()] == ["node/n1/params/remote"]


def test_params_in_the_older_form(bench):
    bench.join("n1")
    assert bench.ok("PUT", "/v1/user/nodes/params?nodeid=n1", json={"OTA": {"URL": "http://x"}})["status"] == "success"
    assert [(topic, json.loads(payload)) for topic, payload in bench.sent()] == [
        ("node/n1/params/remote", {"OTA": {"URL": "http://x"}})
    ]
    assert failure(bench.call("PUT", "/v1/user/nodes/params", json={"OTA": {}})) == (400, 100009)


def test_tags_and_metadata_over_http(bench):
    bench.join("n1")
    bench.ok("PUT", "/v1/user/nodes?node_id=n1", json={"tags": ["a:b", "c:d"], "metadata": {"k": "v"}})
    bench.call("DELETE", "/v1/user/nodes?node_id=n1", json={"tags": ["c:d"]})
    (detail,) = bench.ok("GET", "/v1/user/nodes?node_details=true")["node_details"]
    assert (detail["tags"], detail["metadata"]) == (["a:b"], {"k": "v"})
    assert bench.ok("GET", "/v1/user/nodes?tags=a:b")["nodes"] == ["n1"]
    assert bench.ok("GET", "/v1/user/nodes?tags=a:b,c:d")["nodes"] == []
    bench.ok("PUT", "/v1/user/nodes?node_id=n1", json={"metadata": None})
    (detail,) = bench.ok("GET", "/v1/user/nodes?node_details=true")["node_details"]
    assert detail["metadata"] == {}
    assert failure(bench.call("PUT", "/v1/user/nodes?node_id=n1", json={}))[0] == 400


def test_nodes_as_an_admin_sees_them(bench):
    bench.join("n1", "n2")
    bench.presence("n2", False)
    body = bench.ok("GET", "/v1/admin/nodes")
    assert body["nodes"] == ["n1", "n2"]
    assert body["node_info"][0] == {
        "node_id": "n1", "name": "Lamp", "type": "Lightbulb", "model": "lamp", "fw_version": "1.0.0",
        "node_status": "online", "registration_timestamp": NOW,
        "status": {"connectivity": {"connected": True, "timestamp": NOW * 1000}},
    }  # fmt: skip
    for query, nodes in {
        "node_status=offline": ["n2"], "status=online": ["n1"], "node_status=deactivated": [], "node_id=n2": ["n2"],
        "type=Lightbulb&model=lamp&fw_version=1.0.0": ["n1", "n2"], "type=Switch": [],
    }.items():  # fmt: skip
        assert bench.ok("GET", f"/v1/admin/nodes?{query}")["nodes"] == nodes
    for query in ("model=lamp", "type=Lightbulb&fw_version=1", "node_status=asleep"):
        assert failure(bench.call("GET", f"/v1/admin/nodes?{query}"))[0] == 400
