"""The database: one door to it, and what every part of the cloud shares of it.

Everything is synchronous: a statement takes microseconds and the cloud lives on one event loop. A transaction is a
``with store.begin() as tx`` block without an ``await`` in it; such blocks never nest.
"""

from __future__ import annotations

import atexit
import json
import logging
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from operator import itemgetter
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from sqlalchemy import (
    JSON,
    URL,
    ColumnElement,
    Connection,
    Delete,
    Dialect,
    Insert,
    Select,
    TableValuedAlias,
    Text,
    Update,
    cast,
    create_mock_engine,
    func,
    insert,
    literal,
    select,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError, SQLAlchemyError
from sqlalchemy.orm import Session

from py_esp_ota.cloud.database import database_url, in_memory, name_of, open_engine, reason, without_room
from py_esp_ota.cloud.models import SettingRow, Table
from py_esp_ota.cloud.outage import outage
from py_esp_ota.cloud.refusals import CloudError, Refusal

log = logging.getLogger(__name__)

Item = TypeVar("Item")

PAGE_SIZE = 25
PAGE_LIMIT = 1000


@cache
def _tables_in_memory() -> sqlite3.Connection:
    """All tables with nothing in them: copying them takes a tenth of the time of making them."""
    made = sqlite3.connect(":memory:", check_same_thread=False)
    atexit.register(made.close)
    dialect = make_url("sqlite://").get_dialect()()
    listener = create_mock_engine("sqlite://", lambda said, *_: made.execute(str(said.compile(dialect=dialect))))
    Table.metadata.create_all(listener, checkfirst=False)
    made.commit()
    return made


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A part of a list: ``next_id`` is the ``start_id`` of the next part, ``None`` at the end."""

    items: list[Item]
    total: int
    next_id: str | None = None


class Store:
    """The cloud's memory.

    Args:
        url: SQLAlchemy's: ``sqlite://`` (in memory), ``sqlite:///cloud.db``, ``postgresql+psycopg://user@host/name``.

    Raises:
        ValueError: what is at ``url`` cannot be opened, is no database of this cloud, is a newer version's, or, in
            PostgreSQL, another server's now.
        ModuleNotFoundError: PostgreSQL's driver is not installed; the message names the extra.
    """

    def __init__(self, url: str | URL = "sqlite://") -> None:
        where = database_url(url)
        self._engine = open_engine(where)
        try:
            if in_memory(where):
                with self._engine.connect() as tx:
                    driver: Any = tx.connection.driver_connection
                    _tables_in_memory().backup(driver)
            else:
                from py_esp_ota.cloud.upgrade import bring_up_to_date  # noqa: PLC0415 - only for who keeps something

                if done := bring_up_to_date(self._engine, Table.metadata):
                    log.warning("%s: %s", name_of(where), done)
        except (DatabaseError, ValueError) as error:
            self._engine.dispose()
            raise ValueError(f"{name_of(where)}: {reason(error)}") from error

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """One transaction: committed at the end of the block, rolled back when it raises."""
        with Session(self._engine, expire_on_commit=False) as tx, tx.begin():
            yield tx

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """The same for plain statements, without objects behind the rows: what is done thousands of times."""
        with self._engine.begin() as tx:
            yield tx

    def setting(self, key: str, make: Callable[[], str]) -> str:
        """A value that is made once and kept for ever."""
        with self.connect() as tx:
            value = tx.scalar(select(SettingRow.value).where(SettingRow.key == key))
            if value is None:
                value = make()
                tx.execute(insert(SettingRow).values(key=key, value=value))
            return value

    def close(self) -> None:
        """Close every connection; what is in memory is gone."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def page(
    tx: Session, query: Select[Any], *, key: Any, start: Any, size: int, newest_first: bool = False
) -> tuple[list[Any], int, Any]:
    """Rows of ``query`` in the order of the column ``key`` from ``start`` on; how many in all; the next start."""
    total = tx.scalar(select(func.count()).select_from(query.subquery())) or 0
    if start is not None:
        query = query.where(key <= start if newest_first else key >= start)
    rows = list(tx.scalars(query.order_by(key.desc() if newest_first else key).limit(size + 1)))
    following = getattr(rows[size], key.key) if len(rows) > size else None
    return rows[:size], total, following


def execute_many(tx: Connection, statement: Insert | Update | Delete, rows: Sequence[Mapping[str, Any]]) -> None:
    """Execute a statement once for each row, all of the same names; nothing for none.

    The rows go straight to the driver: SQLAlchemy would look through the names of each again, for half as long as the
    database takes.
    """
    if rows:
        text, given = _compiled(statement, tx.dialect, tuple(rows[0]))
        tx.exec_driver_sql(text, [given(row) for row in rows])


@lru_cache(64)
def _compiled(
    statement: Insert | Update | Delete, dialect: Dialect, names: tuple[str, ...]
) -> tuple[str, Callable[[Mapping[str, Any]], Any]]:
    """A statement as a database has it, and what makes of a row what its driver takes."""
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    made = {name: bound.type.dialect_impl(dialect).bind_processor(dialect) for name, bound in compiled.binds.items()}
    steps = {name: step for name, step in made.items() if step is not None}

    def given(row: Mapping[str, Any]) -> dict[str, Any]:
        return {**row, **{name: step(row[name]) for name, step in steps.items()}} if steps else dict(row)

    if compiled.positiontup is None:
        return compiled.string, given
    in_order = itemgetter(*compiled.positiontup)
    return compiled.string, (lambda row: in_order(given(row))) if steps else in_order


def rows_of(tx: Connection, texts: Sequence[str]) -> TableValuedAlias:
    """A list of texts as a table with the column ``value``: one parameter, however many there are."""
    document = literal(json.dumps(list(texts)), Text)
    if tx.dialect.name == "sqlite":
        return func.json_each(document).table_valued("value")
    return func.json_array_elements_text(cast(document, JSON)).table_valued("value")


def numbered_rows_of(tx: Connection, texts: Sequence[str]) -> tuple[TableValuedAlias, ColumnElement[int]]:
    """The same, and the place of each in the list, from 0."""
    document = literal(json.dumps(list(texts)), Text)
    if tx.dialect.name == "sqlite":
        rows = func.json_each(document).table_valued("value", "key")
        return rows, rows.c.key
    rows = func.json_array_elements_text(cast(document, JSON)).table_valued("value", with_ordinality="place")
    rows = rows.render_derived()
    return rows, rows.c.place - 1


@contextmanager
def refusing_outages() -> Iterator[None]:
    """For those who answer somebody: a database that fails is a refusal. What has nobody to tell may wait for it.

    Raises:
        CloudError: STORAGE_FULL; nothing of the transaction is stored. DATABASE_FAILS.
    """
    try:
        yield
    except SQLAlchemyError as error:
        if without_room(error):
            raise CloudError(Refusal.STORAGE_FULL, "the disk is full: nothing was stored") from error
        if why := outage(error):
            log.error("the database failed, and somebody was told so: %s", why)
            raise CloudError(Refusal.DATABASE_FAILS, "the database fails at the moment; try again later") from error
        raise
