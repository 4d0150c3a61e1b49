"""An older database is brought up to date at the start, or left exactly as it was; a newer one is left alone."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from cloud_bench import Clock
from sqlalchemy import create_engine, event, select
from upgrade_bench import NEWEST, RELEASE, SCRIPT, killed, revise, shape

from py_esp_ota.cloud import database_copy, upgrade
from py_esp_ota.cloud.logins import Logins, User
from py_esp_ota.cloud.models import JobNodeRow, JobRow, Table
from py_esp_ota.cloud.roles import LOCAL_ADMIN, Role
from py_esp_ota.cloud.service import CloudService
from py_esp_ota.cloud.store import Store
from py_esp_ota.cloud.tokens import Ids

pytestmark = pytest.mark.sqlite

FULL = 'op.execute("PRAGMA max_page_count=1"); op.execute("INSERT INTO extra SELECT key || key FROM extra")'
KILLED = "os.kill(os.getpid(), signal.SIGKILL)"
ORPHAN = "op.execute(\"INSERT INTO node_tag VALUES ('nobody', 'a:b')\")"


@pytest.fixture
def file(tmp_path) -> Path:
    """A database as 0.1.0 left it, with two nodes and a job."""
    file = tmp_path / "cloud.db"
    with closing(sqlite3.connect(file)) as database:
        database.executescript(RELEASE)
        database.execute("PRAGMA journal_mode=WAL")
    return file


@pytest.fixture(scope="module")
def of_today(tmp_path_factory) -> bytes:
    """The same when this version has brought it up to date."""
    file = tmp_path_factory.mktemp("today") / "cloud.db"
    with closing(sqlite3.connect(file)) as database:
        database.executescript(RELEASE)
    Store(f"sqlite:///{file}").close()
    return file.read_bytes()


@pytest.fixture
def recent(tmp_path, of_today) -> Path:
    """A database that has one revision before it, not all there ever were: enough where what counts is the last one."""
    file = tmp_path / "cloud.db"
    file.write_bytes(of_today)
    return file


@pytest.fixture
def revised(tmp_path, monkeypatch):
    """Whoever calls it has a version with one revision more, which ends like this."""
    return partial(revise, tmp_path / "migrations", monkeypatch)


def dump(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as database:
        return list(database.iterdump())


def revision(file: Path) -> str | None:
    with closing(sqlite3.connect(file)) as database:
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
            return None
        return database.execute("SELECT version_num FROM alembic_version").fetchone()[0]


# ----------------------------------------------------------------------------------------------------------- revisions


def test_the_file_of_a_revision_is_called_after_it():
    assert upgrade._revisions() == [step.revision for step in reversed(list(SCRIPT.walk_revisions()))]


def test_a_new_database_is_stamped_as_alembic_stamps(tmp_path):
    Store(f"sqlite:///{tmp_path / 'cloud.db'}").close()
    with create_engine("sqlite://").begin() as theirs:
        MigrationContext.configure(theirs).stamp(SCRIPT, NEWEST)
        stamp = [line for line in theirs.connection.driver_connection.iterdump() if "alembic" in line]
    assert [line for line in dump(tmp_path / "cloud.db") if "alembic" in line] == stamp
    assert len(stamp) == 2


def test_the_first_revision_makes_what_0_1_0_made():
    with create_engine("sqlite://").connect() as old, create_engine("sqlite://").connect() as new:
        old.connection.driver_connection.executescript(RELEASE)
        with Operations.context(MigrationContext.configure(new)):
            SCRIPT.get_revision(upgrade.FIRST).module.upgrade()
        assert shape(new) == shape(old)
        assert shape(old)["job"][3] == ["['ota_job_id']"]


def test_all_revisions_together_make_the_tables_of_today():
    with create_engine("sqlite://").connect() as walked, create_engine("sqlite://").connect() as made:
        context = MigrationContext.configure(walked, opts={"compare_type": True, "compare_server_default": True})
        with Operations.context(context):
            for step in reversed(list(SCRIPT.walk_revisions())):
                step.module.upgrade()
        Table.metadata.create_all(made)
        assert compare_metadata(context, Table.metadata) == []
        assert shape(walked) == shape(made)


def test_revisions_are_one_line_from_the_first():
    steps = list(SCRIPT.walk_revisions())
    assert steps[-1].revision == upgrade.FIRST
    assert len({step.down_revision for step in steps}) == len(steps)
    assert all(Path(step.path).name.startswith(f"r{step.revision}_") for step in steps)


# ------------------------------------------------------------------------------------------------------- going forward


def test_a_new_database_is_made_at_the_newest_revision(tmp_path, caplog):
    with Store(f"sqlite:///{tmp_path / 'cloud.db'}"):
        pass
    assert revision(tmp_path / "cloud.db") == NEWEST
    assert [path.name for path in tmp_path.iterdir()] == ["cloud.db"]
    assert caplog.text == ""


def test_a_database_of_0_1_0_is_read_on(file):
    with Store(f"sqlite:///{file}") as store:
        service = CloudService(store, clock=Clock(), public_url="http://x", token_hex=lambda size: "1f" * size)
        (job,) = service.jobs.find().items
        lines = service.jobs.history(job.job.ota_job_id, "n1")
        assert [line.status for line in lines] == ["triggered", "started", "in-progress", "success"]
        assert {node.node_id for node in service.nodes.find().items} == {"n1", "n2"}


def test_who_failed_in_0_1_0_is_sorted_and_counted_as_the_log_tells_it(file):
    with closing(sqlite3.connect(file)) as database, database:
        for node_id, status, words in (("n1", "rejected", "Firmware rolled back"), ("n2", "failed", "my own words")):
            values = (status, words, node_id)
            database.execute(
                "UPDATE job_node SET status = ?, additional_info = ?, closed = 1 WHERE node_id = ?", values
            )
    with Store(f"sqlite:///{file}") as store, store.begin() as tx:
        found = {(row.status, row.reason) for row in tx.scalars(select(JobNodeRow))}
        assert found == {("rejected", "rolled_back"), ("failed", "other")}
        (job,) = tx.scalars(select(JobRow)).all()
        assert [(tally["missed"], tally["rolled_back"]) for tally in job.tallies] == [(2, 1)]


def test_a_past_in_which_the_clock_jumped_keeps_its_order(file):
    year = 365 * 86_400_000
    with closing(sqlite3.connect(file)) as database, database:
        database.execute(f"UPDATE report SET timestamp = timestamp - {year} WHERE number = 4")
        database.execute(f"UPDATE report SET timestamp = timestamp + {year} WHERE number = 3")
    with Store(f"sqlite:///{file}") as store:
        service = CloudService(store, clock=Clock(), public_url="http://x", token_hex=lambda size: "1f" * size)
        (job,) = service.jobs.find().items
        lines = service.jobs.history(job.job.ota_job_id, "n1")
        assert [line.status for line in lines] == ["triggered", "started", "in-progress", "success"]
        assert [line.timestamp - lines[0].timestamp for line in lines] == [0, year, -year, 0]


def test_who_was_logged_in_as_admin_in_0_1_0_is_a_super_admin_and_logged_in(file):
    with Store(f"sqlite:///{file}") as store:
        numbers = iter(range(1, 1000))
        logins = Logins(store, Clock(), Ids(lambda size: f"{next(numbers):0{2 * size}x}"))
        (login,) = logins.of(LOCAL_ADMIN)
        assert (login.kind, login.started, login.expires) == ("api", 0, None)
        token = logins.tokens(User(LOCAL_ADMIN, "", Role.USER, login.session_id)).accesstoken
        assert logins.user_of(token) == User(LOCAL_ADMIN, "admin@example.com", Role.SUPER_ADMIN, login.session_id)
        service = CloudService(store, clock=Clock(), public_url="http://x", token_hex=lambda size: "1f" * size)
        assert service.nodes.find(admin_id=LOCAL_ADMIN).total == 2
        assert service.nodes.detail("n1", LOCAL_ADMIN).role == "primary"


@pytest.mark.parametrize("stamped", [False, True])
def test_an_older_one_is_upgraded_behind_a_copy_of_it(file, revised, caplog, stamped):
    if stamped:
        with closing(sqlite3.connect(file)) as database, database:
            database.executescript(
                f"CREATE TABLE alembic_version(version_num TEXT);INSERT INTO alembic_version VALUES ('{upgrade.FIRST}')"
            )
    before = dump(file)
    was = upgrade.FIRST
    revised()
    Store(f"sqlite:///{file}").close()
    copy = file.with_name(f"cloud.db.revision-{was}")
    line = f"{file}: upgraded from revision {was} to 9000; as it was, it lies in {copy}"
    assert caplog.record_tuples == [("py_esp_ota.cloud.store", logging.WARNING, line)]
    assert revision(file) == "9000"
    assert dump(copy) == before
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert sorted(path.name for path in file.parent.glob("cloud.db*")) == ["cloud.db", copy.name]
    with Store(f"sqlite:///{file}") as store, store.begin() as tx:
        assert tx.connection().exec_driver_sql("SELECT count(*) FROM extra").scalar() == 500
        assert tx.connection().exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    assert len(caplog.records) == 1, "nothing to do, nothing to say"


def test_what_is_not_in_the_file_yet_is_in_the_copy(recent, revised):
    """Somebody reads, so that what SQLite wrote last stays in its log."""
    with closing(sqlite3.connect(recent)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM node").fetchone()
        with closing(sqlite3.connect(recent)) as writer, writer:
            writer.execute("INSERT INTO setting VALUES ('late', 'news')")
        revised()
        Store(f"sqlite:///{recent}").close()
    assert any("'late','news'" in line for line in dump(recent.with_name(f"cloud.db.revision-{NEWEST}")))


def test_a_later_copy_takes_the_place_of_an_earlier_one(recent, revised):
    copy = recent.with_name(f"cloud.db.revision-{NEWEST}")
    copy.write_text("from the last attempt")
    recent.with_name(f"cloud.db.revision-{NEWEST}.partial").write_text("from one that was killed")
    before = dump(recent)
    revised()
    Store(f"sqlite:///{recent}").close()
    assert dump(copy) == before
    assert not recent.with_name(f"cloud.db.revision-{NEWEST}.partial").exists()


def test_two_that_start_at_once_upgrade_it_once(recent, revised, caplog):
    revised()
    with ThreadPoolExecutor(2) as pool:
        for store in pool.map(Store, [f"sqlite:///{recent}"] * 2):
            store.close()
    assert len(caplog.records) == 1
    assert revision(recent) == "9000"


# --------------------------------------------------------------------------------------------- what fails half way, not


def refused(file: Path) -> str:
    before = dump(file)
    with pytest.raises(ValueError, match=r"^.*cloud\.db: ") as caught:
        Store(f"sqlite:///{file}")
    assert dump(file) == before
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{file}: ")


@pytest.mark.parametrize(
    ("start", "then", "why"),
    [
        ("file", FULL, "the upgrade from revision 0001 to 9000 failed and changed nothing: database or disk is full"),
        ("recent", ORPHAN, "the upgrade failed and changed nothing: row 2 of node_tag names a node that is not there"),
        (
            "recent",
            'op.execute("ALTER TABLE node DROP COLUMN name")',
            "no database of this cloud: table node differs in name",
        ),
    ],
    ids=["full", "orphan", "wrong"],
)
def test_an_upgrade_that_fails_leaves_the_old_database(request, revised, monkeypatch, start, then, why):
    file = request.getfixturevalue(start)
    revised(then)
    assert refused(file) == why
    monkeypatch.undo()
    Store(f"sqlite:///{file}").close()  # of the version that made it
    revised()
    Store(f"sqlite:///{file}").close()
    assert revision(file) == "9000"


def test_an_upgrade_that_is_killed_leaves_the_old_database(file, revised):
    before = dump(file)
    revised(KILLED)
    killed(lambda: Store(f"sqlite:///{file}"))
    assert dump(file) == before
    assert dump(file.with_name("cloud.db.revision-0001")) == before
    revised()
    Store(f"sqlite:///{file}").close()
    assert revision(file) == "9000"


def test_a_copy_that_is_killed_is_none(recent, revised, monkeypatch):
    before = dump(recent)
    revised()
    with monkeypatch.context() as patched:
        patched.setattr(database_copy, "_sync", lambda _: os.kill(os.getpid(), signal.SIGKILL))
        killed(lambda: Store(f"sqlite:///{recent}"))
    assert not recent.with_name(f"cloud.db.revision-{NEWEST}").exists()
    assert dump(recent) == before
    Store(f"sqlite:///{recent}").close()
    assert dump(recent.with_name(f"cloud.db.revision-{NEWEST}")) == before


def test_without_room_for_a_copy_there_is_no_upgrade(file, revised, monkeypatch):
    revised()

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    why = "not upgraded from revision 0001 to 9000, because no copy can be kept: [Errno 28] No space left on device"
    assert refused(file) == why
    assert not list(file.parent.glob("cloud.db.*"))


def test_a_new_database_is_whole_or_empty(tmp_path):
    file = tmp_path / "cloud.db"

    class Stop(BaseException):
        pass

    def stop(*_arguments, **_options):
        raise Stop

    event.listen(Table.metadata.tables["user"], "after_create", stop)
    try:
        with pytest.raises(Stop):
            Store(f"sqlite:///{file}")
    finally:
        event.remove(Table.metadata.tables["user"], "after_create", stop)
    assert dump(file) == ["BEGIN TRANSACTION;", "COMMIT;"]
    Store(f"sqlite:///{file}").close()
    assert revision(file) == NEWEST


# -------------------------------------------------------------------------------------------------------------- refused


def test_a_newer_database_is_refused_by_name(recent, revised, monkeypatch):
    revised()
    Store(f"sqlite:///{recent}").close()
    monkeypatch.undo()
    known = NEWEST if upgrade.FIRST == NEWEST else f"{upgrade.FIRST} to {NEWEST}"
    why = f"a newer version of this cloud was here: revision 9000, and this version knows {known}"
    assert refused(recent) == why


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("ALTER TABLE node DROP COLUMN model", "table node differs in model"),
        ("ALTER TABLE job ADD COLUMN colour TEXT", "table job differs in colour"),
        ("DROP TABLE report", "table report is missing"),
    ],
)
def test_what_is_nearly_ours_is_refused(file, change, why):
    with closing(sqlite3.connect(file)) as database:
        database.execute(change)
    assert refused(file) == f"no database of this cloud: {why}"


def test_somebody_elses_database_is_refused(tmp_path):
    with closing(sqlite3.connect(tmp_path / "cloud.db")) as database:
        database.execute("CREATE TABLE bookmarks(url)")
    assert refused(tmp_path / "cloud.db") == "no database of this cloud: table blob is missing"


# ----------------------------------------------------------------------------------------------------------- who pays


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """What a process has of alembic's after a lab, and when it has then made and opened a database of today."""
    program = f"""
import asyncio, sys
from py_esp_ota import Lab
def imported():
    print(*sorted({{"alembic", "mako", "sqlalchemy"}} & sys.modules.keys()))
async def main():
    async with Lab():
        imported()
asyncio.run(main())
from py_esp_ota.cloud.store import Store
for _ in range(2):
    Store("sqlite:///{tmp_path_factory.mktemp("today") / "cloud.db"}").close()
imported()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_who_has_no_past_does_not_pay_for_it(imported):
    assert imported[0] == "sqlalchemy"


def test_nor_does_who_is_up_to_date(imported):
    assert imported[1:] == ["sqlalchemy"]
