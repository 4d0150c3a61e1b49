"""A disk without room: 507 and one sentence, nothing half stored, and everything works again once there is room."""

from __future__ import annotations

from collections.abc import Callable

import databases
import pytest
from cloud_bench import Bench, base64_text, expect, failure
from databases import dump, make_room
from sqlalchemy.exc import DatabaseError

from py_esp_ota.cloud.refusals import Refusal
from py_esp_ota.cloud.web import mount_web
from py_esp_ota.firmware import Firmware
from py_esp_ota.ports import Message
from py_esp_ota.rainmaker.messages import OTASTATUS, OtaStatusReport, topic

pytestmark = pytest.mark.both_databases

BIG = Firmware("lamp", "2.0.0", size=256 << 10).to_bytes()
FULL = expect(Refusal.STORAGE_FULL)
LONG = {f"key {number}": "x" * 1000 for number in range(90)}


def fill(bench: Bench) -> list[str]:
    """From now on there is no room; what is stored."""
    bench.join("n1")
    _ = bench.token
    databases.fill(bench.store)
    return dump(bench.store)


WRITES: dict[str, Callable[[Bench], object]] = {
    "upload": lambda bench: bench.call(
        "POST", "/v1/admin/otaimage", json={"image_name": "big", "base64_fwimage": base64_text(BIG)}
    ),
    "metadata": lambda bench: bench.call("PUT", "/v1/user/nodes?node_id=n1", json={"metadata": LONG}),
    "tags": lambda bench: bench.call(
        "PUT", "/v1/user/nodes?node_id=n1", json={"tags": [f"{number}:{'y' * 120}" for number in range(100)]}
    ),
}


@pytest.mark.parametrize("write", WRITES)
def test_every_write_is_507_and_leaves_nothing_behind(bench, caplog, write):
    before = fill(bench)
    for _ in range(2):
        answer = WRITES[write](bench)
        assert failure(answer) == FULL
        assert answer.json()["description"] == "the disk is full: nothing was stored"
    assert dump(bench.store) == before
    assert bench.ok("GET", "/v1/admin/otaimage")["total"] == 0  # reading needs no room
    make_room(bench.store)
    assert WRITES[write](bench).status_code == 200
    assert "Traceback" not in caplog.text


def test_an_upload_by_link_can_be_sent_again(bench):
    request = bench.ok("GET", "/v1/admin/otaimage/upload_request?image_name=big")
    before = fill(bench)
    path = request["upload_url"].removeprefix("http://cloud.lab")
    assert failure(bench.call("PUT", path, content=BIG)) == FULL
    assert dump(bench.store) == before
    confirm = {"ota_image_id": request["ota_image_id"]}
    answer = bench.call("POST", "/v1/admin/otaimage/upload_confirm", json=confirm)
    assert failure(answer) == expect(Refusal.UPLOAD_EMPTY)
    make_room(bench.store)
    bench.ok("PUT", path, content=BIG)
    bench.ok("POST", "/v1/admin/otaimage/upload_confirm", json=confirm)


def test_logins_and_sign_ups_end_as_clearly(bench):
    fill(bench)
    for letter in "ab":
        statuses = set()
        for number in range(500):
            account = {"user_name": f"{letter * 100}{number}@example.com", "password": "a long secret"}
            sent = len(bench.mail)
            answer = bench.call("POST", "/v1/user2", json=account)
            statuses.add(answer.status_code)
            if answer.status_code == 507:
                assert failure(answer) == FULL
                assert len(bench.mail) == sent  # no code without an account
                break
        assert statuses <= {201, 507}
        assert 507 in statuses


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["form", "htmx"])
def test_the_page_says_so_too(bench, headers):
    mount_web(bench.app, bench.service)
    before = fill(bench)
    answer = bench.call("POST", "/images/upload", files={"file": ("big.bin", BIG)}, headers=headers)
    assert answer.status_code == 507
    assert "the disk is full: nothing was stored" in answer.text.lower()
    assert ("<html" in answer.text) == (not headers)
    assert dump(bench.store) == before


def test_who_has_nobody_to_tell_sees_the_database_fail(bench):
    """A report may wait for room and a deadline for its hour: that is for those who know how to wait."""
    before = fill(bench)
    with pytest.raises(DatabaseError, match=r"full|No space"):
        bench.hear("n1", "params/local", {"Light": LONG})
    assert dump(bench.store) == before
    make_room(bench.store)
    bench.hear("n1", "params/local", {"Light": LONG})
    assert bench.service.nodes.detail("n1").params == {"Light": LONG}


def test_a_batch_is_stored_whole_or_not_at_all(bench):
    bench.join("n1", "n2")
    job = bench.job("n1", "n2")
    body = OtaStatusReport(ota_job_id=job, status="in-progress", additional_info="x" * 80, ts=5).encode()
    batch = [Message(topic(f"n{number % 2 + 1}", OTASTATUS), body) for number in range(200)]
    before = fill(bench)
    with pytest.raises(DatabaseError, match=r"full|No space"):
        bench.service.intake.take(batch)
    assert dump(bench.store) == before
    assert bench.states(job) == {"n1": "triggered", "n2": "triggered"}
    make_room(bench.store)
    bench.service.intake.take(batch)
    assert bench.states(job) == {"n1": "in-progress", "n2": "in-progress"}
    assert len([line for line in bench.service.jobs.history(job) if line.by_node]) == 200
