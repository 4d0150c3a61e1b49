"""What RainMaker has and this cloud has not says so; what nobody has is answered as RainMaker's gateway does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cloud_bench import expect, failure, user_token
from rainmaker_calls import RAINMAKER_CALLS

from py_esp_ota.cloud.api.absent import ABSENT
from py_esp_ota.cloud.refusals import Refusal

TABLE = {(call.method, f"/v1/{call.path}"): call for call in ABSENT}
NO_TOKEN = {"claim", "node", "forgotpassword"}
GATEWAY = (403, {"message": "Missing Authentication Token"})


@pytest.fixture
def served(api_document):
    return {(method.upper(), path) for path, methods in api_document["paths"].items() for method in methods}


def test_nothing_is_both_served_and_absent_and_nothing_is_twice_on_the_list(served):
    assert served & TABLE.keys() == set()
    assert len(TABLE) == len(ABSENT)


def test_every_documented_call_is_either_served_or_said_to_be_absent(served):
    assert RAINMAKER_CALLS - served - TABLE.keys() == set()
    assert TABLE.keys() <= RAINMAKER_CALLS
    own = {
        ("PUT", "/v1/ota/upload/{ota_image_id}"),  # these two are where the object store's links lead
        ("GET", "/v1/ota/image/{ota_image_id}/firmware.bin"),
        ("GET", "/v1/user/sessions"),
        ("DELETE", "/v1/user/sessions"),
        ("PUT", "/v1/admin/nodes/claim"),
        ("GET", "/v1/admin/events"),
        ("GET", "/v1/admin/events/export"),
    }
    served = {(method, path) for method, path in served if not path.startswith("/v1/local/")}
    assert served - RAINMAKER_CALLS == own


def test_an_absent_call_is_501_with_a_sentence_that_names_it(bench):
    for call in ABSENT:
        name = f"{call.method} /v1/{call.path}"
        path = f"/v1/{call.path}".replace("{node_id}", "n1").replace("{service}", "mail")
        answer = bench.call(call.method, path, params={"node_id": "n1"}, content=b"{not JSON")
        assert failure(answer) == expect(Refusal.NOT_SERVED) == (501, 100501), name
        assert name in answer.json()["description"]
        assert call.what in answer.json()["description"], name
        assert call.source, name


def test_who_may_not_call_it_hears_what_who_may_not_call_anything_hears(bench):
    user = user_token(bench)
    for method, path in sorted(TABLE):
        filled = re.sub(r"\{\w+\}", "x", path)
        _, _, first, *_ = path.split("/")
        stranger = bench.call(method, filled, token="")
        if first in NO_TOKEN:
            assert stranger.status_code == 501, path
        else:
            assert (stranger.status_code, stranger.json()) == (401, {"message": "Unauthorized"}), path
        refusal = Refusal.NOT_AN_ADMIN if first == "admin" else Refusal.NOT_SERVED
        assert failure(bench.call(method, filled, token=user)) == expect(refusal), path


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/user/node_groups"),  # none of RainMaker's
        ("PATCH", "/v1/user/node_automation"),  # an absent one, by a method that it does not have
        ("HEAD", "/v1/user/node_automation"),
        ("POST", "/v1/user/nodes/a/b/proxy/params"),
        ("GET", "/v2/user/node_automation"),
    ],
)
def test_what_is_not_on_the_list_stays_the_gateways(bench, method, path):
    answer = bench.call(method, path)
    assert answer.status_code == GATEWAY[0]
    if method != "HEAD":
        assert answer.json() == GATEWAY[1]


# ------------------------------------------------------------------------------------------------- what the docs say

FIDELITY = (Path(__file__).parents[2] / "docs" / "fidelity.md").read_text()
ROWS = [
    (method, path, body, int(status), words)
    for requests, status, words in re.findall(r"^\| (`[A-Z]+ /[^|]*`) \| (\d{3})(.*?) \|", FIDELITY, re.MULTILINE)
    for method, path, body in re.findall(r"`([A-Z]+) (/[^` ]*) ?([^`]*)`", requests)
]


def test_the_docs_say_something():
    assert len(ROWS) >= 20


@pytest.mark.parametrize(("method", "path", "body", "status", "words"), ROWS, ids=[" ".join(row[:3]) for row in ROWS])
def test_the_docs_tell_the_true_codes(bench, method, path, body, status, words):
    token = "" if "without a token" in words else None
    answer = bench.call(method, path, token=token, content=body.encode(), headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    for quoted in re.findall(r"`([^`]+)`", words):
        assert quoted in answer.text
