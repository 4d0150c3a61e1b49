"""What somebody who follows a job asks: its nodes, worst first; why they failed; what they run. Each is one statement.

Ten thousand nodes are one job as well as ten: nothing here makes an object for each of them.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, case, func, or_, select

from py_esp_ota.cloud.estimate import Pace
from py_esp_ota.cloud.event_log import EventLog
from py_esp_ota.cloud.events import Entry, Kind
from py_esp_ota.cloud.ground import Ground
from py_esp_ota.cloud.job_rows import state_of
from py_esp_ota.cloud.jobs import NodeState, NodeStatus, OtaJob
from py_esp_ota.cloud.models import EventRow, JobNodeRow, NodeRow
from py_esp_ota.cloud.progress import end_of
from py_esp_ota.cloud.reasons import Reason
from py_esp_ota.cloud.store import PAGE_SIZE, Page

MISSED, SILENT = "missed", "silent"
"""Words for nodes that are no status: without the update for good; nothing said since they have the URL."""

_ROW = JobNodeRow
_MISSED = and_(_ROW.closed, _ROW.status != NodeStatus.SUCCESS.value)

# Worst first: what somebody has to look at, what goes on, what waits, what is done.
_RANK = case(
    (_MISSED, 0),
    (_ROW.status == NodeStatus.FAILED.value, 1),
    (_ROW.silent, 2),
    (_ROW.status == NodeStatus.DELAYED.value, 3),
    (_ROW.status == NodeStatus.IN_PROGRESS.value, 4),
    (_ROW.status == NodeStatus.STARTED.value, 5),
    (_ROW.status == NodeStatus.TRIGGERED.value, 6),
    else_=7,
)


@dataclass(frozen=True, slots=True)
class Sieve:
    """Which nodes of a job; everything that is given must hold."""

    status: str = ""  # a node's status, or ``MISSED``, or ``SILENT``
    reason: str = ""
    phase: int = 0  # counted from 1; 0 is every phase
    text: str = ""  # in the id or the name

    @property
    def everything(self) -> bool:
        """Whether it holds nothing back."""
        return self == Sieve()

    def conditions(self, job: OtaJob) -> list[ColumnElement[bool]]:
        """What a row must be like."""
        found: list[ColumnElement[bool]] = [_ROW.job == job.number]
        if self.status:
            words = {MISSED: _MISSED, SILENT: _ROW.silent.is_(True)}
            found.append(words.get(self.status, _ROW.status == self.status))
        if self.reason:
            found.append(_ROW.reason == self.reason)
        if 0 < self.phase <= len(job.sizes):
            phase = self.phase - 1
            start = end_of(job.sizes, phase - 1) if phase else 0
            found.append(_ROW.position >= start)
            if self.phase < len(job.sizes):
                found.append(_ROW.position < end_of(job.sizes, phase))
        if self.text:
            named = select(NodeRow.node_id).where(NodeRow.name.icontains(self.text, autoescape=True))
            found.append(or_(_ROW.node_id.icontains(self.text, autoescape=True), _ROW.node_id.in_(named)))
        return found


@dataclass(frozen=True, slots=True)
class Trouble:
    """One reason, how many nodes went without the update for it, and how many still try."""

    reason: Reason
    missed: int
    trying: int
    example: str  # the words of one of them


@dataclass(frozen=True, slots=True)
class Running:
    """How many nodes of a job say that they run a version."""

    fw_version: str
    count: int
    online: int


class Monitoring:
    """Follow a job."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._log = EventLog(ground.store)

    def nodes(self, job: OtaJob, sieve: Sieve = Sieve(), *, number: int = 1, size: int = PAGE_SIZE) -> Page[NodeState]:
        """One page of a job's nodes, the first is 1: worst first, among those in trouble the newest, then by id."""
        conditions = sieve.conditions(job)
        query = select(_ROW).where(*conditions)
        query = query.order_by(_RANK, case((_RANK < 3, -_ROW.timestamp), else_=0), _ROW.node_id)
        with self._ground.store.begin() as tx:
            if sieve.everything:
                total = sum(job.sizes)
            else:
                total = tx.scalar(select(func.count()).select_from(_ROW).where(*conditions)) or 0
            rows = tx.scalars(query.limit(size).offset((number - 1) * size))
            return Page([state_of(row) for row in rows], total)

    def troubles(self, job: OtaJob) -> list[Trouble]:
        """Why nodes failed, the most frequent reason first."""
        missed = func.count().filter(_ROW.closed)
        query = (
            select(_ROW.reason, missed, func.count(), func.max(_ROW.additional_info))
            .where(_ROW.job == job.number, _ROW.reason != Reason.NONE.value)
            .group_by(_ROW.reason)
            .order_by(missed.desc(), func.count().desc(), _ROW.reason)
        )
        with self._ground.store.connect() as tx:
            return [
                Trouble(Reason(reason), closed, count - closed, example)
                for reason, closed, count, example in tx.execute(query)
            ]

    def pace(self, job: OtaJob) -> Pace:
        """How many nodes have ended, and since when."""
        query = select(func.count(), func.min(_ROW.timestamp)).where(_ROW.job == job.number, _ROW.closed)
        with self._ground.store.connect() as tx:
            closed, first = tx.execute(query).one()
        return Pace(closed, first or 0)

    def versions(self, job: OtaJob) -> list[Running]:
        """What the job's nodes run now, the most frequent first; an empty version of those that have said none."""
        version = func.coalesce(NodeRow.fw_version, "").label("version")
        query = (
            select(version, func.count(), func.count().filter(NodeRow.connected))
            .select_from(_ROW)
            .join(NodeRow, NodeRow.node_id == _ROW.node_id, isouter=True)
            .where(_ROW.job == job.number)
            .group_by(version)
            .order_by(func.count().desc(), version)
        )
        with self._ground.store.connect() as tx:
            return [Running(*row) for row in tx.execute(query)]

    def milestones(self, job: OtaJob) -> list[Entry]:
        """What happened to the job itself, oldest first: of a phase that comes node by node only its begin."""
        told = [
            Kind.GATE_MET,
            Kind.JOB_PAUSED,
            Kind.JOB_RESUMED,
            Kind.JOB_ABORTED,
            Kind.JOB_CANCELLED,
            Kind.JOB_ENDED,
        ]
        phase = EventRow.data["phase"].as_integer()
        of_job = and_(EventRow.ota_job_id == job.ota_job_id, EventRow.node_id == "")
        begun = select(func.min(EventRow.number)).where(of_job, EventRow.kind == Kind.RELEASED.value).group_by(phase)
        which = or_(EventRow.kind.in_([kind.value for kind in told]), EventRow.number.in_(begun))
        return self._log.some(select(EventRow.__table__).where(of_job, which).order_by(EventRow.number))
