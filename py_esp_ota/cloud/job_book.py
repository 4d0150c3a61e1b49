"""The jobs that are not over, in memory: what nodes ask and report is decided without asking the database.

The book is a copy of the rows of those jobs. Only what was committed is written into it (``turn``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from py_esp_ota.cloud.job_rows import job_of, state_of
from py_esp_ota.cloud.jobs import NodeState, NodeStatus, OtaJob
from py_esp_ota.cloud.models import JobNodeRow, JobRow, PushRow


@dataclass(slots=True)
class Standing:
    """A job and where it stands: how many of its nodes have each status, and how many are closed."""

    job: OtaJob
    counts: Counter[NodeStatus]
    closed: int

    @property
    def over(self) -> bool:
        """Whether nothing is handed out any more."""
        return self.job.cancelled_timestamp is not None or self.closed == self.counts.total()

    def moved(self, before: NodeState, after: NodeState) -> Standing:
        """The standing once one node has moved."""
        counts = self.counts.copy()
        counts[before.status] -= 1
        counts[after.status] += 1
        return Standing(self.job, counts, self.closed + after.closed - before.closed)


@dataclass(slots=True)
class _Open:
    standing: Standing
    targets: frozenset[str]
    states: dict[str, NodeState] = field(default_factory=dict)  # of nodes that have moved

    def state(self, node_id: str) -> NodeState | None:
        """Where the job stands on a node, ``None`` when it is not for that node."""
        found = self.states.get(node_id)
        if found is None and node_id in self.targets:
            return first_state(self.standing.job, node_id)
        return found


def first_state(job: OtaJob, node_id: str) -> NodeState:
    """The state of a target of a job that was just made."""
    return NodeState(node_id, timestamp=job.triggered_timestamp)


class JobBook:
    """The jobs that are not over."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}
        self._of_node: dict[str, dict[str, None]] = {}
        self.pushes: dict[tuple[str, str], None] = {}  # job and node of each URL that the broker has not acknowledged

    def load(self, tx: Session) -> None:
        """Read them from the database, when the cloud starts."""
        for row in tx.scalars(select(JobRow).where(JobRow.cancelled_timestamp.is_(None))):
            standing = standing_of(row)
            if standing.over:
                continue
            states = [state_of(each) for each in tx.scalars(select(JobNodeRow).where(JobNodeRow.job == row.number))]
            self.open(standing, [state.node_id for state in states])
            for state in states:
                self.move(row.ota_job_id, state)
        pushes = select(JobRow.ota_job_id, PushRow.node_id).join(PushRow, PushRow.job == JobRow.number)
        self.pushes = dict.fromkeys(tx.execute(pushes))

    def open(self, standing: Standing, targets: Iterable[str]) -> None:
        """A job begins."""
        job = standing.job
        opened = self._open[job.ota_job_id] = _Open(standing, frozenset(targets))
        for node_id in opened.targets:
            self._of_node.setdefault(node_id, {})[job.ota_job_id] = None

    def stand(self, standing: Standing) -> None:
        """A job stands otherwise now; one that is over leaves the book."""
        ota_job_id = standing.job.ota_job_id
        opened = self._open.get(ota_job_id)
        if opened is None:
            return
        opened.standing = standing
        if standing.over:
            del self._open[ota_job_id]
            for node_id in opened.targets:
                self._of_node[node_id].pop(ota_job_id)
                if not self._of_node[node_id]:
                    del self._of_node[node_id]

    def move(self, ota_job_id: str, state: NodeState) -> None:
        """A node stands otherwise now."""
        opened = self._open.get(ota_job_id)
        if opened is not None:
            opened.states[state.node_id] = state

    def all(self) -> list[Standing]:
        """Where every open job stands."""
        return [opened.standing for opened in self._open.values()]

    def standing(self, ota_job_id: str) -> Standing | None:
        """Where an open job stands."""
        opened = self._open.get(ota_job_id)
        return None if opened is None else opened.standing

    def state(self, ota_job_id: str, node_id: str) -> NodeState | None:
        """Where an open job stands on one of its nodes."""
        opened = self._open.get(ota_job_id)
        return None if opened is None else opened.state(node_id)

    def jobs_of(self, node_id: str) -> list[str]:
        """The open jobs that are for a node; in some of them it may be closed already."""
        return list(self._of_node.get(node_id, ()))

    def late(self, now: int) -> Iterator[tuple[OtaJob, NodeState]]:
        """The nodes without a final result in jobs whose time is over at ``now`` (milliseconds)."""
        for opened in list(self._open.values()):
            if opened.standing.job.deadline < now:
                states = (opened.state(node_id) for node_id in sorted(opened.targets))
                yield from ((opened.standing.job, state) for state in states if state is not None and not state.closed)

    def next_deadline(self) -> int | None:
        """When the next open job's time is over, in milliseconds."""
        return min((opened.standing.job.deadline for opened in self._open.values()), default=None)


def standing_of(row: JobRow) -> Standing:
    """Where the job in a row stands."""
    counts = Counter({NodeStatus(status): number for status, number in row.counts.items()})
    return Standing(job_of(row), counts, row.closed)
