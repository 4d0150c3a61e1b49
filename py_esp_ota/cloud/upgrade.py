"""The revision of a database: an empty one is made at the newest, an older one is brought there, another is refused.

Whatever happens is one transaction, in SQLite too: what fails, or is killed half way, leaves the database as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, MetaData, column, create_engine, delete, inspect, table
from sqlalchemy.exc import DatabaseError

from py_esp_ota.cloud.database import reason
from py_esp_ota.cloud.database_copy import keep_copy

FOLDER = Path(__file__).with_name("migrations")
FIRST = "0001"
"""Made by a version that stamped nothing: known by its tables."""

_STAMP = "alembic_version"

_Tables = Mapping[str, AbstractSet[str]]  # the columns of each


def bring_up_to_date(engine: Engine, newest_tables: MetaData) -> str:
    """Make the tables where there are none, upgrade older ones, leave alone what is up to date.

    Returns:
        What was upgraded and where a copy lies, as a sentence; empty when nothing was.

    Raises:
        ValueError: the database is of a newer version or of something else, or its upgrade failed.
        DatabaseError: it cannot be opened, or not written.
    """
    script = ScriptDirectory(FOLDER)
    newest = script.get_current_head() or FIRST
    kept = ""
    with _alone(engine) as connection:
        before = _revision(connection, script, newest)
        if before is None:
            newest_tables.create_all(connection)
            MigrationContext.configure(connection).stamp(script, newest)
        elif before != newest:
            kept = _keep_copy(engine, before, newest)
            _upgrade(connection, script, before, newest)
        else:  # may it be written? SQLite opens what may not, and says so at the first write
            stamp = table(_STAMP, column("version_num"))
            connection.execute(delete(stamp).where(stamp.c.version_num.is_(None)))
        _require(connection, {name: {*each.columns.keys()} for name, each in newest_tables.tables.items()})
    return f"upgraded from revision {before} to {newest}; {kept}" if kept else ""


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


def _revision(connection: Connection, script: ScriptDirectory, newest: str) -> str | None:
    """Which revision the database has, by its stamp or by its tables; ``None`` of an empty one."""
    stamps = MigrationContext.configure(connection).get_current_heads()
    if stamps:
        if {*stamps} - {step.revision for step in script.walk_revisions()}:
            known = FIRST if newest == FIRST else f"{FIRST} to {newest}"
            raise ValueError(
                f"a newer version of this cloud was here: revision {', '.join(stamps)}, and this version knows {known}"
            )
        return stamps[0]
    if not _tables(connection):
        return None
    _require(connection, _first_tables(script))
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
        name: {column["name"] for column in columns} for (_, name), columns in sorted(found.items()) if name != _STAMP
    }


def _first_tables(script: ScriptDirectory) -> _Tables:
    """The tables of the first revision, which says itself what they are."""
    with create_engine("sqlite://").connect() as connection:
        with Operations.context(MigrationContext.configure(connection)):
            script.get_revision(FIRST).module.upgrade()
        return _tables(connection)


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


def _upgrade(connection: Connection, script: ScriptDirectory, before: str, newest: str) -> None:
    context = MigrationContext.configure(connection)
    steps = reversed(list(script.iterate_revisions(newest, before)))
    try:
        if not context.get_current_heads():
            context.stamp(script, before)
        with Operations.context(context):
            for step in steps:
                step.module.upgrade()
                context.stamp(script, step.revision)
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
