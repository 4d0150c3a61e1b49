"""Which database, and how to talk to it: SQLite in memory or in a file, or PostgreSQL on a server."""

from __future__ import annotations

import json
import os
import platform
from functools import cache
from typing import Any

from pydantic_core import PydanticSerializationError, to_json
from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool

from py_esp_ota.extras import missing

_DRIVERS = {
    "sqlite": "sqlite",
    "postgres": "postgresql+psycopg",  # as hosts write it
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}

# FULL: a commit is on the disk before it is acknowledged, so that not even a loss of power takes it back.
_SQLITE = ("busy_timeout=5000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON")

# Everybody waits while the database is asked, so a server that fell silent is given up after 25 s, not after two hours.
_LIBPQ = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}

# The server ends a session that fell silent as soon, and with it the lock below: its successor need not wait longer.
_SESSION = """
SET lock_timeout = '2s';
SET tcp_keepalives_idle = 10;
SET tcp_keepalives_interval = 5;
SET tcp_keepalives_count = 3
"""
_LOCK = 0x6573705F636C64  # any number, as long as every version of this cloud has the same
_HOLDER = """
SELECT application_name FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE locktype = 'advisory' AND granted
AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND (classid::bigint << 32) + objid::bigint = %s AND objsubid = 1
"""


def database_url(text: str | URL) -> URL:
    """What a URL says; PostgreSQL's may leave out the driver.

    Raises:
        ValueError: it is none, or of a database that this cloud does not know. The text is not quoted: there may be a
            password in it.
    """
    try:
        url = make_url(text)
    except Exception:  # noqa: BLE001 - SQLAlchemy's and int()'s own quote the text
        raise ValueError("no database URL: postgresql+psycopg://USER@HOST:PORT/NAME is one") from None
    if url.drivername not in _DRIVERS:
        raise ValueError(f"{url.drivername}: a database of this cloud is SQLite's or postgresql+psycopg's")
    return url.set(drivername=_DRIVERS[url.drivername])


def in_memory(url: URL) -> bool:
    """Whether the database ends with the process."""
    return url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}


def name_of(url: URL) -> str:
    """How to call a database in a sentence: the file, or the URL without the places where passwords are."""
    if url.get_backend_name() == "sqlite":
        return url.database or "sqlite://"
    return URL.create(url.drivername, url.username, None, url.host, url.port, url.database).render_as_string()


def reason(error: BaseException) -> str:
    """Why a database failed, in one line, as it says itself."""
    driver = error.orig if isinstance(error, DBAPIError) else error
    said: str | None = getattr(getattr(driver, "diag", None), "message_primary", None)
    return " ".join((said or str(driver)).split())


def without_room(error: BaseException) -> bool:
    """Whether SQLite or PostgreSQL ran out of room; the index of SQLite's log has an error of its own for it."""
    driver = getattr(error, "orig", None)
    sqlite = getattr(driver, "sqlite_errorname", "")
    return sqlite in {"SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"} or getattr(driver, "sqlstate", "") == "53100"


def open_engine(url: URL) -> Engine:
    """An engine for what ``database_url`` gave; nothing is connected yet.

    Raises:
        ModuleNotFoundError: PostgreSQL's driver is not installed; the message names the extra.
        ValueError: it is, and cannot be loaded.
    """
    return _sqlite(url) if url.get_backend_name() == "sqlite" else _postgresql(url)


def _sqlite(url: URL) -> Engine:
    if not in_memory(url):
        return _new_sqlite(url)
    # Labs are made by the hundred and ask the same of different data: what one has compiled, the next one uses.
    first = _first_in_memory()
    return Engine(first.pool.recreate(), first.dialect, first.url, execution_options={"compiled_cache": _COMPILED})


_COMPILED: dict[Any, Any] = {}


@cache
def _first_in_memory() -> Engine:
    """It is never opened: the others have its dialect, which is a part of the name of each compiled statement."""
    return _new_sqlite("sqlite://", poolclass=StaticPool)


def _new_sqlite(url: URL | str, **options: Any) -> Engine:
    engine = create_engine(url, connect_args={"check_same_thread": False}, json_serializer=_written, **options)

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _entry: ConnectionPoolEntry) -> None:
        for pragma in _SQLITE:
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _written(document: Any) -> str:
    """JSON for a column: each event has some, and Python's own writer takes six times as long."""
    try:
        return to_json(document).decode()
    except PydanticSerializationError:  # half of a surrogate pair, which JSON can spell and no text contains
        return json.dumps(document)


def _postgresql(url: URL) -> Engine:
    try:
        from psycopg.errors import LockNotAvailable, OperationalError  # noqa: PLC0415 - comes with an extra
        from psycopg.types.string import StrDumperUnknown  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise missing("a database in PostgreSQL", "postgres", error) from None
    except ImportError as error:  # without its binary part it needs the system's libpq
        raise ValueError(reason(error)) from None

    class Words(StrDumperUnknown):
        """No text of PostgreSQL holds NUL. None is stored here with one, but whoever asks for one gets an answer."""

        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\0", "\N{REPLACEMENT CHARACTER}"))

    # One connection: the cloud asks one thing after the other, and a session has the database for itself.
    engine = create_engine(
        url.set(query={**_LIBPQ, "application_name": _me(), **url.query}),
        json_serializer=_written,
        pool_size=1,
        max_overflow=0,
        pool_pre_ping=True,
    )

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _entry: ConnectionPoolEntry) -> None:
        if (encoding := connection.info.parameter_status("server_encoding")) != "UTF8":
            raise OperationalError(f"the database's encoding is {encoding}, and this cloud's texts need UTF8")
        connection.adapters.register_dumper(str, Words)
        connection.autocommit = True
        try:
            connection.execute(_SESSION)
            connection.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
            connection.execute("RESET lock_timeout")
        except LockNotAvailable:
            holder = connection.execute(_HOLDER, [_LOCK]).fetchone()
            who = f" ({holder[0]})" if holder else ""
            raise OperationalError(f"another server of this cloud has the database{who}") from None
        connection.autocommit = False

    return engine


def _me() -> str:
    """Who holds the lock, in PostgreSQL's lists."""
    return f"esp-ota, process {os.getpid()} on {platform.node()}"[:63]
