"""Campaigns under way: what their plans make of each turn, what time makes of them, and what an admin does to them.

``campaign.py`` decides, this file acts. Everything that follows from a report happens in the report's own transaction,
so that a job which has reached its limit hands out nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice

from py_esp_ota.cloud.campaign import Due, look_again, next_event, node_due
from py_esp_ota.cloud.events import THE_ADMIN, THE_CLOCK, By, Event, Kind
from py_esp_ota.cloud.ground import Ground
from py_esp_ota.cloud.job_book import JobBook
from py_esp_ota.cloud.jobs import TRIED_AGAIN, NodeState, NodeStatus, OtaJob, at_it
from py_esp_ota.cloud.node_book import NodeBook
from py_esp_ota.cloud.notifying import notify
from py_esp_ota.cloud.outbox import Outbox
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.serving import Serving
from py_esp_ota.cloud.turn import Turn
from py_esp_ota.cloud.turns import Turns

AT_ONCE = 500
"""Nodes whose time is over that are looked at in one turn."""

PAUSED_BY_ADMIN = "paused by hand"


class Campaigns:
    """Tends the jobs that are open, and pauses, resumes and retries them.

    ``on_earlier`` is called when something is to be looked at sooner than was known.
    """

    def __init__(
        self, ground: Ground, turns: Turns, book: JobBook, nodes: NodeBook, serving: Serving, outbox: Outbox
    ) -> None:
        self._ground = ground
        self._turns = turns
        self._book = book
        self._nodes = nodes
        self._serving = serving
        self._outbox = outbox
        self.on_earlier: Callable[[], None] = lambda: None
        turns.tend = self.tend

    # ------------------------------------------------------------------------------------------------------------ tend

    def tend(self, turn: Turn) -> None:
        """Let happen what follows from what has happened in a turn."""
        touched = turn.touched()
        for ota_job_id in touched:
            self._advance(turn, ota_job_id)
        if touched:
            self.on_earlier()

    def _advance(self, turn: Turn, ota_job_id: str) -> None:
        while True:
            standing = turn.standing(ota_job_id)
            event = next_event(standing, turn.now)
            if event is None:
                break
            turn.happen(event)
            if event.kind is Kind.RELEASED:
                self._begin(turn, ota_job_id, standing.job.progress.released, event.data["released"])
            elif event.kind in {Kind.JOB_ABORTED, Kind.JOB_PAUSED}:
                turn.withdrawn[ota_job_id] = None
        if standing.job.network_serialised:
            self._let_neighbours(turn, ota_job_id)

    def _begin(self, turn: Turn, ota_job_id: str, start: int, end: int) -> None:
        """The turn of these nodes has come: those that are there get the URL, if it is pushed or they have asked."""
        node_ids = turn.order(ota_job_id)[start:end]
        notify(turn, turn.standing(ota_job_id).job, self._nodes, node_ids)
        self._push(turn, ota_job_id, node_ids)

    def _push(self, turn: Turn, ota_job_id: str, node_ids: Sequence[str]) -> None:
        if not self._outbox.open:
            return
        job = turn.standing(ota_job_id).job
        there = [node_id for node_id in node_ids if node_id in self._nodes.online]
        if not job.force_push or job.user_approval:
            states = ((node_id, turn.state(ota_job_id, node_id)) for node_id in there)
            there = [node_id for node_id, state in states if state and _awaits(job, state)]
        self._serving.push(turn, ota_job_id, there)

    def _let_neighbours(self, turn: Turn, ota_job_id: str) -> None:
        """Where a node has come to an end, the next of its network that waits has its turn."""
        job = turn.standing(ota_job_id).job
        for node_id in turn.moved(ota_job_id):
            state = turn.state(ota_job_id, node_id)
            if state is None or at_it(state, turn.now) or self._serving.busy(turn, node_id, job):
                continue
            waiting = [
                neighbour
                for neighbour in self._nodes.neighbours(node_id)
                if neighbour in self._nodes.online
                and (other := turn.state(ota_job_id, neighbour)) is not None
                and other.held_back
                and job.hold(other, turn.now) is None
            ]
            self._push(turn, ota_job_id, waiting[:1])

    # ------------------------------------------------------------------------------------------------------------ time

    def look(self) -> int | None:
        """Do what time has brought, not too much at once.

        When there is something to do again, in milliseconds since 1970: in the past while there is more.
        """
        now = self._ground.now_ms()
        self._end(now)
        nodes = self._book.due(now, AT_ONCE)
        jobs = [at.job.ota_job_id for at in self._book.all() if _is_time(look_again(at), now)]
        if nodes or jobs:
            with self._turns.take() as turn:
                for ota_job_id, node_id in nodes:
                    self._node_is_due(turn, ota_job_id, node_id)
                for ota_job_id in jobs:
                    turn.look_at(ota_job_id)
        looks = (look_again(standing) for standing in self._book.all())
        return min([at for at in (*looks, self._book.next_due()) if at is not None], default=None)

    def _end(self, now: int) -> None:
        """Close nodes of jobs whose time is over, and then a job that would go on for ever."""
        late = list(islice(self._book.late(now), AT_ONCE))
        ended = [] if late else [at.job for at in self._book.all() if at.job.deadline < now]
        if late or ended:
            with self._turns.take() as turn:
                for job, state in late:
                    turn.happen(_expired(job, state, now))
                for job in ended:
                    turn.happen(Event(kind=Kind.JOB_ENDED, time=now, by=THE_CLOCK, ota_job_id=job.ota_job_id))

    def _node_is_due(self, turn: Turn, ota_job_id: str, node_id: str) -> None:
        job, state = turn.standing(ota_job_id).job, turn.state(ota_job_id, node_id)
        if state is None or turn.standing(ota_job_id).over:
            return
        due = node_due(job, state, connected=node_id in self._nodes.online)
        if due is None:
            return
        if due.at <= turn.now:
            turn.happen(_due(job, state, due, turn.now))
        else:
            self._book.look_again(ota_job_id, node_id, due.at)

    # ------------------------------------------------------------------------------------------------------------ acts

    def pause(self, ota_job_id: str, by: By = THE_ADMIN, why: str = PAUSED_BY_ADMIN) -> None:
        """Hand the job to nobody for a while. Nodes that hold the URL go on; a paused job stays as it is.

        Raises:
            CloudError: JOB_UNKNOWN, JOB_OVER.
        """
        with self._turns.take() as turn:
            standing = turn.standing(ota_job_id)
            _check_runs(standing.over, "paused")
            if not standing.job.progress.paused:
                data = {"why": why, "at_gate": False}
                turn.happen(Event(kind=Kind.JOB_PAUSED, time=turn.now, by=by, ota_job_id=ota_job_id, data=data))
                turn.withdrawn[ota_job_id] = None
        self._turns.catch_up()

    def resume(self, ota_job_id: str, by: By = THE_ADMIN) -> None:
        """Go on with a paused job; one that waits at a gate goes on with its next phase.

        Raises:
            CloudError: JOB_UNKNOWN, JOB_OVER, JOB_NOT_PAUSED.
        """
        with self._turns.take() as turn:
            standing = turn.standing(ota_job_id)
            _check_runs(standing.over, "resumed")
            if not standing.job.progress.paused:
                raise CloudError(Refusal.JOB_NOT_PAUSED, "the job is not paused")
            turn.happen(Event(kind=Kind.JOB_RESUMED, time=turn.now, by=by, ota_job_id=ota_job_id))
            released = turn.order(ota_job_id)[: standing.job.progress.released]
            states = [(node_id, turn.state(ota_job_id, node_id)) for node_id in released]
            fresh = [node_id for node_id, state in states if state and state.status is NodeStatus.TRIGGERED]
            self._push(turn, ota_job_id, fresh)

    def retry(self, ota_job_id: str, node_ids: Sequence[str] | None = None, by: By = THE_ADMIN) -> list[str]:
        """Let nodes begin anew, with all their attempts: those that are named, else all that ended without the update.

        A node that is connected gets the URL now, every other one when it asks. A job that is completed is open again.

        Returns:
            The nodes that begin anew.

        Raises:
            CloudError: JOB_UNKNOWN; JOB_OVER for one that is cancelled or whose time is over; JOB_TARGETS for a node
                that is none of its, or has the update.
        """
        with self._turns.take() as turn:
            standing = turn.standing(ota_job_id)
            job = standing.job
            if job.over or turn.now > job.deadline:
                what = "cancelled" if job.cancelled_timestamp is not None else "over, its time has ended"
                raise CloudError(Refusal.JOB_OVER, f"the job is {what}; start a new one")
            chosen = self._missed(turn, job) if node_ids is None else self._named(turn, job, node_ids)
            for node_id in chosen:
                turn.arrived(ota_job_id, node_id)
                turn.happen(_retried(job, node_id, by, turn.now))
            online = [node_id for node_id in chosen if node_id in self._nodes.online]
            if self._outbox.open and not job.user_approval:
                self._serving.push(turn, ota_job_id, online)
        return chosen

    def _missed(self, turn: Turn, job: OtaJob) -> list[str]:
        states = (turn.state(job.ota_job_id, node_id) for node_id in turn.targets(job.ota_job_id))
        return [state.node_id for state in states if state and state.closed and state.status is not NodeStatus.SUCCESS]

    def _named(self, turn: Turn, job: OtaJob, node_ids: Sequence[str]) -> list[str]:
        for node_id in node_ids:
            state = turn.state(job.ota_job_id, node_id)
            if state is None:
                raise CloudError(Refusal.JOB_TARGETS, f"the job is not for node {node_id[:64]}")
            if state.status is NodeStatus.SUCCESS:
                raise CloudError(Refusal.JOB_TARGETS, f"node {node_id} has the update")
        return list(dict.fromkeys(node_ids))


def _awaits(job: OtaJob, state: NodeState) -> bool:
    return state.held_back and (not job.user_approval or state.approved)


def _is_time(at: int | None, now: int) -> bool:
    return at is not None and at <= now


def _check_runs(over: bool, what: str) -> None:
    if over:
        raise CloudError(Refusal.JOB_OVER, f"the job is over and cannot be {what}")


def _due(job: OtaJob, state: NodeState, due: Due, now: int) -> Event:
    words = {"status": state.status.value, "additional_info": due.additional_info}
    if due.kind is Kind.TIMED_OUT:
        words["status"] = NodeStatus.FAILED.value
    return Event(kind=due.kind, time=now, by=THE_CLOCK, ota_job_id=job.ota_job_id, node_id=state.node_id, data=words)


def _expired(job: OtaJob, state: NodeState, now: int) -> Event:
    after = job.expire(state, now)
    words = {"status": after.status.value, "additional_info": after.additional_info}
    return Event(
        kind=Kind.EXPIRED, time=now, by=THE_CLOCK, ota_job_id=job.ota_job_id, node_id=state.node_id, data=words
    )


def _retried(job: OtaJob, node_id: str, by: By, now: int) -> Event:
    words = {"status": NodeStatus.TRIGGERED.value, "additional_info": TRIED_AGAIN}
    return Event(kind=Kind.RETRIED, time=now, by=by, ota_job_id=job.ota_job_id, node_id=node_id, data=words)
