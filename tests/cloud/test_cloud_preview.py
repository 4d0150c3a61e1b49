"""What keeps nodes from an image, foretold before a job is started."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cloud_bench import Bench, expect, failure, refused
from sqlalchemy import insert
from stopwatch import quickest

from py_esp_ota.cloud import previews
from py_esp_ota.cloud.boards import AppFact, BoardFacts, OtadataFact, TableRow
from py_esp_ota.cloud.jobs import ALL_NODES
from py_esp_ota.cloud.models import BoardRow, NodeRow
from py_esp_ota.cloud.plan import Plan
from py_esp_ota.cloud.preview import ImageFacts, NodeFacts, Options, obstacles
from py_esp_ota.cloud.refusals import Refusal
from py_esp_ota.firmware import Firmware

IMAGE = ImageFacts(project="lamp", version="1.1.0", chip="esp32c3", size=0x10_0000, secure_version=1)
NODE = NodeFacts(version="1.0.0", project="lamp", chip="esp32c3", online=True, has_user=True)
SLOTS = (
    TableRow(label="ota_0", type=0, subtype=0x10, offset=0x1_0000, size=0x10_0000),
    TableRow(label="ota_1", type=0, subtype=0x11, offset=0x11_0000, size=0x10_0000),
)
BOARD = BoardFacts(
    chip="esp32c3",
    chip_revision=3,
    table=SLOTS,
    rollback=True,
    secure_version=1,
    secure_boot=False,
    flash_encryption=False,
    runs="ota_0",
)
PUSH, APPROVAL, ASKED = Options(force_push=True), Options(user_approval=True), Options()
_FACTORY = TableRow(label="factory", type=0, subtype=0, offset=0x1_0000, size=0x10_0000)
_SMALL = TableRow(label="ota_1", type=0, subtype=0x11, offset=0x11_0000, size=0xF_0000)
_PENDING = (OtadataFact(sequence=3, state="PENDING_VERIFY"), OtadataFact(sequence=2, state="VALID"))


changed = replace


def board(**changes) -> NodeFacts:
    return changed(NODE, board=changed(BOARD, **changes))


def reasons(image: ImageFacts, node: NodeFacts, options: Options = PUSH) -> list[str]:
    return [each.reason for each in obstacles(image, node, options)]


def test_a_node_that_takes_it_has_no_obstacle():
    assert reasons(IMAGE, NODE) == reasons(IMAGE, board()) == []


@pytest.mark.parametrize(
    ("image", "node", "options", "reason"),
    [
        (IMAGE, changed(NODE, version="1.1.0"), ASKED, "up_to_date"),
        (IMAGE, changed(NODE, version="1.1.0"), PUSH, "same_version"),
        (IMAGE, changed(NODE, has_user=False), APPROVAL, "no_user"),
        (IMAGE, changed(NODE, before="job"), PUSH, "earlier_job"),
        (IMAGE, changed(NODE, online=False), PUSH, "offline"),
        (IMAGE, changed(NODE, version=""), PUSH, "not_introduced"),
        (IMAGE, changed(NODE, project="fan"), PUSH, "project"),
        (IMAGE, changed(NODE, chip="esp32s3"), PUSH, "chip"),
        (IMAGE, board(table=(_FACTORY,)), PUSH, "no_slot"),
        (changed(IMAGE, secure_version=0), board(), PUSH, "secure_version"),
        (changed(IMAGE, min_chip_revision=4), board(), PUSH, "chip_revision"),
        (changed(IMAGE, max_chip_revision=2), board(), PUSH, "chip_revision_above"),
        (IMAGE, board(table=SLOTS[:1]), PUSH, "one_slot"),
        (IMAGE, board(otadata=_PENDING), PUSH, "unconfirmed"),
        (IMAGE, board(table=(SLOTS[0], _SMALL)), PUSH, "slot_too_small"),
        (IMAGE, board(secure_boot=True), PUSH, "unsigned"),
        (IMAGE, board(rollback=False), PUSH, "no_rollback"),
    ],
)  # fmt: skip
def test_each_obstacle_alone(image, node, options, reason):
    assert reasons(image, node, options) == [reason]
    (found,) = obstacles(image, node, options)
    assert found.sentence
    assert found.advice
    assert (found.refused_by != "") == (found.certainty in {"will_refuse", "may_refuse", "risk"})


def test_obstacles_come_in_the_order_in_which_a_device_meets_them():
    node = board(table=(SLOTS[0], _SMALL), secure_boot=True, secure_version=2)
    node = changed(node, project="fan", chip="esp32s3", version="1.1.0")
    found = ["project", "same_version", "secure_version", "chip", "slot_too_small", "unsigned"]
    assert reasons(IMAGE, node) == found


def test_what_is_not_known_foretells_nothing():
    assert reasons(IMAGE, changed(NODE, board=BoardFacts())) == []
    assert reasons(changed(IMAGE, chip=""), changed(NODE, chip="esp32s3")) == []
    assert reasons(IMAGE, board(runs="", apps=(AppFact(slot="ota_0", project="lamp", version="1"),))) == []


# --------------------------------------------------------------------------------------------------------------- asked


def ask(bench: Bench, image, *nodes: str, **options):
    return bench.service.previews.preview("job", image.ota_image_id, nodes=nodes, **options)


def test_nodes_are_counted_by_reason_and_listed(bench):
    image = bench.image()
    bench.join("a", "b", project_name="fan")
    bench.join("c", online=False)
    bench.join("d")
    found = ask(bench, image, "a", "b", "c", "d", force_push=True)
    assert (found.total, found.offline, found.ready) == (4, 1, 2)
    assert [(each.obstacle.reason, each.count, list(each.examples)) for each in found.reasons] == [
        ("offline", 1, ["c"]),
        ("project", 2, ["a", "b"]),
    ]
    assert bench.sent() == []
    assert bench.service.jobs.find().total == 0
    first = ask(bench, image, "a", "b", "c", "d", reason="project", num_records=1)
    assert ([each.node_id for each in first.page], first.page_total, first.next_id) == (["a"], 2, "b")
    ready = ask(bench, image, "a", "b", "c", "d", reason="ready")
    assert [each.node_id for each in ready.page] == ["c", "d"]
    with refused(Refusal.INVALID_REQUEST):
        ask(bench, image, "a", reason="bad luck")


def test_a_job_of_higher_priority_comes_first(bench):
    image = bench.image()
    bench.join("a")
    job = bench.job("a", priority=2, name="urgent")
    (reason,) = ask(bench, image, "a").reasons
    assert (reason.obstacle.reason, job in reason.obstacle.sentence) == ("earlier_job", True)
    assert ask(bench, image, "a", priority=2).reasons == []


def test_a_preview_is_refused_as_the_job_would_be(bench):
    image = bench.image()
    bench.join("a", "b")
    with refused(Refusal.JOB_PLAN):
        ask(bench, image, "a", "b", plan=Plan(phases=("1",)))
    with refused(Refusal.NODE_NOT_OF_USER):
        ask(bench, image, "nobody")
    bench.service.images.archive(image.ota_image_id)
    with refused(Refusal.IMAGE_ARCHIVED):
        ask(bench, image, "a")
    bench.service.images.delete(image.ota_image_id)
    with refused(Refusal.IMAGE_UNKNOWN):
        ask(bench, image, "a")
    assert bench.service.jobs.find().total == 0


def test_ten_thousand_nodes_are_foretold_within_300_ms(bench, monkeypatch):
    image = bench.image()
    rows = [
        {
            "node_id": f"n{number:05}", "name": "", "type": "Lightbulb", "model": "lamp", "project_name": "lamp",
            "fw_version": f"1.0.{number % 7}", "platform": "esp32c3" if number % 100 else "esp32", "network_id": "",
            "config": {}, "params": {}, "metadata": {}, "connected": False, "connectivity_timestamp": 0,
            "registration_timestamp": 0,
        }
        for number in range(10_000)
    ]  # fmt: skip
    known = [changed(BOARD, secure_version=least).to_json() for least in (0, 9)]
    boards = [
        {"node_id": row["node_id"], "facts": known[number % 10 == 0], "noted_timestamp": 0}
        for number, row in enumerate(rows)
    ]
    with bench.store.connect() as tx:
        tx.execute(insert(NodeRow.__table__), rows)
        tx.execute(insert(BoardRow.__table__), boards)
    ask_all = lambda: bench.service.previews.preview("job", image.ota_image_id, groups=[ALL_NODES])  # noqa: E731
    assert ask_all().total == 10_000
    judged: list[NodeFacts] = []
    monkeypatch.setattr(
        previews, "obstacles", lambda image, node, how: judged.append(node) or obstacles(image, node, how)
    )
    assert quickest(ask_all, below=0.3) < 0.3
    judged.clear()
    found = ask_all()
    assert [(each.obstacle.reason, each.count) for each in found.reasons] == [
        ("offline", 10_000),
        ("secure_version", 1_000),
        ("chip", 100),
    ]
    assert len(judged) == 21  # of seven versions, two chips and two boards those that are there


# ---------------------------------------------------------------------------------------------------------- wrong chip


def test_a_wrong_chip_is_not_started_by_accident(bench):
    image = bench.service.images.add("s3", Firmware("lamp", "1.1.0", chip="esp32s3").to_bytes())
    bench.join("a", "b")
    with refused(Refusal.WRONG_CHIP) as told:
        bench.job("a", "b", image=image)
    assert "a (esp32c3), b (esp32c3)" in str(told.value)
    assert bench.service.jobs.find().total == 0
    assert ask(bench, image, "a").refusal.refusal is Refusal.WRONG_CHIP
    assert ask(bench, image, "a", allow_wrong_chip=True).refusal is None
    assert bench.states(bench.job("a", image=image, allow_wrong_chip=True)) == {"a": "triggered"}


def test_the_api_previews_with_the_words_of_a_job(bench):
    image = bench.image()
    bench.join("a")
    bench.join("b", project_name="fan")
    body = {
        "ota_job_name": "j",
        "ota_image_id": image.ota_image_id,
        "nodes": ["a", "b"],
        "plan": {"phases": ["1", "rest"]},
    }
    found = bench.ok("POST", "/v1/local/otajob/preview?force_push=true&num_records=1", json=body)
    assert (found["total"], found["ready"], found["phases"], found["next_id"]) == (2, 1, [1, 1], "b")
    (reason,) = found["reasons"]
    assert (reason["reason"], reason["count"], reason["examples"]) == ("project", 1, ["b"])
    assert (reason["refused_by"], reason["reported"]) == ("validate_image_header", "Project Name mismatch")
    assert bench.ok("GET", "/v1/admin/otajob")["total"] == 0
    bad = bench.call("POST", "/v1/local/otajob/preview", json={**body, "plan": {"phases": ["1"]}})
    assert failure(bad) == expect(Refusal.JOB_PLAN)


def test_the_api_starts_a_wrong_chip_only_for_who_says_so(bench):
    image = bench.service.images.add("s3", Firmware("lamp", "1.1.0", chip="esp32s3").to_bytes())
    bench.join("a")
    body = {"ota_job_name": "j", "ota_image_id": image.ota_image_id, "nodes": ["a"]}
    assert failure(bench.call("POST", "/v1/admin/otajob", json=body)) == expect(Refusal.WRONG_CHIP)
    assert bench.ok("POST", "/v1/local/otajob/preview", json=body)["refusal"]["error_code"] == 106013
    bench.ok("POST", "/v1/admin/otajob?allow_wrong_chip=true", json=body)
