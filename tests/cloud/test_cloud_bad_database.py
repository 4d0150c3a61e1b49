"""A database that is read-only, torn, or somebody else's for a while: one line, the documented answer, nothing half."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from cloud_bench import ADMIN, PASSWORD, Bench, done, expect, failure
from databases import ask, made_by
from sqlalchemy.exc import DBAPIError

from py_esp_ota.cloud import database
from py_esp_ota.cloud.outage import outage
from py_esp_ota.cloud.refusals import Refusal
from py_esp_ota.cloud.store import Store
from py_esp_ota.cloud.web import mount_web

NOBODY = 65534
YEAR_S = 365 * 86400


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where somebody without privileges may look, unlike into pytest's own."""
    path = Path(tempfile.mkdtemp(prefix="esp-ota-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def file(folder) -> Path:
    """The database of a cloud with one node."""
    file = folder / "cloud.db"
    with on(file) as bench:
        bench.join("n1")
    file.chmod(0o644)
    return file


@contextmanager
def on(file: Path) -> Iterator[Bench]:
    """A cloud on this file."""
    with made_by(lambda: Store(f"sqlite:///{file}")):
        bench = Bench()
    bench.service.outbox.start()
    with closing(bench.store):
        yield bench


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may write everything, so be somebody else for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    pragmas = ("busy_timeout=50", *(each for each in database._SQLITE if "busy_timeout" not in each))
    monkeypatch.setattr(database, "_SQLITE", pragmas)


def refusal(file: Path) -> str:
    with pytest.raises(ValueError, match=r"cloud\.db: ") as caught:
        Store(f"sqlite:///{file}")
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{file}: ")


def rows(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())


# ----------------------------------------------------------------------------------------------------------- at a start


@pytest.mark.parametrize(("mode", "of_folder"), [(0o444, 0o777), (0o444, 0o555), (0o666, 0o555)])
def test_what_may_only_be_read_is_refused(file, mode, of_folder):
    before = rows(file)
    file.chmod(mode)
    file.parent.chmod(of_folder)
    with unprivileged():
        assert refusal(file) in {"attempt to write a readonly database", "unable to open database file"}
    file.parent.chmod(0o755)
    assert rows(file) == before
    Store(f"sqlite:///{file}").close()


def test_a_folder_that_is_none(folder):
    (folder / "x").write_text("")
    assert refusal(folder / "x" / "cloud.db") == "unable to open database file"
    assert refusal(folder / "nowhere" / "cloud.db") == "unable to open database file"
    (folder / "cloud.db").mkdir()
    assert refusal(folder / "cloud.db") == "unable to open database file"


@pytest.mark.parametrize("lock", ["IMMEDIATE", "EXCLUSIVE"])
def test_what_another_program_has_locked_is_refused_for_as_long(file, lock):
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        if lock == "EXCLUSIVE":
            other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute(f"BEGIN {lock}")
        assert refusal(file) == "database is locked"
        other.execute("ROLLBACK")
    Store(f"sqlite:///{file}").close()


def torn(data: bytes, what: str) -> bytes:
    page = int.from_bytes(data[16:18], "big")
    return {
        "empty": b"",
        "header": b"\0" * 100 + data[100:],
        "first page": data[:100] + b"\xff" * (page - 100) + data[page:],
        "pages": data[:page] + b"\xa5" * (len(data) - page),
        "half": data[: len(data) // 2 // page * page],
        "odd end": data[:-777],
        "one page": data[:page],
    }[what]


@pytest.mark.parametrize("what", ["header", "first page", "pages", "half", "odd end", "one page"])
def test_a_torn_file_is_refused_or_fails_as_an_outage(file, what):
    """SQLite looks at a page when it needs it: what is torn deeper is found by who asks for it."""
    data = torn(file.read_bytes(), what)
    file.write_bytes(data)
    try:
        with on(file) as bench:
            bench.service.nodes.detail("n1")
            bench.job("n1")
    except (ValueError, DBAPIError) as error:
        why = str(error) if isinstance(error, ValueError) else outage(error)
        assert any(word in why for word in ("malformed", "not a database", "no database of this cloud")), why
        assert "\n" not in why
    else:
        assert what == "odd end"
    assert file.read_bytes()[: len(data)] == data or what == "odd end"


def test_a_file_that_was_emptied_is_a_new_database(file):
    file.write_bytes(b"")
    with on(file) as bench:
        assert bench.service.nodes.find().total == 0


# ------------------------------------------------------------------------------------------------------ while it serves


@contextmanager
def locked(file: Path, _bench: Bench) -> Iterator[None]:
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield


@contextmanager
def read_only(_file: Path, bench: Bench) -> Iterator[None]:
    ask(bench.store, "PRAGMA query_only=ON")
    yield
    ask(bench.store, "PRAGMA query_only=OFF")


@contextmanager
def malformed(file: Path, bench: Bench) -> Iterator[None]:
    ask(bench.store, "PRAGMA wal_checkpoint(TRUNCATE)")
    bench.store._engine.dispose()
    data = file.read_bytes()
    page = int.from_bytes(data[16:18], "big")
    file.write_bytes(data[:page] + b"\xa5" * (len(data) - page))
    yield
    bench.store._engine.dispose()
    file.write_bytes(data)


WHILE = {
    locked: "database is locked",
    read_only: "attempt to write a readonly database",
    malformed: "database disk image is malformed",
}


@pytest.mark.parametrize("trouble", WHILE)
def test_who_asks_meanwhile_is_told_and_the_log_says_one_line(file, caplog, trouble):
    with on(file) as bench:
        mount_web(bench.app, bench.service)
        image = bench.image().ota_image_id
        _ = bench.token
        calls = [
            ("POST", "/v1/admin/otajob", {"json": {"ota_job_name": "j", "ota_image_id": image, "nodes": ["n1"]}}),
            ("PUT", "/v1/user/nodes?node_id=n1", {"json": {"tags": ["a:b"]}}),
            ("PUT", f"/v1/admin/otaimage?ota_image_id={image}&archive=true", {}),
        ]
        ask(bench.store, "PRAGMA busy_timeout=1")
        before = rows(file)
        with trouble(file, bench):
            for method, path, options in calls:
                caplog.clear()
                answer = bench.call(method, path, raise_app_exceptions=False, **options)
                assert failure(answer) == expect(Refusal.DATABASE_FAILS)
                line = f"the database failed, and somebody was told so: {WHILE[trouble]}"
                assert [record.getMessage() for record in caplog.records] == [line]
            page = bench.call("POST", f"/images/{image}/archive", headers={"Origin": "http://127.0.0.1:8000"})
            assert page.status_code == Refusal.DATABASE_FAILS.http_status
            assert "the database fails at the moment" in page.text.lower()
        assert rows(file) == before
        for method, path, options in calls:
            assert bench.call(method, path, **options).status_code == 200, path
        assert "Traceback" not in caplog.text


# ------------------------------------------------------------------------------------------------------------ the clock


@pytest.mark.both_databases
@pytest.mark.parametrize("years", [[-1, 1], [1, -1], [-1, -1], [1, 1]])
def test_a_clock_that_jumps_a_year_changes_no_order(bench, years):
    """What came first is told by numbers, not by times."""
    bench.join("n1")
    jobs = [bench.job("n1", name="0")]
    images = [bench.image("9.0.0", "fw 0").ota_image_id]
    words: list[str] = []
    for turn, year in enumerate(years, 1):
        bench.clock.time += year * YEAR_S
        bench.report("n1", jobs[0], "in-progress", f"turn {turn}")
        words.append(f"turn {turn}")
        images.append(bench.image("9.0.0", f"fw {turn}").ota_image_id)
        jobs.append(bench.job("n1", name=str(turn)))
    history = [line.additional_info for line in bench.service.jobs.history(jobs[0], "n1")]
    assert [line for line in history if line.startswith("turn")] == words
    assert [view.job.ota_job_id for view in bench.service.jobs.find().items] == jobs[::-1]
    found = [image.ota_image_id for image in bench.service.images.find().items]
    assert [image for image in found if image in images] == images[::-1]
    numbers = [entry.number for piece in bench.service.log.all() for entry in piece]
    assert numbers == sorted(numbers)


@pytest.mark.both_databases
def test_a_login_and_a_link_outlive_a_jump_back_and_end_with_one_forward(bench):
    image = bench.image().ota_image_id
    link = bench.service.images.url(image).removeprefix("http://cloud.lab")
    _ = bench.token
    renewed = {"user_name": ADMIN, "refreshtoken": done(bench.accounts.log_in(ADMIN, PASSWORD)).refreshtoken}
    answers = []
    for year in (-1, 2, -1):
        bench.clock.time += year * YEAR_S
        download, listing = bench.call("GET", link), bench.call("GET", "/v1/admin/nodes")
        renewal = bench.call("POST", "/v1/login2", json=renewed)
        answers.append((download.status_code, listing.status_code, renewal.status_code))
    assert answers == [(200, 200, 200), (403, 401, 401), (200, 200, 200)]
