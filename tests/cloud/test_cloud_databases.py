"""What is the same in SQLite and in PostgreSQL, though they differ: order, texts, numbers, references."""

from __future__ import annotations

from functools import partial

import pytest
from cloud_bench import upload
from databases import ask, kind
from sqlalchemy import inspect
from sqlalchemy.exc import IntegrityError

from py_esp_ota.cloud.models import NodeTagRow

pytestmark = pytest.mark.both_databases

IDS = ["a", "B", "a_", "a-", "ab", "A", "b", "1", "10", "2", "Z-1", "z1"]


def every(find) -> list[str]:
    """Every item of a list that is read two at a time."""
    found, start_id = [], None
    while True:
        part = find(start_id=start_id, num_records=2)
        found += [item.node_id for item in part.items]
        if (start_id := part.next_id) is None:
            return found


def test_lists_are_in_the_order_of_code_points(bench):
    bench.join(*IDS)
    job = bench.job(*IDS)
    assert every(bench.service.nodes.find) == sorted(IDS)
    assert every(partial(bench.service.jobs.node_status, job)) == sorted(IDS)


NUL = ["a\0b", "\0", "é\0" * 100]


@pytest.mark.parametrize("text", NUL)
def test_what_no_text_of_postgresql_can_hold_finds_nothing(bench, text):
    bench.join("a")
    image = upload(bench)["ota_image_id"]
    calls = [
        ("GET", "/v1/user/nodes", {"params": {"node_id": text}}),
        ("GET", "/v1/admin/nodes", {"params": {"start_id": text}}),
        ("GET", "/v1/admin/otaimage", {"params": {"image_name": text}}),
        ("GET", "/v1/admin/otaimage", {"params": {"ota_image_id": text}}),
        ("GET", "/v1/admin/otajob", {"params": {"ota_job_id": text}}),
        ("GET", "/v1/admin/otajob", {"params": {"ota_job_name": text}}),
        ("POST", "/v1/admin/otajob", {"json": {"ota_job_name": "j", "ota_image_id": text, "nodes": ["a"]}}),
        ("POST", "/v1/admin/otajob", {"json": {"ota_job_name": "j", "ota_image_id": image, "nodes": [text]}}),
        ("POST", "/v1/login2", {"json": {"user_name": text, "password": text}}),
        ("PUT", "/v1/user/nodes", {"params": {"node_id": "a"}, "json": {"tags": [text]}}),
        ("PUT", "/v1/user/nodes", {"params": {"node_id": "a"}, "json": {"metadata": {text: text}}}),
        ("PUT", "/v1/user/nodes/mapping", {"json": {"node_id": text, "secret_key": text, "operation": "add"}}),
    ]
    for method, path, options in calls:
        assert bench.call(method, path, **options).status_code < 500, (method, path, options)


def test_what_a_node_says_is_kept_as_it_came(bench):
    bench.join("n1")
    bench.hear("n1", "params/local", {"Light": {"a\0": "b\0"}})
    assert bench.service.nodes.detail("n1").params == {"Light": {"a\0": "b\0"}}


@pytest.mark.parametrize("number", [2**31, 2**53, 2**63 - 1, 2**63, 2**200, -(2**63) - 1])
def test_numbers_of_any_width_are_taken_or_refused(bench, number):
    bench.join("n1")
    image = upload(bench)["ota_image_id"]
    for field in ("timeout", "priority"):
        body = {"ota_job_name": "j", "ota_image_id": image, "nodes": ["n1"], field: number}
        assert bench.call("POST", "/v1/admin/otajob", json=body).status_code < 500, (field, number)
    job = bench.job("n1")
    bench.hear("n1", "otastatus", {"ota_job_id": job, "status": "success", "additional_info": "", "ts": number})
    assert bench.call("GET", f"/v1/admin/otajob?start_id={number}").status_code < 500


def test_a_reference_to_nothing_is_refused(bench):
    with pytest.raises(IntegrityError), bench.store.begin() as tx:
        tx.add(NodeTagRow(node_id="nobody", tag="a:b"))


def test_every_text_of_postgresql_sorts_by_its_bytes(bench):
    """Nothing of the host's: neither its language, nor what an update of its C library makes of it."""
    if kind(bench.store) != "postgresql":
        pytest.skip("SQLite sorts by bytes unless told otherwise")
    with bench.store.begin() as tx:
        columns = tx.connection().exec_driver_sql(
            "SELECT table_name || '.' || column_name, collation_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND data_type = 'text'"
        )
        found = dict(tuple(row) for row in columns)
    assert len(found) > 20
    assert {name for name, collation in found.items() if collation != "C"} == set()
    assert ask(bench.store, "SELECT 'a' < 'B'") is True, "and the server itself would have it otherwise"
    assert inspect(bench.store._engine).get_pk_constraint("node")["constrained_columns"] == ["node_id"]
