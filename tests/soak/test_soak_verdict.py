"""The soak's own judge can tell: a database from which one thing is missing is found out, and nothing else is said."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from soak_ledger import Asked, Ledger
from soak_verdict import on_their_way, read

from py_esp_ota.adapters.clock import SystemClock
from py_esp_ota.adapters.repeatable import Repeatable
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.store import Store
from py_esp_ota.firmware import Firmware
from py_esp_ota.ports import Message
from py_esp_ota.rainmaker.messages import CONFIG, OTASTATUS, NodeConfig, OtaStatusReport, topic

NODES = ("n1", "n2", "n3")
WORDS = {"name": "Lamp", "type": "Lightbulb", "model": "lamp", "project_name": "lamp", "platform": "esp32c3"}


@pytest.fixture
def told(tmp_path):
    """A small cloud's database, and what it has acknowledged."""
    file, ledger = tmp_path / "cloud.db", Ledger()
    with closing(Store(f"sqlite:///{file}")) as store:
        service = CloudService(
            store, clock=SystemClock(), public_url="http://cloud.lab", token_hex=Repeatable().token_hex
        )
        service.outbox.start()
        for node in NODES:
            service.intake.on_presence(node, True)
            hello = NodeConfig(node_id=node, fw_version="1.0.0", **WORDS)
            service.intake.handle(Message(topic(node, CONFIG), hello.encode()))
        image = service.images.add("fw", Firmware("lamp", "1.1.0").to_bytes())
        ledger.images[image.ota_image_id] = image.file_sha256
        for name in ("first", "second"):
            job = service.jobs.create(name, image.ota_image_id, nodes=NODES, force_push=True).job.ota_job_id
            ledger.asked[name], ledger.jobs[job] = Asked(NODES, image.ota_image_id), name
        ledger.cancels[job] = None
        service.jobs.cancel(job)
        first = next(iter(ledger.jobs))
        for number in range(1, 4):
            report = OtaStatusReport(ota_job_id=first, status="in-progress", additional_info=f"n1-{number}", ts=1)
            service.intake.handle(Message(topic("n1", OTASTATUS), report.encode()))
            ledger.reports[f"n1-{number}"] = None
    return file, ledger


def test_a_whole_database_is_praised(told):
    file, ledger = told
    assert read(file, ledger) == ([], 0)
    job = next(iter(ledger.jobs))
    assert on_their_way(file) == {(job, "n2"), (job, "n3")}  # n1 has reported, the other job is cancelled


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ("DELETE FROM event WHERE json_extract(data, '$.additional_info') = 'n1-2'", "report n1-2 was acknowledged"),
        ("DELETE FROM image", "was acknowledged and is not there"),
        ("DELETE FROM event WHERE kind = 'image_uploaded'", "rows do not follow from the log"),
        ("DELETE FROM job WHERE ota_job_name = 'second'", "was acknowledged and is not there"),
        ("DELETE FROM job_node WHERE node_id = 'n3' AND job = 1", "(first) is for ['n1', 'n2'], asked for"),
        ("UPDATE job SET cancelled_timestamp = NULL", "the cancel of"),
        ("UPDATE job_node SET status = 'success' WHERE node_id = 'n2'", "job_node: 2 rows do not follow from the log"),
        ("UPDATE job SET archived = 1 WHERE ota_job_name = 'first'", "job: 1 rows do not follow from the log"),
    ],
)
def test_what_is_missing_is_named(told, damage, found):
    file, ledger = told
    with closing(sqlite3.connect(file)) as database, database:
        database.execute("PRAGMA foreign_keys = OFF")
        database.execute(damage)
    wrong, _ = read(file, ledger)
    assert any(found in line for line in wrong), wrong


def test_a_report_that_came_twice_is_counted_and_no_fault(told):
    file, ledger = told
    columns = "time, kind, actor, who, ota_job_id, node_id, ota_image_id, user_name, data"
    with closing(sqlite3.connect(file)) as database, database:
        twice = f"INSERT INTO event ({columns}) SELECT {columns} FROM event WHERE kind = 'reported' AND number = "
        database.execute(twice + "(SELECT min(number) FROM event WHERE kind = 'reported')")
    assert read(file, ledger)[1] == 1
