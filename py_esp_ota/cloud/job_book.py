"""The jobs that are not over, in memory: what nodes ask and report is decided without asking the database.

The book is a copy of the rows of those jobs. Only what was committed is written into it (``turn``).
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from py_esp_ota.cloud.campaign import node_due
from py_esp_ota.cloud.job_rows import standing_of, state_of
from py_esp_ota.cloud.jobs import NodeState, OtaJob
from py_esp_ota.cloud.models import JobNodeRow, JobRow, PushRow
from py_esp_ota.cloud.standing import Standing


@dataclass(slots=True)
class _Open:
    standing: Standing
    order: list[str]  # its nodes, as the job comes to them
    positions: dict[str, int] = field(default_factory=dict)
    states: dict[str, NodeState] = field(default_factory=dict)  # of nodes that have moved

    def __post_init__(self) -> None:
        self.positions = {node_id: position for position, node_id in enumerate(self.order)}

    def state(self, node_id: str) -> NodeState | None:
        """Where the job stands on a node, ``None`` when it is not for that node."""
        found = self.states.get(node_id)
        if found is None and node_id in self.positions:
            return first_state(self.standing.job, node_id, self.positions[node_id])
        return found


def first_state(job: OtaJob, node_id: str, position: int) -> NodeState:
    """The state of a target of a job that was just made."""
    return NodeState(node_id, timestamp=job.triggered_timestamp, position=position)


class JobBook:
    """The jobs that are not over."""

    def __init__(self) -> None:
        self._open: dict[str, _Open] = {}
        self._of_node: dict[str, dict[str, None]] = {}
        self._due: list[tuple[int, str, str]] = []  # when a node's own time is over, its job, the node: a heap
        self.continuous: dict[str, None] = {}  # jobs that nodes may join
        self.pushes: dict[tuple[str, str], None] = {}  # job and node of each URL that the broker has not acknowledged

    def load(self, tx: Session) -> None:
        """Read them from the database, when the cloud starts."""
        for row in tx.scalars(select(JobRow).where(JobRow.cancelled_timestamp.is_(None))):
            standing = standing_of(row)
            if standing.over:
                continue
            self.reopen(standing, states_of(tx, row.number))
        pushes = select(JobRow.ota_job_id, PushRow.node_id).join(PushRow, PushRow.job == JobRow.number)
        self.pushes = dict.fromkeys(tx.execute(pushes))

    def open(self, standing: Standing, order: Sequence[str]) -> None:
        """A job begins; ``order`` are its nodes as it comes to them."""
        job = standing.job
        opened = self._open[job.ota_job_id] = _Open(standing, [*order])
        if job.continuous:
            self.continuous[job.ota_job_id] = None
        for node_id in opened.order:
            self._of_node.setdefault(node_id, {})[job.ota_job_id] = None

    def reopen(self, standing: Standing, states: Sequence[NodeState]) -> None:
        """A job goes on; ``states`` are all its nodes', in its order."""
        self.open(standing, [state.node_id for state in states])
        for state in states:
            self.move(standing.job.ota_job_id, state)

    def join(self, ota_job_id: str, node_id: str) -> None:
        """A job has one node more, which is its last."""
        opened = self._open.get(ota_job_id)
        if opened is not None and node_id not in opened.positions:
            opened.positions[node_id] = len(opened.order)
            opened.order.append(node_id)
            self._of_node.setdefault(node_id, {})[ota_job_id] = None

    def stand(self, standing: Standing) -> None:
        """A job stands otherwise now; one that is over leaves the book."""
        ota_job_id = standing.job.ota_job_id
        opened = self._open.get(ota_job_id)
        if opened is None:
            return
        opened.standing = standing
        if standing.over:
            del self._open[ota_job_id]
            self.continuous.pop(ota_job_id, None)
            for node_id in opened.order:
                self._of_node[node_id].pop(ota_job_id)
                if not self._of_node[node_id]:
                    del self._of_node[node_id]

    def move(self, ota_job_id: str, state: NodeState) -> None:
        """A node stands otherwise now."""
        opened = self._open.get(ota_job_id)
        if opened is not None:
            before = opened.state(state.node_id)
            opened.states[state.node_id] = state
            job = opened.standing.job
            due = node_due(job, state)
            known = None if before is None else node_due(job, before)
            if due is not None and (known is None or known.at != due.at):  # a progress report changes nothing of it
                heapq.heappush(self._due, (due.at, ota_job_id, state.node_id))

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

    def order(self, ota_job_id: str) -> Sequence[str]:
        """The nodes of an open job, as it comes to them."""
        opened = self._open.get(ota_job_id)
        return () if opened is None else opened.order

    def late(self, now: int) -> Iterator[tuple[OtaJob, NodeState]]:
        """The nodes without a final result in jobs whose time is over at ``now`` (milliseconds)."""
        for opened in list(self._open.values()):
            if opened.standing.job.deadline < now:
                states = (opened.state(node_id) for node_id in opened.order)
                yield from ((opened.standing.job, state) for state in states if state is not None and not state.closed)

    def due(self, now: int, count: int) -> list[tuple[str, str]]:
        """Job and node of those whose own time was over, at some point, before ``now``: each is told once."""
        found: dict[tuple[str, str], None] = {}
        while self._due and self._due[0][0] < now and len(found) < count:
            _, ota_job_id, node_id = heapq.heappop(self._due)
            if ota_job_id in self._open:
                found[ota_job_id, node_id] = None
        return [*found]

    def look_again(self, ota_job_id: str, node_id: str, at: int) -> None:
        """Have a node told as due once more."""
        heapq.heappush(self._due, (at, ota_job_id, node_id))

    def next_due(self) -> int | None:
        """When the next open job's, or the next node's, time is over, in milliseconds."""
        deadlines = (opened.standing.job.deadline for opened in self._open.values())
        return min([*deadlines, *(at for at, _, _ in self._due[:1])], default=None)


def states_of(tx: Session, number: int) -> list[NodeState]:
    """The states of all nodes of the job with this number, in its order."""
    query = select(JobNodeRow).where(JobNodeRow.job == number).order_by(JobNodeRow.position, JobNodeRow.node_id)
    return [state_of(each) for each in tx.scalars(query)]
