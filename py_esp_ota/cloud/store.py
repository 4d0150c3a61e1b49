"""The database: one door to it, and what every part of the cloud shares of it.

Everything is synchronous: a statement takes microseconds and the cloud lives on one event loop. A transaction is a
``with store.begin() as tx`` block without an ``await`` in it; such blocks never nest.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from sqlalchemy import (
    JSON,
    URL,
    Connection,
    Engine,
    Select,
    TableValuedAlias,
    Text,
    cast,
    create_engine,
    event,
    func,
    literal,
    select,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool

from py_esp_ota.cloud.models import SettingRow, Table
from py_esp_ota.cloud.refusals import CloudError, Refusal

log = logging.getLogger(__name__)

Item = TypeVar("Item")

PAGE_SIZE = 25
PAGE_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A part of a list: ``next_id`` is the ``start_id`` of the next part, ``None`` at the end."""

    items: list[Item]
    total: int
    next_id: str | None = None


class Store:
    """The cloud's memory. ``url`` is SQLAlchemy's: ``sqlite://`` (in memory), ``sqlite:///cloud.db``, PostgreSQL.

    Raises:
        ValueError: what is at ``url`` cannot be opened, is no database of this cloud, or is a newer version's.
    """

    def __init__(self, url: str = "sqlite://") -> None:
        self._engine = _engine(url)
        try:
            if _in_memory(make_url(url)):
                Table.metadata.create_all(self._engine)
            else:
                from py_esp_ota.cloud.upgrade import bring_up_to_date  # noqa: PLC0415 - alembic, for who has a past

                if done := bring_up_to_date(self._engine, Table.metadata):
                    log.warning("%s: %s", _name(make_url(url)), done)
        except (DatabaseError, ValueError) as error:
            self._engine.dispose()
            why = str(error.orig if isinstance(error, DatabaseError) else error).partition("\n")[0]
            raise ValueError(f"{_name(make_url(url))}: {why}") from error

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
        with self.begin() as tx:
            row = tx.get(SettingRow, key)
            if row is None:
                row = SettingRow(key=key, value=make())
                tx.add(row)
            return row.value

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


def rows_of(tx: Connection, texts: Sequence[str]) -> TableValuedAlias:
    """A list of texts as a table with the column ``value``: one parameter, however many there are."""
    document = literal(json.dumps(list(texts)), Text)
    if tx.dialect.name == "sqlite":
        return func.json_each(document).table_valued("value")
    return func.json_array_elements_text(cast(document, JSON)).table_valued("value")


@contextmanager
def refusing_without_room() -> Iterator[None]:
    """For those who answer somebody: a disk without room is a refusal. What has nobody to tell may wait for room.

    Raises:
        CloudError: STORAGE_FULL; nothing of the transaction is stored.
    """
    try:
        yield
    except DatabaseError as error:
        if _no_space(error.orig):
            raise CloudError(Refusal.STORAGE_FULL, "the disk is full: nothing was stored") from error
        raise


def _no_space(error: BaseException | None) -> bool:
    """Whether SQLite or PostgreSQL ran out of room; the index of SQLite's log has an error of its own for it."""
    sqlite = getattr(error, "sqlite_errorname", "")
    return sqlite in {"SQLITE_FULL", "SQLITE_IOERR_SHMSIZE"} or getattr(error, "sqlstate", "") == "53100"


def _in_memory(url: URL) -> bool:
    return url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}


def _name(url: URL) -> str:
    """How to call a database in a sentence: the file, or the URL without its password."""
    return url.database if url.get_backend_name() == "sqlite" and url.database else url.render_as_string()


def _engine(url: str) -> Engine:
    if make_url(url).get_backend_name() != "sqlite":
        return create_engine(url)
    if not _in_memory(make_url(url)):
        return _sqlite(url)
    # Labs are made by the hundred and ask the same of different data: what one has compiled, the next one uses.
    first = _first_in_memory()
    return Engine(first.pool.recreate(), first.dialect, first.url, execution_options={"compiled_cache": _COMPILED})


_COMPILED: dict[Any, Any] = {}


@cache
def _first_in_memory() -> Engine:
    """It is never opened: the others have its dialect, which is a part of the name of each compiled statement."""
    return _sqlite("sqlite://", poolclass=StaticPool)


def _sqlite(url: str, **options: Any) -> Engine:
    engine = create_engine(url, connect_args={"check_same_thread": False}, **options)

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _entry: ConnectionPoolEntry) -> None:
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=5000"):
            connection.execute(f"PRAGMA {pragma}")

    return engine
