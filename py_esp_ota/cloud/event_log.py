"""The event log in the database: one table that is only ever appended to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Connection, Select, Table, func, insert, select
from sqlalchemy.orm import Session

from py_esp_ota.cloud.events import Actor, By, Entry, Event, Kind
from py_esp_ota.cloud.models import EventRow
from py_esp_ota.cloud.store import PAGE_SIZE, Store, execute_many

_EVENT: Table = EventRow.__table__  # type: ignore[assignment]
_APPEND = insert(_EVENT)
_PIECE = 500


class Executes(Protocol):
    """A transaction: SQLAlchemy's ``Connection`` or ``Session``."""

    @property
    def execute(self) -> Any:
        """Execute a statement, with the rows of it."""


def append(tx: Connection | Session, events: Iterable[Event]) -> None:
    """Write events in their order, in the transaction that changes what they are about."""
    rows = [
        {
            "time": event.time,
            "kind": event.kind.value,
            "actor": event.by.actor.value,
            "who": event.by.who,
            "ota_job_id": event.ota_job_id,
            "node_id": event.node_id,
            "ota_image_id": event.ota_image_id,
            "user_name": event.user_name,
            "data": event.data,
        }
        for event in events
    ]
    execute_many(tx.connection() if isinstance(tx, Session) else tx, _APPEND, rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which events: all that agree with what is given."""

    kind: Kind | None = None
    actor: Actor | None = None
    who: str | None = None
    ota_job_id: str | None = None
    node_id: str | None = None
    ota_image_id: str | None = None
    user_name: str | None = None
    since: int | None = None  # milliseconds, inclusive
    until: int | None = None  # milliseconds, exclusive

    def narrow(self, query: Select[Any]) -> Select[Any]:
        """The query, for these events only."""
        columns = _EVENT.c
        for name in ("kind", "actor", "who", "ota_job_id", "node_id", "ota_image_id", "user_name"):
            value = getattr(self, name)
            if value is not None:
                query = query.where(columns[name] == str(value))
        if self.since is not None:
            query = query.where(columns.time >= self.since)
        return query if self.until is None else query.where(columns.time < self.until)


EVERYTHING = Wanted()


class EventLog:
    """Reading the log; writing is ``append``, inside somebody's transaction."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def newest(
        self, wanted: Wanted = EVERYTHING, *, start: int | None = None, num_records: int = PAGE_SIZE
    ) -> tuple[list[Entry], int | None]:
        """Events from the newest, or from the number ``start``, back; the ``start`` of the next part."""
        query = wanted.narrow(select(_EVENT))
        if start is not None:
            query = query.where(_EVENT.c.number <= start)
        with self._store.connect() as tx:
            rows = tx.execute(query.order_by(_EVENT.c.number.desc()).limit(num_records + 1)).all()
        found = [_entry(row) for row in rows]
        return found[:num_records], found[num_records].number if len(found) > num_records else None

    def some(self, query: Select[Any]) -> list[Entry]:
        """The events of a query over the whole rows of the log, in its order."""
        with self._store.connect() as tx:
            return [_entry(row) for row in tx.execute(query)]

    def all(self, wanted: Wanted = EVERYTHING, *, after: int = 0) -> Iterator[Sequence[Entry]]:
        """Every event there is behind the number ``after``, oldest first, in pieces.

        What is appended meanwhile may come faster than we read: it is left out.
        """
        with self._store.connect() as tx:
            end = tx.execute(select(func.max(_EVENT.c.number))).scalar_one() or 0
        last = after
        while True:
            query = wanted.narrow(select(_EVENT)).where(_EVENT.c.number > last, _EVENT.c.number <= end)
            with self._store.connect() as tx:
                rows = tx.execute(query.order_by(_EVENT.c.number).limit(_PIECE)).all()
            if not rows:
                return
            last = rows[-1].number
            yield [_entry(row) for row in rows]


def event_json(entry: Entry) -> dict[str, Any]:
    """One event as a document; what it is not about is left out."""
    event = entry.event
    about = {
        "who": event.by.who,
        "ota_job_id": event.ota_job_id,
        "node_id": event.node_id,
        "ota_image_id": event.ota_image_id,
        "user_name": event.user_name,
    }
    return {
        "number": entry.number,
        "timestamp": event.time,
        "kind": event.kind.value,
        "actor": event.by.actor.value,
        **{name: value for name, value in about.items() if value},
        "data": dict(event.data),
    }


def _entry(row: Any) -> Entry:
    event = Event(
        kind=Kind(row.kind),
        time=row.time,
        by=By(Actor(row.actor), row.who),
        ota_job_id=row.ota_job_id,
        node_id=row.node_id,
        ota_image_id=row.ota_image_id,
        user_name=row.user_name,
        data=row.data,
    )
    return Entry(row.number, event)
