"""One transaction of the cloud's book-keeping: what happens in it, and what that makes of jobs and nodes.

Everything that moves a job or a node goes through here, one report of a thousand as well as a press on a button::

    with turns.take() as turn:
        turn.happen(Event(...))      # appended to the log, and folded into the state that it is about

What follows from that by a job's plan happens in the same turn, at its end (``campaigns``).

Decisions read what is in memory and what this turn has changed; the database is asked for jobs that are over, no more.
When the block ends everything is written at once; when that fails nothing has happened (``turns``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, Table, bindparam, delete, insert, literal, select, update
from sqlalchemy.orm import Session

from py_esp_ota.cloud import event_log
from py_esp_ota.cloud.events import Actor, By, Event, Kind
from py_esp_ota.cloud.job_book import JobBook, first_state, states_of
from py_esp_ota.cloud.job_rows import columns_of, columns_of_standing, standing_of, state_of, unknown_job
from py_esp_ota.cloud.jobs import NodeState, fold_state
from py_esp_ota.cloud.live import Kind as Thing
from py_esp_ota.cloud.models import JobNodeRow, JobRow, PushRow
from py_esp_ota.cloud.node_book import NodeBook, NodeChanges
from py_esp_ota.cloud.outbox import Letter
from py_esp_ota.cloud.standing import Standing
from py_esp_ota.cloud.store import execute_many, rows_of

_JOB: Table = JobRow.__table__  # type: ignore[assignment]
_JOB_NODE: Table = JobNodeRow.__table__  # type: ignore[assignment]
_PUSH: Table = PushRow.__table__  # type: ignore[assignment]

# What they set is what the rows they are executed with name.
_MOVE = update(_JOB_NODE).where(_JOB_NODE.c.job == bindparam("of_job"), _JOB_NODE.c.node_id == bindparam("of_node"))
_JOIN = insert(_JOB_NODE)
_STAND = update(_JOB).where(_JOB.c.number == bindparam("of"))
_ARRIVED = delete(_PUSH).where(_PUSH.c.job == bindparam("of_job"), _PUSH.c.node_id == bindparam("of_node"))


class Turn:
    """What happens in one transaction, until it is written."""

    def __init__(self, jobs: JobBook, nodes: NodeBook, tx: Connection, now: int) -> None:
        self.tx = tx
        self.now = now  # milliseconds
        self.nodes = NodeChanges(nodes, tx, now // 1000)
        self.letters: list[Letter] = []  # go out when this is written
        self.withdrawn: dict[str, None] = {}  # jobs whose letters are taken back when this is written
        self._book = jobs
        self._events: list[Event] = []
        self._begun: dict[str, dict[str, int]] = {}  # jobs, and their nodes in order
        self._standings: dict[str, Standing] = {}
        self._states: dict[tuple[str, str], NodeState] = {}
        self._moved: dict[tuple[str, str], NodeState] = {}
        self._joined: dict[tuple[str, str], None] = {}
        self._stood: dict[str, Standing] = {}
        self._reopened: dict[str, list[NodeState]] = {}
        self._deleted: dict[str, int] = {}  # jobs and their numbers
        self._promised: dict[tuple[str, str], None] = {}
        self._arrived: dict[tuple[str, str], None] = {}
        self.changed: dict[tuple[Thing, str, str], None] = {}  # as ``Live.publish`` takes it

    # ------------------------------------------------------------------------------------------------------------ read

    def standing(self, ota_job_id: str) -> Standing:
        """Where a job stands. Raises ``CloudError`` (JOB_UNKNOWN)."""
        found = self._standings.get(ota_job_id) or self._book.standing(ota_job_id)
        if found is None:
            with Session(self.tx) as session:
                row = session.scalar(select(JobRow).where(JobRow.ota_job_id == ota_job_id))
                if row is None:
                    raise unknown_job()
                found = self._standings[ota_job_id] = standing_of(row)
        return found

    def state(self, ota_job_id: str, node_id: str) -> NodeState | None:
        """Where a job stands on a node, ``None`` when it is not for it. Raises ``CloudError`` (JOB_UNKNOWN)."""
        key = ota_job_id, node_id
        found = self._states.get(key) or self._book.state(ota_job_id, node_id)
        if ota_job_id in self._begun:
            position = self._begun[ota_job_id].get(node_id)
            is_target = found is None and position is not None
            return first_state(self.standing(ota_job_id).job, node_id, position or 0) if is_target else found
        if found is None and self._book.standing(ota_job_id) is None:
            number = self.standing(ota_job_id).job.number
            with Session(self.tx) as session:
                row = session.get(JobNodeRow, (number, node_id))
                if row is not None:
                    found = self._states[key] = state_of(row)
        return found

    def offers(self, node_id: str) -> list[tuple[Standing, NodeState]]:
        """The open jobs that are for a node, and where it stands in them."""
        joined = [of for of, who in self._joined if who == node_id]
        jobs = [*self._book.jobs_of(node_id), *joined]
        found = ((self.standing(each), self.state(each, node_id)) for each in jobs)
        return [(standing, state) for standing, state in found if state is not None]

    def order(self, ota_job_id: str) -> Sequence[str]:
        """The nodes of a job that is open, or begins in this turn, as it comes to them."""
        joined = [node_id for of, node_id in self._joined if of == ota_job_id]
        return [*self._begun.get(ota_job_id, self._book.order(ota_job_id)), *joined]

    def targets(self, ota_job_id: str) -> Sequence[str]:
        """The nodes of a job, open or over, as it comes to them. Raises ``CloudError`` (JOB_UNKNOWN)."""
        number = self.standing(ota_job_id).job.number
        if ota_job_id in self._begun or self._book.standing(ota_job_id) is not None:
            return self.order(ota_job_id)
        query = select(_JOB_NODE.c.node_id).where(_JOB_NODE.c.job == number).order_by(_JOB_NODE.c.position)
        return list(self.tx.scalars(query).all())

    def touched(self) -> list[str]:
        """The jobs to which something has happened in this turn."""
        return list(dict.fromkeys([*self._begun, *self._stood]))

    def moved(self, ota_job_id: str) -> list[str]:
        """The nodes of a job to which something has happened in this turn."""
        return [node_id for of, node_id in self._moved if of == ota_job_id]

    # ---------------------------------------------------------------------------------------------------------- change

    def happen(self, event: Event) -> None:
        """Append an event, and move what it is about."""
        if event.ota_job_id:
            self._fold(event)
            self.note("job", event.ota_job_id, event.node_id)
        self._events.append(event)

    def _fold(self, event: Event) -> None:
        standing = self.standing(event.ota_job_id)
        if not event.node_id:
            self._stand(standing.after(event))
        elif event.kind is Kind.JOIN_REFUSED:
            return
        elif event.kind is Kind.NODE_ADDED:
            key = event.ota_job_id, event.node_id
            state = NodeState(event.node_id, timestamp=event.time, position=sum(standing.job.sizes))
            self._states[key] = self._moved[key] = state
            self._joined[key] = None
            self._stand(standing.after(event).joined(state))
        else:
            self._move(standing, event)

    def _move(self, standing: Standing, event: Event) -> None:
        key = event.ota_job_id, event.node_id
        before = self.state(*key)
        if before is None:
            raise ValueError(f"{event.kind}: the job {event.ota_job_id} is not for node {event.node_id}")
        after = fold_state(standing.job, before, event)
        if after != before:
            self._states[key] = self._moved[key] = after
            self._stand(standing.moved(before, after))

    def begin(self, event: Event, standing: Standing, order: Sequence[str]) -> None:
        """A job begins; its rows are written already by who makes it."""
        self._events.append(event)
        ota_job_id = standing.job.ota_job_id
        self._begun[ota_job_id] = {node_id: position for position, node_id in enumerate(order)}
        self._standings[ota_job_id] = standing
        self.note("job", ota_job_id)

    def look_at(self, ota_job_id: str) -> None:
        """Time has come for a job, though nothing has happened to it."""
        self._stand(self.standing(ota_job_id))

    def delete(self, ota_job_id: str) -> None:
        """A job that is over goes, with its nodes' states; what happened stays in the log."""
        self._deleted[ota_job_id] = self.standing(ota_job_id).job.number

    def promise(self, ota_job_id: str, node_ids: Iterable[str]) -> None:
        """The URL goes to these nodes, and goes again after a restart unless it has arrived."""
        for key in [(ota_job_id, node_id) for node_id in node_ids]:
            self._arrived.pop(key, None)
            if key not in self._book.pushes:
                self._promised[key] = None

    def arrived(self, ota_job_id: str, node_id: str) -> None:
        """The broker has the URL that goes to a node: it need not go again."""
        key = ota_job_id, node_id
        if key in self._promised:
            del self._promised[key]
        elif key in self._book.pushes:
            self._arrived[key] = None

    def note(self, thing: Thing, id_: str, node_id: str = "") -> None:
        """Something is no longer what it was, of a job perhaps on one node only: whoever watches is told afterwards."""
        self.changed[thing, id_, node_id] = None

    def _stand(self, standing: Standing) -> None:
        ota_job_id = standing.job.ota_job_id
        self._standings[ota_job_id] = self._stood[ota_job_id] = standing

    # ----------------------------------------------------------------------------------------------------------- write

    def write(self) -> None:
        """Into the database; the transaction is somebody else's to commit."""
        self.nodes.write()
        for node_id in self.nodes.joined:
            by = By(Actor.NODE, node_id)
            self._events.append(Event(kind=Kind.NODE_JOINED, time=self.now, by=by, node_id=node_id))
        event_log.append(self.tx, self._events)
        self._write_states()
        execute_many(self.tx, _STAND, [_row_of(standing) for standing in self._stood.values()])
        for ota_job_id, standing in self._stood.items():
            if not standing.over and ota_job_id not in self._begun and self._book.standing(ota_job_id) is None:
                with Session(self.tx) as session:
                    self._reopened[ota_job_id] = states_of(session, standing.job.number)
        for ota_job_id in dict.fromkeys(ota_job_id for ota_job_id, _ in self._promised):
            ids = rows_of(self.tx, [node_id for of, node_id in self._promised if of == ota_job_id])
            number = self.standing(ota_job_id).job.number
            self.tx.execute(insert(_PUSH).from_select(["job", "node_id"], select(literal(number), ids.c.value)))
        execute_many(self.tx, _ARRIVED, [self._of(*key) for key in self._arrived])
        for number in self._deleted.values():
            for column in (_PUSH.c.job, _JOB_NODE.c.job, _JOB.c.number):  # the job last: the others refer to it
                self.tx.execute(delete(column.table).where(column == number))

    def _write_states(self) -> None:
        moved = [_columns_of(state) | self._of(*key) for key, state in self._moved.items() if key not in self._joined]
        joined = [
            columns_of(self._moved[ota_job_id, node_id]) | {"job": self.standing(ota_job_id).job.number}
            for ota_job_id, node_id in self._joined
        ]
        execute_many(self.tx, _MOVE, moved)
        execute_many(self.tx, _JOIN, joined)

    def _of(self, ota_job_id: str, node_id: str) -> dict[str, object]:
        return {"of_job": self.standing(ota_job_id).job.number, "of_node": node_id}

    def commit(self) -> None:
        """Into the books: it is in the database now."""
        self.nodes.commit()
        for ota_job_id, order in self._begun.items():
            self._book.open(self._standings[ota_job_id], list(order))
        for ota_job_id, states in self._reopened.items():
            self._book.reopen(self._standings[ota_job_id], states)
        for ota_job_id, node_id in self._joined:
            self._book.join(ota_job_id, node_id)
        for (ota_job_id, _), state in self._moved.items():
            self._book.move(ota_job_id, state)
        for standing in self._stood.values():
            self._book.stand(standing)
        self._book.pushes |= self._promised
        for key in self._arrived:
            self._book.pushes.pop(key, None)


def _columns_of(state: NodeState) -> dict[str, object]:
    columns = columns_of(state)
    del columns["node_id"]  # the row has it already
    return columns


def _row_of(standing: Standing) -> dict[str, object]:
    return {"of": standing.job.number, **columns_of_standing(standing)}
