"""Whether everything that was acknowledged is there: asked over REST, and read from the database."""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from soak_admins import Admin
from soak_ledger import Ledger

from py_esp_ota.cloud.rebuild import rebuild
from py_esp_ota.cloud.store import Store

SAMPLE = 5
"""How many of each kind are looked up one by one over REST after each restart; in the end it is all of them."""

_CACHES = ("job", "job_node", "image", "push")


# ---------------------------------------------------------------------------------------------------------- over REST


def looked_up(admin: Admin, news: Ledger, asked: Ledger, since_ms: int, *, patience: float) -> list[str]:
    """What REST does not know of ``news``, which was acknowledged after ``since_ms``."""
    return [
        *missing_reports(admin, news, since_ms, patience),
        *(wrong for job, name in _latest(news.jobs) for wrong in _job(admin, job, name, asked)),
        *(wrong for job, _ in _latest(news.cancels) for wrong in _cancel(admin, job)),
        *downloads(admin, dict(_latest(news.images))),
    ]


def _latest(found: dict[str, str] | dict[str, None]) -> list[tuple[str, str]]:
    return list(found.items())[-SAMPLE:]


def missing_reports(admin: Admin, news: Ledger, since_ms: int, patience: float) -> Iterator[str]:
    """Mosquitto has them until the cloud takes them: that may be a moment after the restart."""
    deadline = time.monotonic() + patience
    missing = set(news.reports)
    while missing and time.monotonic() < deadline:
        answer = admin.ask("GET", "admin/events/export", params={"kind": "reported", "since": since_ms})
        assert answer.is_success, answer.text
        found = [json.loads(line) for line in answer.iter_lines()]
        missing -= {event["data"]["additional_info"] for event in found}
        since_ms = max([since_ms, *(event["timestamp"] - 1000 for event in found)])
        time.sleep(0.2)
    yield from (f"report {number} was acknowledged and is not in the log" for number in sorted(missing))


def _job(admin: Admin, job: str, name: str, asked: Ledger) -> Iterator[str]:
    [view] = admin.insist("GET", "admin/otajob", params={"ota_job_id": job})["ota_jobs"]
    query = {"ota_job_id": job, "num_records": 100, "summary": True}
    status = admin.json("GET", "admin/otajob/status", params=query)
    nodes = sorted(asked.asked[name].nodes)
    if view["ota_job_name"] != name or view["ota_image_id"] != asked.asked[name].ota_image_id:
        yield f"job {job} is not the one that was asked for: {view}"
    if [each["node_id"] for each in status["node_ota_status"]] != nodes or status["summary"]["total"] != len(nodes):
        yield f"job {job} is not for the nodes that were asked for: {status}"


def _cancel(admin: Admin, job: str) -> Iterator[str]:
    [view] = admin.insist("GET", "admin/otajob", params={"ota_job_id": job})["ota_jobs"]
    if view["status"] != "cancelled":
        yield f"job {job} was cancelled and is {view['status']}"


def downloads(admin: Admin, images: dict[str, str]) -> list[str]:
    """Images whose bytes are not those that were uploaded."""
    return [f"image {each} has other bytes" for each, sha256 in images.items() if admin.download(each) != sha256]


# ------------------------------------------------------------------------------------------------------- at the folder


@contextmanager
def copied(data: Path) -> Iterator[Path]:
    """The database of a cloud that is dead, beside its log: looking changes nothing."""
    with TemporaryDirectory(dir=data.parent) as folder:
        for file in data.glob("cloud.db*"):
            if not file.name.endswith("-shm"):
                shutil.copy(file, Path(folder) / file.name)
        yield Path(folder) / "cloud.db"


def on_their_way(database: Path) -> set[tuple[str, str]]:
    """Job and node of the URLs that the broker has not acknowledged, of jobs that are still handed out."""
    query = """SELECT ota_job_id, node_id FROM push JOIN job ON push.job = job.number
               JOIN job_node USING (job, node_id)
               WHERE cancelled_timestamp IS NULL AND status IN ('triggered', 'started')"""
    with closing(sqlite3.connect(database)) as connection:
        return set(connection.execute(query))


def read(database: Path, ledger: Ledger) -> tuple[list[str], int]:
    """What the database does not keep of what was acknowledged; and how many reports it has twice."""
    with closing(sqlite3.connect(database)) as db:
        wrong = [f"integrity_check: {line}" for (line,) in db.execute("PRAGMA integrity_check") if line != "ok"]
        reported = "SELECT json_extract(data, '$.additional_info') FROM event WHERE kind = 'reported'"
        numbers = Counter(number for (number,) in db.execute(reported))
        images = dict(db.execute("SELECT ota_image_id, file_sha256 FROM image"))
        jobs = {job: (name, cancelled) for job, name, cancelled in db.execute(_JOBS)}
        targets: dict[str, set[str]] = {}
        for job, node in db.execute("SELECT ota_job_id, node_id FROM job_node JOIN job ON job = number"):
            targets.setdefault(job, set()).add(node)
    wrong += [f"report {each} was acknowledged and is not in the log" for each in ledger.reports if not numbers[each]]
    wrong += [f"image {each} was acknowledged and is not there" for each in ledger.images if each not in images]
    wrong += [f"job {each} was acknowledged and is not there" for each in ledger.jobs if each not in jobs]
    wrong += [f"the cancel of {each} does not hold" for each in ledger.cancels if jobs.get(each, ("", 1))[1] is None]
    wrong += [
        f"job {job} ({name}) is for {sorted(targets.get(job, ()))}, asked for {ledger.asked[name].nodes}"
        for job, (name, _) in jobs.items()
        if targets.get(job) != set(ledger.asked[name].nodes)
    ]
    return wrong + _retold(database), sum(count - 1 for count in numbers.values())


_JOBS = "SELECT ota_job_id, ota_job_name, cancelled_timestamp FROM job"


def _retold(database: Path) -> list[str]:
    """Rows that do not follow from the log."""
    before = _rows(database)
    store = Store(f"sqlite:///{database}")
    rebuild(store)
    store.close()
    after = _rows(database)
    return [
        f"{table}: {len(before[table] - after[table])} rows do not follow from the log, such as {list(differ)[:2]}"
        for table in before
        if (differ := before[table] ^ after[table])
    ]


def _rows(database: Path) -> dict[str, set[tuple[object, ...]]]:
    with closing(sqlite3.connect(database)) as db:
        return {table: set(db.execute(f"SELECT * FROM {table}")) for table in _CACHES}
