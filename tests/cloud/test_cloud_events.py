"""The log of events is the truth: rows of jobs, of nodes' states and of images follow from it, whatever happened."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing, suppress
from itertools import count

import pytest
from cloud_bench import Bench, base64_text, expect, failure, refused, user_token
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cloud_upgrade import RELEASE

from py_esp_ota.cloud.event_log import Wanted
from py_esp_ota.cloud.events import THE_CLOCK, Actor, By, Event, Kind
from py_esp_ota.cloud.jobs import fold_job
from py_esp_ota.cloud.models import ImageRow, JobNodeRow, JobRow, PushRow
from py_esp_ota.cloud.rebuild import rebuild
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.store import Store
from py_esp_ota.firmware import Firmware

NODES = ("n1", "n2", "n3")
NUMBERS = count(10_000)  # no restart gives an id for the second time
TABLES = (JobRow, JobNodeRow, ImageRow, PushRow)

# ------------------------------------------------------------------------------------------------------------ histories


def rows(bench: Bench) -> dict[str, list[tuple[object, ...]]]:
    with bench.store.connect() as tx:
        return {
            row.__tablename__: sorted(map(repr, tx.execute(row.__table__.select()).all()))  # type: ignore[attr-defined]
            for row in TABLES
        }


def restart(bench: Bench) -> None:
    """The same database, and nothing that was in memory."""
    bench.service = CloudService(
        bench.store,
        clock=bench.clock,
        public_url="http://cloud.lab",
        token_hex=lambda size: f"{next(NUMBERS) * 7919:0{2 * size}x}"[: 2 * size],
    )
    bench.service.outbox.start()


STATUSES = ("in-progress", "success", "rejected", "failed", "delayed", "invalid", "nonsense")
Step = st.one_of(
    st.tuples(st.just("presence"), st.sampled_from(NODES), st.booleans()),
    st.tuples(st.just("job"), st.lists(st.sampled_from(NODES), min_size=1, unique=True), st.booleans(), st.booleans()),
    st.tuples(st.just("fetch"), st.sampled_from(NODES), st.sampled_from(["1.0.0", "1.1.0"])),
    st.tuples(st.just("report"), st.sampled_from(NODES), st.integers(0, 3), st.sampled_from(STATUSES)),
    st.tuples(st.just("approve"), st.sampled_from(NODES), st.integers(0, 3)),
    st.tuples(st.just("cancel"), st.integers(0, 3)),
    st.tuples(st.just("archive"), st.integers(0, 3)),
    st.tuples(st.just("expire"), st.integers(-2_000_000, 2_000_000)),
    st.tuples(st.just("image"), st.sampled_from(["upload", "archive", "unarchive", "delete"]), st.integers(0, 3)),
    st.tuples(st.just("forget"), st.sampled_from(NODES)),
    st.tuples(st.just("acknowledge")),
    st.tuples(st.just("restart")),
)


class Story:
    """Random acts on one cloud; what is refused has not happened."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.bench.service.outbox.start()
        self.bench.join(*NODES)
        self.images = [self.bench.image("1.1.0").ota_image_id]
        self.jobs: list[str] = []

    def play(self, step: tuple[object, ...]) -> None:
        name, *arguments = step
        with suppress(CloudError):
            getattr(self, str(name))(*arguments)

    def presence(self, node_id: str, connected: bool) -> None:
        self.bench.presence(node_id, connected)

    def job(self, nodes: list[str], force_push: bool, user_approval: bool) -> None:
        view = self.bench.service.jobs.create(
            "j", self.images[-1], nodes=nodes, force_push=force_push, user_approval=user_approval, timeout=1_000_000
        )
        self.jobs.append(view.job.ota_job_id)

    def _job(self, which: int) -> str:
        return self.jobs[which % len(self.jobs)] if self.jobs else "none"

    def fetch(self, node_id: str, version: str) -> None:
        self.bench.hear(node_id, "otafetch", {"node_id": node_id, "fw_version": version})

    def report(self, node_id: str, which: int, status: str) -> None:
        self.bench.report(node_id, self._job(which), status, "words")

    def approve(self, node_id: str, which: int) -> None:
        self.bench.service.jobs.approve_update(node_id, self._job(which))

    def cancel(self, which: int) -> None:
        self.bench.service.jobs.cancel(self._job(which))

    def archive(self, which: int) -> None:
        self.bench.service.jobs.archive(self._job(which))

    def forget(self, node_id: str) -> None:
        self.bench.service.nodes.forget([node_id])

    def expire(self, seconds: int) -> None:
        self.bench.clock.time += seconds
        self.bench.service.campaigns.look()

    def image(self, act: str, which: int) -> None:
        images = self.bench.service.images
        if act == "upload":
            name = f"fw{len(self.images)}"
            self.images.append(images.add(name, Firmware("lamp", f"1.{len(self.images)}.0").to_bytes()).ota_image_id)
            return
        ota_image_id = self.images[which % len(self.images)]
        if act == "delete":
            images.delete(ota_image_id)
        else:
            images.archive(ota_image_id, archived=act == "archive")

    def acknowledge(self) -> None:
        outbox = self.bench.service.outbox
        for letter in outbox._letters:
            if letter.arrived is not None:
                letter.arrived()
        outbox._letters.clear()
        self.bench.service.intake.take([])

    def restart(self) -> None:
        restart(self.bench)


@pytest.mark.timeout(600)  # in PostgreSQL, beside others
@settings(max_examples=3 * settings().max_examples)
@given(st.lists(Step, max_size=40))
def test_the_rows_are_told_again_by_the_log(steps):
    story = Story()
    for step in steps:
        story.play(step)
    story.bench.service.turns.catch_up()
    before = rows(story.bench)
    rebuild(story.bench.store)
    assert rows(story.bench) == before
    story.bench.store.close()


@settings(max_examples=2 * settings().max_examples)
@given(st.lists(Step, max_size=30))
def test_what_is_decided_from_memory_is_what_the_rows_say(steps):
    """Each job as it is answered, beside the same after a restart, which has nothing but the rows."""
    story = Story()
    for step in steps:
        story.play(step)
    service = story.bench.service
    service.turns.catch_up()
    answers = [(service.jobs.get(job), [service.jobs.state(job, node) for node in NODES]) for job in story.jobs]
    restart(story.bench)
    again = story.bench.service.jobs
    assert [(again.get(job), [again.state(job, node) for node in NODES]) for job in story.jobs] == answers
    assert [view.job.ota_job_id for view in again.find(archived=None, num_records=1000).items] == story.jobs[::-1]
    story.bench.store.close()


def test_a_row_that_lies_is_mended(bench):
    bench.join("n1")
    job = bench.job("n1")
    bench.report("n1", job, "success")
    with bench.store.begin() as tx:
        tx.get(JobNodeRow, (1, "n1")).status = "failed"
        tx.get(JobRow, 1).counts = {"failed": 1}
    assert bench.states(job) == {"n1": "failed"}
    rebuild(bench.store)
    restart(bench)
    assert bench.states(job) == {"n1": "success"}
    assert bench.service.jobs.get(job).status.value == "completed"


def test_nothing_happens_to_a_job_before_it_is_made():
    event = Event(kind=Kind.JOB_CANCELLED, time=1, by=THE_CLOCK, ota_job_id="x")
    with pytest.raises(ValueError, match="job_cancelled before the job x was created"):
        fold_job(None, event)


# --------------------------------------------------------------------------------------------------- what is in the log


def kinds(bench: Bench, **wanted: object) -> list[str]:
    return [entry.event.kind.value for piece in bench.service.log.all(Wanted(**wanted)) for entry in piece]


def test_the_life_of_a_job_is_in_the_log_with_who_did_it(bench):
    bench.join("n1", "n2")
    image = bench.image()
    job = bench.service.jobs.create("j", image.ota_image_id, nodes=["n1", "n2"], by=By(Actor.ADMIN, "ann")).job
    bench.fetch("n1")
    bench.report("n1", job.ota_job_id, "success", "done")
    bench.fetch("n2", fw_version="1.1.0")
    bench.service.jobs.cancel(job.ota_job_id, by=By(Actor.ADMIN, "bob"))
    bench.service.jobs.archive(job.ota_job_id)
    entries = [entry.event for piece in bench.service.log.all(Wanted(ota_job_id=job.ota_job_id)) for entry in piece]
    assert [(event.kind.value, event.by.actor.value, event.by.who, event.node_id) for event in entries] == [
        ("job_created", "admin", "ann", ""),
        ("released", "clock", "", ""),
        ("url_sent", "cloud", "", "n1"),
        ("reported", "node", "n1", "n1"),
        ("up_to_date", "cloud", "", "n2"),
        ("job_cancelled", "admin", "bob", ""),
        ("job_archived", "admin", "", ""),
    ]
    assert entries[3].data == {"status": "success", "additional_info": "done", "ts": 5}


def test_images_and_nodes_are_in_the_log(bench):
    bench.join("n1")
    image = bench.image()
    bench.service.images.archive(image.ota_image_id)
    bench.service.images.archive(image.ota_image_id)  # twice changes nothing
    bench.service.images.archive(image.ota_image_id, archived=False)
    bench.service.images.delete(image.ota_image_id)
    assert kinds(bench, ota_image_id=image.ota_image_id) == [
        "image_uploaded",
        "image_archived",
        "image_unarchived",
        "image_deleted",
    ]
    assert kinds(bench, node_id="n1") == ["node_joined"]


def test_a_refused_act_leaves_no_event(bench):
    bench.join("n1")
    job = bench.job("n1")
    before = kinds(bench)
    with refused(Refusal.JOB_NOT_CANCELLED):
        bench.service.jobs.archive(job)
    with refused(Refusal.NODE_NOT_OF_USER):
        bench.job("n1", "n9", image=bench.service.images.find().items[0])
    assert kinds(bench) == before


# ----------------------------------------------------------------------------------------------------------------- REST


def test_the_audit_log_is_read_newest_first_page_by_page(bench):
    assert bench.token  # a login is the first event
    bench.join("n1")
    job = bench.job("n1")
    bench.fetch("n1")
    first = bench.ok("GET", "/v1/admin/events?num_records=2")
    assert [event["kind"] for event in first["events"]] == ["url_sent", "released"]
    rest = bench.ok("GET", f"/v1/admin/events?start_id={first['next_id']}")
    assert [event["kind"] for event in rest["events"]] == [
        "job_created",
        "image_uploaded",
        "node_joined",
        "logged_in",
    ]
    assert "next_id" not in rest
    event = first["events"][0]
    assert event["ota_job_id"] == job
    assert event["node_id"] == "n1"
    assert (event["actor"], event["data"]["additional_info"]) == ("cloud", "OTA URL Sent to Node")
    assert "user_name" not in event


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("kind=job_created", ["job_created"]),
        ("actor=node", ["node_joined"]),
        ("who=admin%40example.com", ["job_created", "image_uploaded", "logged_in"]),
        ("node_id=n1&actor=cloud", ["url_sent"]),
        ("since=1767225600000&kind=url_sent", ["url_sent"]),
        ("until=1767225600000", []),
    ],
)
def test_the_audit_log_is_filtered(bench, query, found):
    bench.join("n1")
    body = {"image_name": "fw", "base64_fwimage": base64_text(Firmware("lamp", "2").to_bytes())}
    image = bench.ok("POST", "/v1/admin/otaimage", json=body)["ota_image_id"]
    bench.ok("POST", "/v1/admin/otajob", json={"ota_job_name": "j", "ota_image_id": image, "nodes": ["n1"]})
    bench.fetch("n1")
    answer = bench.ok("GET", f"/v1/admin/events?{query}")
    assert [event["kind"] for event in answer["events"]] == found


def test_the_audit_log_is_exported_oldest_first_as_lines_of_json(bench):
    assert bench.token
    bench.join("n1")
    bench.job("n1")
    answer = bench.call("GET", "/v1/admin/events/export?actor=admin")
    assert answer.headers["content-type"] == "application/octet-stream"
    found = [json.loads(line)["kind"] for line in answer.text.splitlines()]
    assert found == ["logged_in", "image_uploaded", "job_created"]


def test_an_export_ends_however_fast_nodes_report(bench):
    bench.join("n1")
    job = bench.job("n1")
    before = len(kinds(bench))
    found = []
    for piece in bench.service.log.all():
        found += piece
        assert len(found) <= before
        for _ in range(len(piece) + 1):
            bench.report("n1", job, "in-progress")
    assert len(found) == before


def test_the_audit_log_is_for_admins(bench):
    token = user_token(bench)
    for path in ("/v1/admin/events", "/v1/admin/events/export"):
        assert failure(bench.call("GET", path, token=token)) == expect(Refusal.NOT_AN_ADMIN)
        assert bench.call("GET", path, token="nonsense").status_code == 401
    assert failure(bench.call("GET", "/v1/admin/events?kind=nonsense"))[0] == 400


# ------------------------------------------------------------------------------------------------------------ old files


def test_a_database_of_the_first_release_tells_the_same_as_events(tmp_path):
    """What 0.1.0 wrote down is told again by the log that the upgrade made of it."""
    file = tmp_path / "cloud.db"
    with closing(sqlite3.connect(file)) as database:
        database.executescript(RELEASE)
    bench = Bench()
    bench.store.close()  # it has another one
    with Store(f"sqlite:///{file}") as bench.store:
        before = rows(bench)
        assert len(before["job_node"]) == 2
        rebuild(bench.store)
        assert rows(bench) == before
        restart(bench)
        job = bench.service.jobs.find().items[0]
        assert [(line.node_id, line.status) for line in bench.service.jobs.history(job.job.ota_job_id)] == [
            ("n1", "triggered"),
            ("n2", "triggered"),
            ("n1", "started"),
            ("n1", "in-progress"),
            ("n1", "success"),
        ]
        assert job.summary["success"] == job.summary["triggered"] == 1
