"""A PostgreSQL server of the tests' own: in a folder of its own, on a socket file in it, for as long as they run."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack
from copy import copy
from functools import partial
from pathlib import Path

import psycopg

from py_esp_ota.cloud.models import Table
from py_esp_ota.cloud.store import Store

PROGRAMS = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
SETPRIV = shutil.which("setpriv")

# Nothing here outlives the tests, so nothing waits for a disk.
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "16MB",
    "max_connections": "40",
    "max_wal_senders": "0",
    "wal_level": "minimal",
}

# Sorts a before B, as most servers do, and as the cloud's ids must not be sorted.
CREATE = "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8'"


def missing() -> str:
    """What these tests lack here; empty when nothing."""
    return "" if PROGRAMS and SETPRIV else "PostgreSQL's server or setpriv is not installed"


class Server:
    """Started when it is made. It ends with the tests however they end."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._free: list[Store] = []
        self._count = 0
        self.folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="esp-ota-pg-")))
        user = _user()
        os.chown(self.folder, user.pw_uid, user.pw_gid)
        data = self.folder / "data"
        self._run("initdb", "-D", data, "-U", "test", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync").wait()
        words = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        self._process = self._run("postgres", "-D", data, "-k", self.folder, *words)
        self._stack.callback(self._end)
        self._admin = self._stack.enter_context(self._connected())

    def _run(self, program: str, *words: object) -> subprocess.Popen[bytes]:
        user = _user()
        privileges = ["--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"]
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [SETPRIV, *(privileges if os.getuid() == 0 else []), "--pdeathsig", "INT", PROGRAMS / program, *words],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _connected(self) -> psycopg.Connection:
        end = time.monotonic() + 30
        while True:
            try:
                return psycopg.connect(f"host={self.folder} user=test dbname=postgres", autocommit=True)
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise AssertionError((self.folder / "log").read_text()) from None
                time.sleep(0.02)

    def _end(self) -> None:
        self._process.send_signal(2)  # do not wait for clients
        self._process.wait(30)

    def close(self) -> None:
        self._stack.close()

    # ------------------------------------------------------------------------------------------------------- databases

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://test@/{name}?host={self.folder}"

    def empty(self) -> str:
        """A new database with nothing in it; its name."""
        self._count += 1
        name = f"cloud{self._count}"
        self._admin.execute(CREATE.format(name))
        return name

    def store(self) -> Store:
        """A cloud's store with nothing in it. One that was closed is emptied, and is as good as new."""
        kept = self._free.pop() if self._free else self._made()
        self._clear(kept)
        lent = copy(kept)  # what a test does to it is gone with it
        lent.close = partial(self._give_back, kept, [lent])
        return lent

    def _made(self) -> Store:
        store = Store(self.url(self.empty()))
        self._stack.callback(store.close)  # at the end, also of those that a test forgot
        return store

    def _clear(self, store: Store) -> None:
        """Rows go in the order of their references: a hundred times faster than TRUNCATE, which makes files."""
        rows = "; ".join(f'DELETE FROM "{table}"' for table in reversed(Table.metadata.sorted_tables))
        numbers = "SELECT setval(quote_ident(sequencename)::regclass, 1, false) FROM pg_sequences"
        with store.begin() as tx:
            for statement in ("DROP FUNCTION IF EXISTS no_room CASCADE", rows, numbers):
                tx.connection().exec_driver_sql(statement)

    def _give_back(self, kept: Store, once: list[Store]) -> None:
        if once:
            once.clear()
            self._free.append(kept)

    def connect(self, name: str) -> psycopg.Connection:
        return psycopg.connect(f"host={self.folder} user=test dbname={name}", autocommit=True)


def _user() -> pwd.struct_passwd:
    """Who runs the server: root may not."""
    if os.getuid() != 0:
        return pwd.getpwuid(os.getuid())
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")
