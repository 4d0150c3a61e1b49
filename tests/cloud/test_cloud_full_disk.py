"""A disk without room: 507 and one sentence, nothing half stored, and everything works again once there is room."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from cloud_bench import Bench, base64_text, done, expect, failure, refused

from py_esp_ota.cloud.refusals import Refusal
from py_esp_ota.firmware import Firmware

BIG = Firmware("lamp", "2.0.0", size=256 << 10).to_bytes()
FULL = expect(Refusal.STORAGE_FULL)
LONG = {f"key {number}": "x" * 1000 for number in range(90)}


def pragma(bench: Bench, text: str) -> int:
    with bench.store.begin() as tx:
        return int(tx.connection().exec_driver_sql(f"PRAGMA {text}").scalar_one())


def fill(bench: Bench) -> list[str]:
    """From now on no page is free; what is stored."""
    bench.join("n1")
    _ = bench.token
    pragma(bench, f"max_page_count={pragma(bench, 'page_count')}")
    return dump(bench)


def make_room(bench: Bench) -> None:
    pragma(bench, "max_page_count=1000000")


def dump(bench: Bench) -> list[str]:
    with bench.store.begin() as tx:
        return list(tx.connection().connection.driver_connection.iterdump())


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
    assert dump(bench) == before
    assert bench.ok("GET", "/v1/admin/otaimage")["total"] == 0  # reading needs no room
    make_room(bench)
    assert WRITES[write](bench).status_code == 200
    assert "Traceback" not in caplog.text


def test_an_upload_by_link_can_be_sent_again(bench):
    request = bench.ok("GET", "/v1/admin/otaimage/upload_request?image_name=big")
    before = fill(bench)
    path = request["upload_url"].removeprefix("http://cloud.lab")
    assert failure(bench.call("PUT", path, content=BIG)) == FULL
    assert dump(bench) == before
    confirm = {"ota_image_id": request["ota_image_id"]}
    answer = bench.call("POST", "/v1/admin/otaimage/upload_confirm", json=confirm)
    assert failure(answer) == expect(Refusal.UPLOAD_EMPTY)
    make_room(bench)
    bench.ok("PUT", path, content=BIG)
    bench.ok("POST", "/v1/admin/otaimage/upload_confirm", json=confirm)


def test_logins_and_sign_ups_end_as_clearly(bench):
    fill(bench)
    with refused(Refusal.STORAGE_FULL):
        for number in range(500):
            done(bench.accounts.sign_up(f"{'a' * 100}{number}@example.com", "a long secret"))
    sent = len(bench.mail)
    with refused(Refusal.STORAGE_FULL):
        for number in range(500):
            done(bench.accounts.sign_up(f"{'b' * 100}{number}@example.com", "a long secret"))
    assert len(bench.mail) == sent  # no code without an account


def test_a_nodes_report_is_one_line_in_the_log(bench, caplog):
    before = fill(bench)
    bench.hear("n1", "params/local", {"Light": LONG})
    (line,) = caplog.records
    assert line.getMessage() == "ignored a message of node n1: the disk is full: nothing was stored"
    assert line.exc_info is None
    assert dump(bench) == before
    make_room(bench)
    bench.hear("n1", "params/local", {"Light": LONG})
    assert bench.service.node_detail("n1").params == {"Light": LONG}
