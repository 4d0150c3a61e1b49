"""OTA jobs: create, list, watch, approve, cancel, archive. ``jobs.py`` decides, this file keeps the book."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from sqlalchemy import Select, Table, insert, literal, select

from py_esp_ota.cloud import jobs as rules
from py_esp_ota.cloud.event_log import EventLog, Wanted
from py_esp_ota.cloud.events import THE_ADMIN, THE_CLOCK, Actor, By, Event, Kind
from py_esp_ota.cloud.ground import Ground
from py_esp_ota.cloud.history import HistoryLine, first_line, lines
from py_esp_ota.cloud.job_book import JobBook, Standing
from py_esp_ota.cloud.job_rows import (
    JobView,
    columns_of,
    columns_of_counts,
    columns_of_job,
    job_row,
    state_of,
    view,
    view_of,
)
from py_esp_ota.cloud.jobs import NodeState, NodeStatus, OtaJob
from py_esp_ota.cloud.models import ImageRow, JobNodeRow, JobRow
from py_esp_ota.cloud.new_job import new_job
from py_esp_ota.cloud.nodes import Nodes
from py_esp_ota.cloud.outbox import Outbox
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.serving import Serving
from py_esp_ota.cloud.store import PAGE_SIZE, Page, page, rows_of
from py_esp_ota.cloud.texts import number_or_refuse
from py_esp_ota.cloud.turn import Turn
from py_esp_ota.cloud.turns import Turns

AT_ONCE = 500
"""Nodes whose time is over that are closed in one turn."""

_JOB: Table = JobRow.__table__  # type: ignore[assignment]
_JOB_NODE: Table = JobNodeRow.__table__  # type: ignore[assignment]


class Jobs:
    """Create, list, watch, approve, cancel and archive jobs.

    ``on_made`` is called after a job was made: its deadline may be the next one.
    """

    def __init__(
        self,
        ground: Ground,
        turns: Turns,
        book: JobBook,
        nodes: Nodes,
        serving: Serving,
        outbox: Outbox,
        max_fetch_cycles: int = rules.DEFAULT_FETCH_CYCLES,
    ) -> None:
        self._ground = ground
        self._turns = turns
        self._book = book
        self._nodes = nodes
        self._serving = serving
        self._outbox = outbox
        self._log = EventLog(ground.store)
        self._max_fetch_cycles = max_fetch_cycles
        self.on_made: Callable[[], None] = lambda: None

    # ---------------------------------------------------------------------------------------------------------- create

    def create(
        self,
        name: str,
        ota_image_id: str,
        *,
        nodes: Sequence[str] = (),
        groups: Sequence[str] = (),
        metadata: Mapping[str, Any] | None = None,
        description: str = "",
        priority: int = rules.DEFAULT_PRIORITY,
        timeout: int = rules.DEFAULT_TIMEOUT_S,
        force_push: bool = False,
        user_approval: bool = False,
        admin_id: str | None = None,
        by: By = THE_ADMIN,
    ) -> JobView:
        """Start a job for some nodes, or for all with the group ``FFFF-FFFF``; of those that ``admin_id`` has claimed.

        With ``force_push`` the nodes that are connected get the URL now; without it, and for all others, a node gets
        it when it asks.

        Raises:
            CloudError: IMAGE_UNKNOWN, IMAGE_ARCHIVED, JOB_TARGETS, NODE_NOT_OF_USER, JOB_METADATA, INVALID_REQUEST.
        """
        job = new_job(
            self._ground.ids.job(),
            name,
            ota_image_id,
            self._ground.now_ms(),
            nodes=nodes,
            groups=groups,
            metadata=metadata,
            description=description,
            priority=priority,
            timeout=timeout,
            force_push=force_push,
            user_approval=user_approval,
            max_fetch_cycles=self._max_fetch_cycles,
        )
        with self._turns.take() as turn:
            job = replace(job, fw_version=_version_of(turn, ota_image_id))
            targets = self._resolve(turn, job, admin_id)
            job = replace(job, number=_insert(turn, job, targets))
            standing = Standing(job, Counter({NodeStatus.TRIGGERED: len(targets)}), 0)
            turn.begin(rules.created(job, targets, by), standing, targets)
            if force_push and not user_approval and self._outbox.open:
                self._serving.push(turn, job.ota_job_id, self._nodes.online(targets))
            standing = turn.standing(job.ota_job_id)
        self.on_made()
        return view(standing.job, standing.counts, standing.closed)

    def _resolve(self, turn: Turn, job: OtaJob, admin_id: str | None) -> list[str]:
        """The job's target nodes, in order."""
        found = self._nodes.claimed(turn.tx, admin_id, None if job.groups == (rules.ALL_NODES,) else job.nodes)
        missing = sorted(set(job.nodes) - set(found), key=job.nodes.index)
        if missing:
            raise CloudError(Refusal.NODE_NOT_OF_USER, f"unknown nodes: {', '.join(missing[:5])}"[:500], nodes=missing)
        if not found:
            raise CloudError(Refusal.JOB_TARGETS, "there is no node yet that the job could be for")
        return found

    # ------------------------------------------------------------------------------------------------------------ read

    def find(
        self,
        *,
        name: str | None = None,
        ota_image_id: str | None = None,
        archived: bool | None = False,
        start_id: str | None = None,
        num_records: int = PAGE_SIZE,
    ) -> Page[JobView]:
        """Jobs, newest first; ``name`` is searched for. ``archived``: those that are, are not, or ``None`` for all."""
        query: Select[tuple[JobRow]] = select(JobRow)
        if name is not None:
            query = query.where(JobRow.ota_job_name.icontains(name, autoescape=True))
        if ota_image_id is not None:
            query = query.where(JobRow.ota_image_id == ota_image_id)
        if archived is not None:
            query = query.where(JobRow.archived == archived)
        start = number_or_refuse(start_id)
        with self._ground.store.begin() as tx:
            rows, total, following = page(
                tx, query, key=JobRow.number, start=start, size=num_records, newest_first=True
            )
            return Page([view_of(row) for row in rows], total, None if following is None else str(following))

    def get(self, ota_job_id: str) -> JobView:
        """One job. Raises ``CloudError`` (JOB_UNKNOWN)."""
        standing = self._book.standing(ota_job_id)
        if standing is not None:
            return view(standing.job, standing.counts, standing.closed)
        with self._ground.store.begin() as tx:
            return view_of(job_row(tx, ota_job_id))

    def summary(self, ota_job_id: str) -> dict[str, int]:
        """The job's nodes by status, and their total. Raises ``CloudError`` (JOB_UNKNOWN)."""
        return dict(self.get(ota_job_id).summary)

    def node_status(
        self,
        ota_job_id: str,
        *,
        node_id: str | None = None,
        status: NodeStatus | None = None,
        start_id: str | None = None,
        num_records: int = PAGE_SIZE,
    ) -> Page[NodeState]:
        """Where the job stands on each node, by node id. Raises ``CloudError`` (JOB_UNKNOWN)."""
        with self._ground.store.begin() as tx:
            query = select(JobNodeRow).where(JobNodeRow.job == job_row(tx, ota_job_id).number)
            if node_id is not None:
                query = query.where(JobNodeRow.node_id == node_id)
            if status is not None:
                query = query.where(JobNodeRow.status == status.value)
            rows, total, following = page(tx, query, key=JobNodeRow.node_id, start=start_id or None, size=num_records)
            return Page([state_of(row) for row in rows], total, following)

    def state(self, ota_job_id: str, node_id: str) -> NodeState | None:
        """Where a job stands on a node, ``None`` when it is not for it. Raises ``CloudError`` (JOB_UNKNOWN)."""
        if self._book.standing(ota_job_id) is not None:
            return self._book.state(ota_job_id, node_id)
        with self._ground.store.begin() as tx:
            row = tx.get(JobNodeRow, (job_row(tx, ota_job_id).number, node_id))
            return None if row is None else state_of(row)

    def of_node(self, node_id: str, num_records: int = PAGE_SIZE) -> list[tuple[JobView, NodeState]]:
        """The jobs that are or were for a node, newest first, and where each stands there."""
        query = (
            select(JobRow, JobNodeRow)
            .join(JobNodeRow, JobNodeRow.job == JobRow.number)
            .where(JobNodeRow.node_id == node_id)
            .order_by(JobRow.number.desc())
            .limit(num_records)
        )
        with self._ground.store.begin() as tx:
            return [(view_of(job), state_of(state)) for job, state in tx.execute(query)]

    def running(self) -> list[JobView]:
        """The jobs that are not over, newest first."""
        found = sorted(self._book.all(), key=lambda standing: -standing.job.number)
        return [view(standing.job, standing.counts, standing.closed) for standing in found]

    def history(self, ota_job_id: str, node_id: str | None = None) -> list[HistoryLine]:
        """Everything that happened to the job, or to the job on one node, oldest first."""
        if node_id is not None and self.state(ota_job_id, node_id) is None:
            return []
        told = [
            line
            for piece in self._log.all(Wanted(ota_job_id=ota_job_id, node_id=node_id))
            for entry in piece
            for line in lines(entry)
        ]
        # The event with which a job begins is about all its nodes: long, and not asked for to learn of one of them.
        job = self.get(ota_job_id).job
        return told if node_id is None else [first_line(job, node_id), *told]

    def recent(self, job: OtaJob, node_id: str, count: int) -> tuple[list[HistoryLine], bool]:
        """The end of the history of a job on one of its nodes, oldest first; whether something came before it."""
        wanted = Wanted(ota_job_id=job.ota_job_id, node_id=node_id)
        entries, earlier = self._log.newest(wanted, num_records=count)
        told = [line for entry in reversed(entries) for line in lines(entry)]
        return (told, True) if earlier is not None else ([first_line(job, node_id), *told], False)

    def pending_update(self, node_id: str) -> OtaJob | None:
        """The job that a node's user could start now, whether it waits for approval or for the node to ask."""
        found = ((self._book.standing(each), self._book.state(each, node_id)) for each in self._book.jobs_of(node_id))
        offers = [(standing.job, replace(state, approved=True)) for standing, state in found if standing and state]
        chosen = rules.choose(offers, self._nodes.version(node_id), self._ground.now_ms()).serve
        return None if chosen is None else chosen[0]

    # ---------------------------------------------------------------------------------------------------------- change

    def approve_update(self, node_id: str, ota_job_id: str, by: By = By(Actor.USER)) -> None:  # noqa: B008 (a value)
        """The node's user says yes: the job is pushed at once.

        Raises:
            CloudError: JOB_UNKNOWN, NODE_OFFLINE, NO_UPDATE.
        """
        with self._turns.take() as turn:
            job, state = turn.standing(ota_job_id).job, turn.state(ota_job_id, node_id)
            if not self._nodes.is_online(node_id) or not self._outbox.open:
                raise CloudError(Refusal.NODE_OFFLINE, "the node is offline")
            if state is None:
                raise CloudError(Refusal.NO_UPDATE, "the job is not for this node")
            state = replace(state, approved=True)
            held = job.hold(state, turn.now)
            if held is not None:
                raise CloudError(Refusal.NO_UPDATE, f"nothing to start: {held.value}")
            turn.happen(Event(kind=Kind.APPROVED, time=turn.now, by=by, ota_job_id=ota_job_id, node_id=node_id))
            self._serving.hand_out(turn, job, state)

    def cancel(self, ota_job_id: str, by: By = THE_ADMIN) -> JobView:
        """Hand the job to no further node. Nodes that hold the URL go on, and their reports are kept.

        A completed job can be cancelled too: that is how it becomes fit for the archive. Cancelling twice changes
        nothing.
        """
        with self._turns.take() as turn:
            if turn.standing(ota_job_id).job.cancelled_timestamp is None:
                turn.happen(Event(kind=Kind.JOB_CANCELLED, time=turn.now, by=by, ota_job_id=ota_job_id))
        self._outbox.withdraw(ota_job_id)
        self._turns.catch_up()
        return self.get(ota_job_id)

    def archive(self, ota_job_id: str, by: By = THE_ADMIN) -> JobView:
        """Hide a cancelled job from the list; its data stays. Raises ``CloudError`` (JOB_NOT_CANCELLED)."""
        with self._turns.take() as turn:
            job = turn.standing(ota_job_id).job
            if job.cancelled_timestamp is None:
                raise CloudError(Refusal.JOB_NOT_CANCELLED, "only a cancelled job can be archived; cancel it first")
            if not job.archived:
                turn.happen(Event(kind=Kind.JOB_ARCHIVED, time=turn.now, by=by, ota_job_id=ota_job_id))
        return self.get(ota_job_id)

    def expire(self) -> int | None:
        """Close nodes of jobs whose time is over, not too many at once.

        When there is something to close again, in milliseconds since 1970: in the past while there is more.
        """
        now = self._ground.now_ms()
        late = list(islice(self._book.late(now), AT_ONCE))
        if late:
            with self._turns.take() as turn:
                for job, state in late:
                    turn.happen(_expired(job, state, now))
        return self._book.next_deadline()


def _version_of(turn: Turn, ota_image_id: str) -> str:
    """The version of an image that may start a job."""
    row = turn.tx.execute(
        select(ImageRow.fw_version, ImageRow.archived).where(ImageRow.ota_image_id == ota_image_id)
    ).one_or_none()
    if row is None:
        raise CloudError(Refusal.IMAGE_UNKNOWN, "there is no image with this ota_image_id")
    if row.archived:
        raise CloudError(Refusal.IMAGE_ARCHIVED, "an archived image starts no job; unarchive it first")
    version: str = row.fw_version
    return version


def _insert(turn: Turn, job: OtaJob, targets: Sequence[str]) -> int:
    """The rows of a new job, in one statement however many nodes it has; its number."""
    columns = columns_of_job(job) | columns_of_counts({NodeStatus.TRIGGERED: len(targets)}, 0)
    number = int(turn.tx.execute(insert(_JOB).returning(_JOB.c.number), columns).scalar_one())
    ids = rows_of(turn.tx, targets)
    first = columns_of(NodeState("", timestamp=job.triggered_timestamp))
    constants = {name: literal(value).label(name) for name, value in first.items() if name != "node_id"}
    rows = select(literal(number).label("job"), ids.c.value.label("node_id"), *constants.values())
    turn.tx.execute(insert(_JOB_NODE).from_select(["job", "node_id", *constants], rows))
    return number


def _expired(job: OtaJob, state: NodeState, now: int) -> Event:
    after = job.expire(state, now)
    words = {"status": after.status.value, "additional_info": after.additional_info}
    return Event(
        kind=Kind.EXPIRED, time=now, by=THE_CLOCK, ota_job_id=job.ota_job_id, node_id=state.node_id, data=words
    )
