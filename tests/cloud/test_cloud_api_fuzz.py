"""The API, attacked from its own OpenAPI document: whatever comes in, what goes out is JSON and no crash."""

from __future__ import annotations

import json

import pytest
from cloud_bench import Bench
from documented import document_of
from few_rehearsals import FewRehearsals
from few_virtual_nodes import FewVirtualNodes
from hypothesis import given, settings
from hypothesis import strategies as st

with_nothing = Bench()
OPERATIONS = [
    (method.upper(), path, operation)
    for path, methods in document_of(with_nothing.app).document["paths"].items()
    for method, operation in methods.items()
]
with_nothing.store.close()

WORDS = [
    "n1",
    "fw",
    "true",
    "1",
    "0",
    "-1",
    "x",
    "ota_job_id",
    "FFFF-FFFF",
    "\x00",
    "%",
    "\ud800",
    "9" * 40,
    "",
    "null",
    "\u202e",
]
texts = st.sampled_from(WORDS) | st.text(max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
KEYS = [
    "user_name", "password", "refreshtoken", "verification_code", "image_name", "base64_fwimage", "fw_version",
    "ota_image_id", "ota_job_id", "ota_job_name", "nodes", "groups", "metadata", "priority", "timeout", "archive",
    "node_id", "payload", "tags", "operation", "user_id", "description", "model", "type",
    "group_name", "parent_group_id", "node_model", "node_presence", "regroup", "custom_data", "mutually_exclusive",
    "count", "partitions", "prefix", "rollback", "weather", "node_ids", "act",
]  # fmt: skip
bodies = (values | st.dictionaries(st.sampled_from(KEYS), values, max_size=8)).map(json.dumps).map(str.encode)
HOSTILE = [b"[" * 10_000, b'{"metadata":' * 10_000, b'{"user_name":"\xff"}', b"9" * 10_000, b'{"a":NaN}', b"\x00", b""]
content = bodies | st.sampled_from(HOSTILE) | st.binary(max_size=40)


@pytest.fixture(scope="module")
def attacked():
    bench = Bench(virtual_nodes=FewVirtualNodes(), rehearsals=FewRehearsals())
    bench.service.outbox.start()
    bench.join("n1")
    bench.job("n1", image=bench.image(name="fw"))
    yield bench
    bench.store.close()


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=[f"{m} {p}" for m, p, _ in OPERATIONS])
def test_no_request_crashes_the_server(attacked, method, path, operation):
    names = [parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "query"]
    attacked.__dict__.pop("token", None)  # another operation may have logged out
    encoded = texts.map(lambda word: word.encode("utf-8", "replace").decode())

    @settings(max_examples=max(settings().max_examples // 3, 1))  # times some forty operations
    @given(st.fixed_dictionaries({}, optional=dict.fromkeys(names, encoded)), content)
    def attack(query, body):
        target = path.replace("{ota_image_id}", "x").replace("{node_id}", "x")
        options = {"params": query, "content": body, "headers": {"Content-Type": "application/json"}}
        answer = attacked.call(method, target, raise_app_exceptions=False, **options)
        assert answer.status_code < 500, answer.text
        if answer.headers["content-type"] == "application/octet-stream":
            assert all(json.loads(line) for line in answer.text.splitlines())
            return
        assert answer.json() is not None
        if answer.status_code >= 400:
            assert {"message"} == set(answer.json()) or answer.json()["status"] == "failure"

    attack()
