"""Where the clouds of a test keep things: in memory, or in PostgreSQL. A test says ``new_store()`` and gets either."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import select

from py_esp_ota.cloud.models import Table
from py_esp_ota.cloud.store import Store

EVERYTHING = os.environ.get("ESP_OTA_DATABASE", "")
"""``postgresql``: all of the cloud's tests in it, not only those that are marked."""

_making: list[Callable[[], Store]] = [Store]


def new_store() -> Store:
    """A store with nothing in it, of the kind that the test is about."""
    return _making[-1]()


@contextmanager
def made_by(make: Callable[[], Store]) -> Iterator[None]:
    """Meanwhile stores come from here."""
    _making.append(make)
    try:
        yield
    finally:
        _making.pop()


def kinds(test: pytest.Item) -> list[str]:
    """In which databases a test is to run."""
    both = test.get_closest_marker("both_databases")
    return [EVERYTHING] if EVERYTHING else ["sqlite", "postgresql"] if both else ["sqlite"]


# --------------------------------------------------------------------------------------------------- whatever it is in

NO_ROOM = """
CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file "base/5/1259": No space left on device' USING ERRCODE = '53100'; END $$
"""


def dump(store: Store) -> list[str]:
    """Every row of every table."""
    with store.begin() as tx:
        rows = {name: tx.connection().execute(select(table)) for name, table in Table.metadata.tables.items()}
        return sorted(f"{name}: {row._asdict()}" for name, found in rows.items() for row in found)


def fill(store: Store) -> None:
    """From now on there is no room for anything."""
    if kind(store) == "sqlite":
        ask(store, f"PRAGMA max_page_count={ask(store, 'PRAGMA page_count')}")
        return
    ask(store, NO_ROOM)
    for name in Table.metadata.tables:
        ask(store, f'CREATE TRIGGER no_room BEFORE INSERT OR UPDATE ON "{name}" EXECUTE FUNCTION no_room()')


def make_room(store: Store) -> None:
    ask(store, "PRAGMA max_page_count=1000000" if kind(store) == "sqlite" else "DROP FUNCTION no_room CASCADE")


def kind(store: Store) -> str:
    return store._engine.dialect.name


def ask(store: Store, statement: str) -> object:
    """What the first row says, if there is one."""
    with store.begin() as tx:
        found = tx.connection().exec_driver_sql(statement)
        return found.scalar() if found.returns_rows else None
