"""Where ``esp-ota serve`` keeps its state: a file in its folder, upgraded when it is old, or PostgreSQL by URL."""

from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import httpx2
import pytest
from alembic.script import ScriptDirectory
from test_serve import free_ports, refused, serving

from py_esp_ota.cloud import upgrade
from py_esp_ota.cloud.store import Store
from py_esp_ota.lab import ADMIN

pytestmark = pytest.mark.sockets
RELEASE = Path(__file__).parent.parent / "cloud" / "release_0_1_0.sql"
NEWEST = ScriptDirectory(upgrade.FOLDER).get_current_head()


def nodes(ports, data) -> list[str]:
    """Whom the API knows."""
    login = {"user_name": ADMIN, "password": (data / "admin-password").read_text().strip()}
    with httpx2.Client(base_url=f"http://127.0.0.1:{ports[0]}", trust_env=False) as client:
        token = client.post("/v1/login2", json=login).json()["accesstoken"]
        return client.get("/v1/admin/nodes", headers={"Authorization": token}).json()["nodes"]


def end(process) -> str:
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    return said


def test_a_database_of_0_1_0_is_upgraded_once_and_one_line_says_so(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    with closing(sqlite3.connect(data / "cloud.db")) as database:
        database.executescript(RELEASE.read_text())
    ports = free_ports(3)
    line = f"{data / 'cloud.db'}: upgraded from revision 0001 to {NEWEST}; as it was, it lies in "
    with serving(data, ports, "--broker", "embedded", "--no-web") as (process, said):
        assert said.splitlines()[0] == f"{line}{data / 'cloud.db.revision-0001'}"
        assert nodes(ports, data) == ["n1", "n2"]
        end(process)
    with serving(data, ports, "--broker", "embedded", "--no-web") as (process, said):
        assert "upgraded" not in said
        assert "database  " not in said


def test_in_postgresql_there_is_no_file(tmp_path, postgresql):
    name = postgresql.empty()
    url, data, ports = postgresql.url(name), tmp_path / "data", free_ports(3)
    options = ["--broker", "embedded", "--no-web", "--database", url]
    with serving(data, ports, *options, "--devices", "1") as (process, said):
        assert f"database        postgresql+psycopg://test@/{name}\n" in said
        for _ in range(100):
            if found := nodes(ports, data):
                break
            time.sleep(0.1)
        assert found
        process.kill()
        process.wait()
    with serving(data, ports, *options) as (process, _said):
        assert nodes(ports, data) == found
        other = refused(tmp_path / "other", free_ports(3), *options)
        assert "another server of this cloud has the database (esp-ota, process " in other
        assert other.count("\n") == 1
        end(process)
    assert not list(data.glob("cloud.db*"))
    Store(url).close()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("postgresql+psycopg://ann:hunter2@127.0.0.1:1/cloud", "postgresql+psycopg://ann@127.0.0.1:1/cloud: "),
        ("hunter2", "--database: no database URL: postgresql+psycopg://USER@HOST:PORT/NAME is one"),
        ("mysql://ann:hunter2@x/y", "--database: mysql: a database of this cloud is SQLite's or postgresql+psycopg's"),
        ("sqlite:///hunter2.db", "--database is for PostgreSQL: a database of SQLite is cloud.db in --data"),
    ],
)
def test_a_database_that_cannot_be_is_one_line_without_its_password(tmp_path, url, why):
    said = refused(tmp_path / "data", free_ports(3), "--database", url)
    assert why in said
    assert "hunter2" not in said
    assert said.count("\n") == 1
    assert not (tmp_path / "data" / "cloud.db").exists()
