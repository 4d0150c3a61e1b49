"""OTA jobs: create, list, watch, approve, cancel, archive. ``jobs.py`` decides, this file keeps the book."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, and_, insert, literal, not_, or_, select

from py_esp_ota.cloud import jobs as rules
from py_esp_ota.cloud.campaign import CampaignState
from py_esp_ota.cloud.event_log import EventLog, Wanted
from py_esp_ota.cloud.events import THE_ADMIN, Actor, By, Event, Kind
from py_esp_ota.cloud.ground import Ground
from py_esp_ota.cloud.groups import Groups
from py_esp_ota.cloud.history import HistoryLine, first_line, lines
from py_esp_ota.cloud.job_book import JobBook
from py_esp_ota.cloud.job_rows import (
    JobView,
    columns_of,
    columns_of_job,
    columns_of_standing,
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
from py_esp_ota.cloud.plan import AT_ONCE as NO_PLAN
from py_esp_ota.cloud.plan import Plan
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.serving import Serving
from py_esp_ota.cloud.standing import Standing
from py_esp_ota.cloud.store import PAGE_SIZE, Page, numbered_rows_of, page
from py_esp_ota.cloud.targets import Targets, image_of, wrong_chip_refusal
from py_esp_ota.cloud.texts import number_or_refuse
from py_esp_ota.cloud.turn import Turn
from py_esp_ota.cloud.turns import Turns

_JOB: Table = JobRow.__table__  # type: ignore[assignment]
_JOB_NODE: Table = JobNodeRow.__table__  # type: ignore[assignment]
_OWN = ("job", "node_id", "position")
"""What each row of a new job has of its own."""


class Jobs:
    """Create, list, watch, approve, cancel and archive jobs."""

    def __init__(
        self,
        ground: Ground,
        turns: Turns,
        book: JobBook,
        nodes: Nodes,
        groups: Groups,
        serving: Serving,
        outbox: Outbox,
        max_fetch_cycles: int = rules.DEFAULT_FETCH_CYCLES,
    ) -> None:
        self._ground = ground
        self._turns = turns
        self._book = book
        self._nodes = nodes
        self._targets = Targets(nodes, groups)
        self._serving = serving
        self._outbox = outbox
        self._log = EventLog(ground.store)
        self._max_fetch_cycles = max_fetch_cycles

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
        notify: bool = False,
        continuous: bool = False,
        network_serialised: bool = False,
        plan: Plan = NO_PLAN,
        allow_wrong_chip: bool = False,
        admin_id: str | None = None,
        by: By = THE_ADMIN,
    ) -> JobView:
        """Start a job for nodes, and for groups of them; of those that ``admin_id`` has claimed.

        With ``force_push`` the nodes that are connected get the URL when their turn comes; without it, and for all
        others, a node gets it when it asks. A ``continuous`` job is for the nodes as well that join its groups later,
        a ``network_serialised`` one comes to one node of a network at a time. An image for another chip than a node
        says it has is refused unless that is what is wanted: ``allow_wrong_chip``.

        Raises:
            CloudError: IMAGE_UNKNOWN, IMAGE_ARCHIVED, JOB_TARGETS, GROUP_UNKNOWN, NODE_NOT_OF_USER, JOB_METADATA,
                JOB_PLAN, WRONG_CHIP, INVALID_REQUEST.
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
            notify=notify,
            continuous=continuous,
            network_serialised=network_serialised,
            admin_id=admin_id or "",
            plan=plan,
            max_fetch_cycles=self._max_fetch_cycles,
        )
        with self._turns.take() as turn:
            fw_version, chip = image_of(turn.tx, ota_image_id)
            job = replace(job, fw_version=fw_version, any_chip=allow_wrong_chip)
            order, sizes = self._targets.resolve(turn.tx, job)
            if not allow_wrong_chip and (wrong := wrong_chip_refusal(turn.tx, chip, order)) is not None:
                raise wrong
            _begin(turn, replace(job, sizes=sizes), order, by)
        return self.get(job.ota_job_id)

    def adopt(self, job: OtaJob, order: Sequence[str], by: By = THE_ADMIN) -> JobView:
        """Start a job that is resolved already, perhaps by another cloud: for these nodes, in this order.

        Raises:
            CloudError: IMAGE_UNKNOWN, IMAGE_ARCHIVED.
        """
        with self._turns.take() as turn:
            _begin(turn, replace(job, fw_version=image_of(turn.tx, job.ota_image_id)[0]), order, by)
        return self.get(job.ota_job_id)

    # ------------------------------------------------------------------------------------------------------------ read

    def find(
        self,
        *,
        name: str | None = None,
        text: str | None = None,
        state: CampaignState | None = None,
        ota_image_id: str | None = None,
        archived: bool | None = False,
        start_id: str | None = None,
        num_records: int = PAGE_SIZE,
    ) -> Page[JobView]:
        """Jobs, newest first; ``name`` is searched for, ``text`` in the name of the image as well.

        ``archived``: those that are, are not, or ``None`` for all.
        """
        query: Select[tuple[JobRow]] = select(JobRow)
        if name is not None:
            query = query.where(JobRow.ota_job_name.icontains(name, autoescape=True))
        if text is not None:
            images = select(ImageRow.ota_image_id).where(ImageRow.image_name.icontains(text, autoescape=True))
            named = JobRow.ota_job_name.icontains(text, autoescape=True)
            query = query.where(or_(named, JobRow.ota_image_id.in_(images)))
        if state is not None:
            query = query.where(self._in_state(state))
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

    def _in_state(self, state: CampaignState) -> ColumnElement[bool]:
        """Open jobs are in the book, and all others have ended in one of three ways."""
        ways: dict[CampaignState, ColumnElement[bool]] = {
            CampaignState.ABORTED: JobRow.progress["aborted"].as_boolean().is_(True),
            CampaignState.CANCELLED: and_(
                JobRow.cancelled_timestamp.is_not(None), not_(JobRow.progress["aborted"].as_boolean())
            ),
            CampaignState.COMPLETED: and_(
                JobRow.cancelled_timestamp.is_(None), JobRow.number.not_in([at.job.number for at in self._book.all()])
            ),
        }
        there = [view.job.number for view in self.running() if view.state is state]
        found: ColumnElement[bool] = ways.get(state, JobRow.number.in_(there))
        return found

    def get(self, ota_job_id: str) -> JobView:
        """One job. Raises ``CloudError`` (JOB_UNKNOWN)."""
        standing = self._book.standing(ota_job_id)
        if standing is not None:
            return view(standing)
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
        return [view(standing) for standing in found]

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
            if job.network_serialised and self._serving.busy(turn, node_id, job):
                raise CloudError(Refusal.NO_UPDATE, f"nothing to start: {rules.Hold.SERIALISED.value}")
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
                turn.withdrawn[ota_job_id] = None
        self._turns.catch_up()
        return self.get(ota_job_id)

    def unarchive(self, ota_job_id: str, by: By = THE_ADMIN) -> JobView:
        """Bring a job back from the archive; one that is not in it stays as it is. It stays cancelled."""
        with self._turns.take() as turn:
            if turn.standing(ota_job_id).job.archived:
                turn.happen(Event(kind=Kind.JOB_UNARCHIVED, time=turn.now, by=by, ota_job_id=ota_job_id))
        return self.get(ota_job_id)

    def delete(self, ota_job_ids: Sequence[str], by: By = THE_ADMIN) -> None:
        """Delete jobs that are over, all or none. Their image may go then, too; the log keeps what happened.

        Raises:
            CloudError: JOB_UNKNOWN; JOB_RUNS for one that is still open.
        """
        with self._turns.take() as turn:
            for ota_job_id in dict.fromkeys(ota_job_ids):
                standing = turn.standing(ota_job_id)
                if not standing.over:
                    raise CloudError(Refusal.JOB_RUNS, f"job {ota_job_id} is not over; cancel it first")
                data = {"ota_job_name": standing.job.ota_job_name}
                turn.happen(Event(kind=Kind.JOB_DELETED, time=turn.now, by=by, ota_job_id=ota_job_id, data=data))
                turn.delete(ota_job_id)

    def archive(self, ota_job_id: str, by: By = THE_ADMIN) -> JobView:
        """Hide a cancelled job from the list; its data stays. Raises ``CloudError`` (JOB_NOT_CANCELLED)."""
        with self._turns.take() as turn:
            job = turn.standing(ota_job_id).job
            if job.cancelled_timestamp is None:
                raise CloudError(Refusal.JOB_NOT_CANCELLED, "only a cancelled job can be archived; cancel it first")
            if not job.archived:
                turn.happen(Event(kind=Kind.JOB_ARCHIVED, time=turn.now, by=by, ota_job_id=ota_job_id))
        return self.get(ota_job_id)


def _begin(turn: Turn, job: OtaJob, order: Sequence[str], by: By) -> None:
    job = replace(job, number=_insert(turn, job, order))
    turn.begin(rules.created(job, order, by), Standing.of_new(job), order)


def _insert(turn: Turn, job: OtaJob, targets: Sequence[str]) -> int:
    """The rows of a new job, in one statement however many nodes it has; its number."""
    columns = columns_of_job(job) | columns_of_standing(Standing.of_new(job))
    number = int(turn.tx.execute(insert(_JOB).returning(_JOB.c.number), columns).scalar_one())
    ids, position = numbered_rows_of(turn.tx, targets)
    first = columns_of(NodeState("", timestamp=job.triggered_timestamp))
    constants = {name: literal(value).label(name) for name, value in first.items() if name not in _OWN}
    own = (literal(number).label("job"), ids.c.value.label("node_id"), position.label("position"))
    rows = select(*own, *constants.values())
    turn.tx.execute(insert(_JOB_NODE).from_select([*_OWN, *constants], rows))
    return number
