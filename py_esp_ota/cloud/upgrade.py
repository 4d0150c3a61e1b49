"""The revision of a database: an empty one is made at the newest, an older one is brought there, another is refused.

Whatever happens is one transaction, in SQLite too: what fails, or is killed half way, leaves the database as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    delete,
    insert,
    inspect,
    select,
)
from sqlalchemy.exc import DatabaseError

from py_esp_ota.cloud.database import reason
from py_esp_ota.cloud.database_copy import keep_copy

FOLDER = Path(__file__).with_name("migrations")
FIRST = "0001"
"""Made by a version that stamped nothing: known by its tables."""

_STAMP = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""As alembic makes it. Who has a database of today needs nothing else of alembic, which takes longer to import than the
database to open."""

_Tables = Mapping[str, AbstractSet[str]]  # the columns of each


def bring_up_to_date(engine: Engine, newest_tables: MetaData) -> str:
    """Make the tables where there are none, upgrade older ones, leave alone what is up to date.

    Returns:
        What was upgraded and where a copy lies, as a sentence; empty when nothing was.

    Raises:
        ValueError: the database is of a newer version or of something else, or its upgrade failed.
        DatabaseError: it cannot be opened, or not written.
    """
    revisions = _revisions()
    newest = revisions[-1]
    kept = ""
    with _alone(engine) as connection:
        before = _revision(connection, revisions)
        if before is None:
            newest_tables.create_all(connection)
            _STAMP.create(connection)
            connection.execute(insert(_STAMP).values(version_num=newest))
        elif before != newest:
            kept = _keep_copy(engine, before, newest)
            _upgrade(connection, before, newest)
        else:  # may it be written? SQLite opens what may not, and says so at the first write
            connection.execute(delete(_STAMP).where(_STAMP.c.version_num.is_(None)))
        _require(connection, {name: {*each.columns.keys()} for name, each in newest_tables.tables.items()})
    return f"upgraded from revision {before} to {newest}; {kept}" if kept else ""


def _revisions() -> Sequence[str]:
    """All that are known, the oldest first: each is a file, and its name says which."""
    return sorted(path.name[1:5] for path in (FOLDER / "versions").glob("r????_*.py"))


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """One transaction beside which nobody writes, and which takes back tables as well as rows.

    PostgreSQL's does the second by itself, and whoever is connected has the database alone.
    """
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            driver: Any = connection.connection.driver_connection
            connection.detach()  # what is set here is for nobody else
            driver.isolation_level = None  # left to itself it begins no transaction before it makes a table
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")  # a table that is made anew is dropped in between
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection
        connection.commit()


def _revision(connection: Connection, revisions: Sequence[str]) -> str | None:
    """Which revision the database has, by its stamp or by its tables; ``None`` of an empty one."""
    stamps: Sequence[str] = (
        connection.scalars(select(_STAMP.c.version_num)).all() if inspect(connection).has_table(_STAMP.name) else []
    )
    if stamps:
        if {*stamps} - {*revisions}:
            known = FIRST if revisions[-1] == FIRST else f"{FIRST} to {revisions[-1]}"
            raise ValueError(
                f"a newer version of this cloud was here: revision {', '.join(stamps)}, and this version knows {known}"
            )
        return stamps[0]
    if not _tables(connection):
        return None
    from py_esp_ota.cloud.upgrade_steps import made_by  # noqa: PLC0415 - alembic, for who has a past

    with made_by(FOLDER, FIRST) as first:
        known_tables = _tables(first)
    _require(connection, known_tables)
    return FIRST


def _require(connection: Connection, known: _Tables) -> None:
    """Whatever the stamp says: these tables are there. A table more is somebody's, and does no harm."""
    found = _tables(connection)
    for name, columns in known.items():
        if name not in found:
            raise ValueError(f"no database of this cloud: table {name} is missing")
        if odd := columns ^ found[name]:
            raise ValueError(f"no database of this cloud: table {name} differs in {', '.join(sorted(odd))}")


def _tables(connection: Connection) -> _Tables:
    found = inspect(connection).get_multi_columns()  # at once: PostgreSQL is asked over a wire
    return {
        name: {column["name"] for column in columns}
        for (_, name), columns in sorted(found.items())
        if name != _STAMP.name
    }


def _keep_copy(engine: Engine, before: str, newest: str) -> str:
    """Where the database lies as it was, in words. A copy of PostgreSQL's is for its own tools, on its own host."""
    if engine.dialect.name != "sqlite":
        return "one transaction did it all, and no copy was kept"
    try:
        with closing(engine.raw_connection()) as source:
            driver: Any = source.driver_connection
            return f"as it was, it lies in {keep_copy(driver, before)}"
    except OSError as error:
        raise ValueError(
            f"not upgraded from revision {before} to {newest}, because no copy can be kept: {error}"
        ) from error


def _upgrade(connection: Connection, before: str, newest: str) -> None:
    from py_esp_ota.cloud.upgrade_steps import walk  # noqa: PLC0415 - alembic, for who has a past

    try:
        walk(connection, FOLDER, before, newest)
        _check_references(connection)
    except DatabaseError as error:
        raise ValueError(
            f"the upgrade from revision {before} to {newest} failed and changed nothing: {reason(error)}"
        ) from error


def _check_references(connection: Connection) -> None:
    """SQLite was not looking while tables were made anew."""
    if connection.dialect.name != "sqlite":
        return
    for name, row, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        raise ValueError(
            f"the upgrade failed and changed nothing: row {row} of {name} names a {parent} that is not there"
        )
