"""The database: what survives a restart, what never half happens."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest
from cloud_bench import Bench, Clock
from sqlalchemy import bindparam, delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler

from py_esp_ota.cloud.models import JobNodeRow, JobRow
from py_esp_ota.cloud.refusals import Refusal
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.store import Store, execute_many


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path / 'cloud.db'}"


@pytest.mark.sqlite
def test_a_file_keeps_everything_over_a_restart(url, lamp):
    clock = Clock()
    with Store(url) as store:
        service = CloudService(store, clock=clock, public_url="http://x", token_hex=lambda size: "1f" * size)
        service.intake.on_presence("n1", True)
        image = service.images.add("fw", lamp)
        job = service.jobs.create("job", image.ota_image_id, nodes=["n1"])
        link = service.images.url(image.ota_image_id)
    with Store(url) as store:
        service = CloudService(store, clock=clock, public_url="http://x", token_hex=lambda size: "2e" * size)
        assert service.images.find().items == [image]
        assert service.jobs.get(job.job.ota_job_id) == job
        assert [line.status for line in service.jobs.history(job.job.ota_job_id)] == ["triggered"]
        assert service.images.download(image.ota_image_id, link.partition("token=")[2]).data == lamp  # the key was kept


@pytest.mark.sqlite
def test_a_file_is_written_ahead_survives_a_loss_of_power_and_checks_its_references(url):
    with Store(url) as store, store.begin() as tx:
        assert tx.scalar(text("PRAGMA synchronous")) == 2
        assert tx.scalar(text("PRAGMA journal_mode")) == "wal"
        assert tx.scalar(text("PRAGMA foreign_keys")) == 1


@pytest.mark.both_databases
def test_a_block_that_raises_leaves_nothing(bench):
    class Stop(BaseException):
        pass

    def stopped() -> None:
        with bench.store.begin() as tx:
            tx.execute(text("DELETE FROM node_user"))
            tx.execute(text("DELETE FROM node"))
            raise Stop

    bench.join("n1")
    with pytest.raises(Stop):
        stopped()
    assert bench.service.nodes.find().total == 1


@pytest.mark.both_databases
def test_a_setting_is_made_once(bench):
    assert [bench.store.setting("key", lambda value=value: value) for value in ("a", "b")] == ["a", "a"]


@pytest.mark.both_databases
def test_two_clouds_know_nothing_of_each_other():
    first, second = Bench(), Bench()
    first.join("n1")
    assert second.service.nodes.find().total == 0
    first.store.close()
    second.store.close()


def test_every_refusal_is_provoked_by_a_test():
    folders = [Path(__file__).parent, Path(__file__).parents[1] / "virtual_nodes"]
    tests = "".join(path.read_text() for folder in folders for path in folder.glob("test_*.py"))
    numbers = {refusal for refusal in Refusal if re.search(rf"\b{refusal.error_code}\b", tests)}
    assert [
        refusal.name for refusal in Refusal if f"Refusal.{refusal.name}" not in tests and refusal not in numbers
    ] == []


def test_refusals_have_numbers_of_their_own():
    assert len({refusal.error_code for refusal in Refusal}) == len(Refusal)
    assert 101044 not in {refusal.error_code for refusal in Refusal}  # sends the admin CLI into an endless loop


@pytest.mark.sqlite
def test_a_database_that_is_not_what_its_stamp_says_is_refused_and_left_as_it_is(tmp_path):
    url = f"sqlite:///{tmp_path / 'cloud.db'}"
    Store(url).close()
    Store(url).close()
    with sqlite3.connect(tmp_path / "cloud.db") as tables:
        tables.execute("ALTER TABLE node DROP COLUMN model")
    tables.close()
    with pytest.raises(ValueError, match=r"cloud\.db: no database of this cloud: table node differs in model"):
        Store(url)
    with sqlite3.connect(tmp_path / "cloud.db") as tables:
        assert "model" not in {row[1] for row in tables.execute("PRAGMA table_info(node)")}
    tables.close()


@pytest.mark.sqlite
def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "cloud.db").write_text("no database at all, and long enough to be read as one")
    with pytest.raises(ValueError, match=r"cloud\.db: file is not a database"):
        Store(f"sqlite:///{tmp_path / 'cloud.db'}")


# --------------------------------------------------------------------------------------------------------- in memory


def test_stores_in_memory_share_what_is_compiled_and_nothing_else(monkeypatch):
    with Store() as one, Store() as other:
        assert one.setting("colour", lambda: "red") == "red"
        monkeypatch.setattr(SQLCompiler, "__init__", lambda *_, **__: pytest.fail("compiled again"))
        assert other.setting("colour", lambda: "blue") == "blue"
        assert one.setting("colour", lambda: "green") == "red"
    monkeypatch.undo()
    with Store() as later:
        assert later.setting("colour", lambda: "white") == "white"


# --------------------------------------------------------------------------------------------------------- many rows


DOCUMENTS = [
    {"status": "in-progress", "ts": 1 << 70, "parts": [1.5, 1e16, -0.0, None, True], "é": "\u2028\0"},
    {"half": "\ud800"},
]


@pytest.mark.both_databases
def test_many_rows_are_what_each_is_by_itself(bench):
    """Documents, truth and numbers go past SQLAlchemy's own way of writing many rows, and come back by its reading."""
    bench.join("n0", "n1")
    states = [bench.job(f"n{number}", name=f"job {number}") for number in range(2)]
    jobs, nodes = JobRow.__table__, JobNodeRow.__table__
    with bench.service.store.connect() as tx:
        of = [{"of": job, "metadata": document} for job, document in zip(states, DOCUMENTS, strict=True)]
        execute_many(tx, update(jobs).where(jobs.c.ota_job_id == bindparam("of")), of)
        execute_many(tx, update(nodes).where(nodes.c.node_id == bindparam("of")), [{"of": "n1", "closed": True}])
        execute_many(tx, delete(nodes).where(nodes.c.node_id == bindparam("of")), [])
    with bench.service.store.begin() as tx:
        assert [row.job_metadata for row in tx.scalars(select(JobRow).order_by(JobRow.number))] == DOCUMENTS
        assert [row.closed for row in tx.scalars(select(JobNodeRow).order_by(JobNodeRow.node_id))] == [False, True]


def test_what_a_database_says_to_many_rows_is_an_outage_as_ever(bench):
    nodes = JobNodeRow.__table__
    rows = [{"job": 1, "node_id": None}]
    with pytest.raises(DBAPIError), bench.service.store.connect() as tx:
        execute_many(tx, insert(nodes), rows)
