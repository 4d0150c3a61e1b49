"""The rules of an OTA job: who gets the URL, what a report changes, when it is over. No I/O and no clock.

A job and the state of each of its nodes are values; every rule takes them and returns new ones::

    triggered ──hand_out──> started ──reports──> in-progress, delayed ──> success | rejected | failed
        (created)           (URL sent)           (the node's own words)

``success`` and ``rejected`` close a node at once. ``failed`` is its last known result and not yet the end: the node
reports it after every attempt and fetches again, so it closes the node only when ``max_fetch_cycles`` hand-outs have
ended that way. A closed node is handed nothing any more; the job is completed when all its nodes are closed.

A node has its turn when the job's campaign has come to it (``campaign``): before that, and while the job is paused, it
is handed nothing.

Nothing else changes them: a job and a node's state are folds over what happened (``events``), so that both can be
told again from the log at any time.

Times are milliseconds since 1970 unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from py_esp_ota.cloud.events import By, Event, Kind
from py_esp_ota.cloud.plan import AT_ONCE, Plan
from py_esp_ota.cloud.progress import NOT_BEGUN, Progress, all_released, fold_progress
from py_esp_ota.cloud.reasons import Reason, reason_of
from py_esp_ota.rainmaker.messages import OtaStatus, ota_status_from_string, ota_status_to_string

MAX_NODES = 100
MAX_GROUPS = 10
ALL_NODES = "FFFF-FFFF"
"""The one group id that means every node claimed by the admin."""

DEFAULT_PRIORITY = 5
DEFAULT_TIMEOUT_S = 1_296_000  # 15 days
DEFAULT_FETCH_CYCLES = 3

LAST_SECOND = 2**31 - 1
"""What ``esp_rmaker_ota_handle_time`` reads into an ``int``."""

URL_SENT = "OTA URL Sent to Node"
ALREADY_ON_VERSION = "Already on this version"
NODE_GONE = "The node was removed"
TRIED_AGAIN = "Tried again"


class NodeStatus(StrEnum):
    """What became of a job on one node: two words of the cloud, then the five of the node."""

    TRIGGERED = "triggered"
    STARTED = "started"
    IN_PROGRESS = ota_status_to_string(OtaStatus.IN_PROGRESS)
    DELAYED = ota_status_to_string(OtaStatus.DELAYED)
    SUCCESS = ota_status_to_string(OtaStatus.SUCCESS)
    REJECTED = ota_status_to_string(OtaStatus.REJECTED)
    FAILED = ota_status_to_string(OtaStatus.FAILED)


SUMMARY_KEYS = {
    NodeStatus.TRIGGERED: "triggered",
    NodeStatus.STARTED: "started",
    NodeStatus.IN_PROGRESS: "in_progress",  # an underscore here, a hyphen in the status itself
    NodeStatus.REJECTED: "rejected",
    NodeStatus.DELAYED: "delayed",
    NodeStatus.SUCCESS: "success",
    NodeStatus.FAILED: "failed",
}

UNREPORTED = frozenset({NodeStatus.TRIGGERED, NodeStatus.STARTED})
"""Statuses in which the node itself has not said a word yet."""

FINAL = frozenset({NodeStatus.SUCCESS, NodeStatus.REJECTED})
"""Results after which the node is done with the job; nothing replaces them."""

AFTER_CLOSING = {
    NodeStatus.FAILED: FINAL | {NodeStatus.FAILED},
    NodeStatus.SUCCESS: frozenset[NodeStatus](),
    NodeStatus.REJECTED: frozenset[NodeStatus](),
}
"""Which late reports still replace the result of a closed node; all others are only kept in its history.

A node that failed for the last allowed time may have attempts of its own left, and one of them may succeed. A
success is never taken back: an old job id in the node's memory can send one stray ``failed`` long afterwards.
"""


class JobStatus(StrEnum):
    """Where a job stands. Archived is not a status: it is a flag on a cancelled job."""

    TRIGGERED = "triggered"  # no node has reported yet
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class Hold(StrEnum):
    """Why a job is not handed to a node that asks, the first reason that applies."""

    CANCELLED = "the job is cancelled"
    CLOSED = "the node has its final result"
    LAPSED = "the job's time is over"
    UNAPPROVED = "the node's user has not approved it"
    PAUSED = "the job is paused"
    WAITING = "the node's turn has not come"
    SERIALISED = "another node of its network is at it"


WILL_END = frozenset({Hold.PAUSED, Hold.WAITING, Hold.SERIALISED})
"""Holds that end by themselves: a node that asks meanwhile is answered then."""


@dataclass(frozen=True, slots=True)
class Report:
    """One thing that was said about a job on a node; ``status`` is ``None`` for a word that is no status."""

    status: NodeStatus | None
    additional_info: str
    timestamp: int


@dataclass(frozen=True, slots=True)
class NodeState:
    """One node's part in a job."""

    node_id: str
    status: NodeStatus = NodeStatus.TRIGGERED
    additional_info: str = ""
    timestamp: int = 0
    approved: bool = False
    closed: bool = False
    failed_cycles: int = 0  # hand-outs that ended in `failed`, however many attempts the node made of each
    failing: bool = False  # the present hand-out has been counted in failed_cycles
    position: int = 0  # in the order in which the job comes to its nodes
    handed_out: int = 0  # milliseconds, when the URL went to it last; 0 before
    held_back: bool = False  # it asked before its turn
    silent: bool = False  # it has the URL and has said nothing for too long

    @property
    def reason(self) -> Reason:
        """Why it is, or will be, without the update."""
        return reason_of(self.status.value, self.additional_info)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtaJob:
    """One update campaign: an image for some nodes."""

    ota_job_id: str
    ota_job_name: str
    ota_image_id: str
    fw_version: str
    triggered_timestamp: int
    number: int = 0  # in order of creation, whatever the clock said
    nodes: tuple[str, ...] = ()  # as asked for; what they resolve to is in the node states
    groups: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""
    priority: int = DEFAULT_PRIORITY  # 1 is the highest, 9 the lowest
    timeout: int = DEFAULT_TIMEOUT_S  # seconds
    force_push: bool = False
    user_approval: bool = False
    max_fetch_cycles: int = DEFAULT_FETCH_CYCLES
    notify: bool = False
    continuous: bool = False  # nodes that join its groups later have it too
    network_serialised: bool = False  # one node of a network at a time
    any_chip: bool = False  # nodes that say they have another chip than the image
    admin_id: str = ""  # only nodes that this admin has claimed; empty is everybody's
    plan: Plan = AT_ONCE
    sizes: tuple[int, ...] = ()  # how many nodes each phase takes
    progress: Progress = NOT_BEGUN
    cancelled_timestamp: int | None = None
    archived: bool = False

    @property
    def deadline(self) -> int:
        """When the job gives up on nodes that have no final result: its timeout or the end of its validity."""
        timeout = self._lapse
        end = _validity_end(self.metadata)
        return timeout if end is None else min(timeout, end * 1000)

    @property
    def _lapse(self) -> int:
        return max(self.triggered_timestamp, self.plan.start * 1000) + self.timeout * 1000

    @property
    def over(self) -> bool:
        """Whether it was cancelled, or its time has ended."""
        return self.cancelled_timestamp is not None or self.progress.ended > 0

    def hold(self, state: NodeState, now: int) -> Hold | None:
        """Why this node is handed nothing, ``None`` when it is.

        A validity that has not begun holds nothing back: the node itself waits for it, and it must know the job to
        come back in time.
        """
        reasons = {
            Hold.CANCELLED: self.cancelled_timestamp is not None,
            Hold.CLOSED: state.closed,
            Hold.LAPSED: now > self.deadline,
            Hold.UNAPPROVED: self.user_approval and not state.approved,
            Hold.PAUSED: self.progress.paused > 0,
            Hold.WAITING: state.position >= self.progress.released,
        }
        return next((reason for reason, applies in reasons.items() if applies), None)

    def apply(self, state: NodeState, report: Report) -> NodeState:
        """What a report changes; the same state when it is only worth keeping in the history.

        A cancelled job takes reports like any other: nodes that hold the URL go on.
        """
        status = report.status
        if status is None or (state.closed and status not in AFTER_CLOSING[state.status]):
            return state
        counts = status is NodeStatus.FAILED and not state.failing
        cycles = state.failed_cycles + counts
        return replace(
            state,
            status=status,
            additional_info=report.additional_info,
            timestamp=report.timestamp,
            failing=state.failing or counts,
            failed_cycles=cycles,
            closed=state.closed or status in FINAL or cycles >= self.max_fetch_cycles,
            silent=False,
        )

    def expire(self, state: NodeState, now: int) -> NodeState:
        """Close a node whose time is over; a success that comes later still counts."""
        if state.closed or self.cancelled_timestamp is not None or now <= self.deadline:
            return state
        by_timeout = self.deadline == self._lapse
        why = f"No result within {self.timeout} s" if by_timeout else "No result before the validity ended"
        return replace(state, status=NodeStatus.FAILED, additional_info=why, timestamp=now, closed=True)


BUSY_MS = 3_600_000
"""How long after its last word a node that has the URL may hold up the others of its network in a serialised job."""

AT_IT = frozenset({NodeStatus.STARTED, NodeStatus.IN_PROGRESS, NodeStatus.DELAYED})


def at_it(state: NodeState, now: int) -> bool:
    """Whether a node is about its update now."""
    return not state.closed and state.status in AT_IT and now < state.timestamp + BUSY_MS


def without_node(state: NodeState, now: int) -> NodeState:
    """The node is gone for good; what it reached before stands."""
    if state.closed:
        return state
    return replace(state, status=NodeStatus.FAILED, additional_info=NODE_GONE, timestamp=now, closed=True)


def hand_out(state: NodeState, now: int) -> NodeState:
    """The URL goes to the node: a new fetch cycle begins."""
    return replace(
        state,
        status=NodeStatus.STARTED,
        additional_info=URL_SENT,
        timestamp=now,
        failing=False,
        handed_out=now,
        held_back=False,
        silent=False,
    )


def timed_out(state: NodeState, why: str, now: int) -> NodeState:
    """The node's own time is over; a success that comes later still counts."""
    return replace(state, status=NodeStatus.FAILED, additional_info=why, timestamp=now, closed=True, silent=False)


def tried_again(state: NodeState, now: int) -> NodeState:
    """The node begins anew, with all its cycles; whoever has approved it has."""
    return NodeState(
        state.node_id, additional_info=TRIED_AGAIN, timestamp=now, approved=state.approved, position=state.position
    )


URL_NOT_SENT = "The URL was not sent"


def taken_back(before: NodeState) -> dict[str, Any]:
    """What an event must tell of the state to which a node goes back when the URL did not go out after all."""
    return {
        "status": before.status.value,
        "additional_info": URL_NOT_SENT,
        "before": {
            "additional_info": before.additional_info,
            "timestamp": before.timestamp,
            "failing": before.failing,
            "handed_out": before.handed_out,
        },
    }


def _take_back(state: NodeState, words: Mapping[str, Any]) -> NodeState:
    """The state is what it was, unless the node spoke since."""
    if state.status is not NodeStatus.STARTED:
        return state
    return replace(state, status=NodeStatus(words["status"]), **words["before"])


def already_on_version(state: NodeState, now: int) -> NodeState:
    """The node asked while it runs the job's version: there is nothing to do, and serving it again could loop."""
    return replace(state, status=NodeStatus.SUCCESS, additional_info=ALREADY_ON_VERSION, timestamp=now, closed=True)


Offer = tuple[OtaJob, NodeState]
"""A job that targets a node, and where the node stands in it."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What to do for a node that asks: serve one job or none, and close those whose version it runs already.

    ``held_back`` are those it would be served now, were it its turn.
    """

    serve: Offer | None
    up_to_date: tuple[Offer, ...] = ()
    held_back: tuple[Offer, ...] = ()


def choose(
    offers: Iterable[Offer], fw_version: str, now: int, busy: Callable[[OtaJob], bool] = lambda _job: False
) -> Choice:
    """What a node that runs ``fw_version`` gets on ``otafetch``: priority first, then the newest job.

    ``busy`` tells of a serialised job whether another node of the asking one's network is at it.
    """
    holds = [(offer, _hold(offer, now, busy)) for offer in offers]
    open_offers = [offer for offer, hold in holds if hold is None]
    up_to_date = tuple(offer for offer in open_offers if offer[0].fw_version == fw_version)
    servable = [offer for offer in open_offers if offer[0].fw_version != fw_version]
    serve = min(servable, key=_order, default=None)
    waiting = [offer for offer, hold in holds if hold in WILL_END and offer[0].fw_version != fw_version]
    return Choice(serve, up_to_date, () if serve else tuple(waiting))


def _hold(offer: Offer, now: int, busy: Callable[[OtaJob], bool]) -> Hold | None:
    job, state = offer
    hold = job.hold(state, now)
    return Hold.SERIALISED if hold is None and job.network_serialised and busy(job) else hold


def _order(offer: Offer) -> tuple[int, int]:
    job, _ = offer
    return job.priority, -job.number


def summary(counts: Mapping[NodeStatus, int]) -> dict[str, int]:
    """The nodes of a job by status, with every key of the summary, and their total."""
    return {key: counts.get(status, 0) for status, key in SUMMARY_KEYS.items()} | {"total": sum(counts.values())}


def job_status(job: OtaJob, counts: Mapping[NodeStatus, int], closed: int) -> JobStatus:
    """Where the job stands, from its nodes by status and the number of closed ones."""
    if job.cancelled_timestamp is not None:
        return JobStatus.CANCELLED
    total = sum(counts.values())
    if job.progress.ended or (closed == total and not job.continuous):
        return JobStatus.COMPLETED
    return (
        JobStatus.TRIGGERED if total == sum(counts.get(status, 0) for status in UNREPORTED) else JobStatus.IN_PROGRESS
    )


# --------------------------------------------------------------------------------------------------------------- folds


def created(job: OtaJob, targets: Sequence[str], by: By) -> Event:
    """The event with which a job begins; ``targets`` are the nodes that its nodes and groups resolved to."""
    facts = asdict(job) | {
        "plan": job.plan.to_json(),
        "progress": job.progress.to_json(),
        "sizes": list(job.sizes),
        "targets": list(targets),
    }
    return Event(
        kind=Kind.JOB_CREATED,
        time=job.triggered_timestamp,
        by=by,
        ota_job_id=job.ota_job_id,
        ota_image_id=job.ota_image_id,
        data=facts,
    )


def fold_job(job: OtaJob | None, event: Event) -> OtaJob:
    """What an event makes of a job. Raises ``ValueError`` for a job that something happens to before it is made."""
    if event.kind is Kind.JOB_CREATED:
        return _begun(event)
    if job is None:
        raise ValueError(f"{event.kind} before the job {event.ota_job_id} was created")
    match event.kind:
        case Kind.JOB_CANCELLED | Kind.JOB_ABORTED:
            job = replace(job, cancelled_timestamp=event.time)
        case Kind.JOB_ARCHIVED | Kind.JOB_UNARCHIVED:
            job = replace(job, archived=event.kind is Kind.JOB_ARCHIVED)
        case Kind.NODE_ADDED:
            job = replace(job, sizes=(*job.sizes[:-1], job.sizes[-1] + 1))
    return replace(job, progress=fold_progress(job.progress, event))


def _begun(event: Event) -> OtaJob:
    """The job that is made. Events of older versions know no plan: every node had its turn at once."""
    facts = {name: event.data[name] for name in OtaJob.__dataclass_fields__ if name in event.data}
    total = len(event.data["targets"])
    words = {
        "nodes": tuple(facts["nodes"]),
        "groups": tuple(facts["groups"]),
        "plan": Plan.from_json(facts.get("plan", {})),
        "sizes": tuple(facts.get("sizes", (total,))),
        "progress": Progress.from_json(facts["progress"]) if "progress" in facts else all_released(total, event.time),
    }
    return OtaJob(**facts | words)


def fold_state(job: OtaJob, state: NodeState, event: Event) -> NodeState:
    """What an event makes of a node's state in a job."""
    match event.kind:
        case Kind.URL_SENT:
            return hand_out(state, event.time)
        case Kind.URL_WITHDRAWN:
            return _take_back(state, event.data)
        case Kind.REPORTED:
            return job.apply(state, reported(event))
        case Kind.UP_TO_DATE:
            return already_on_version(state, event.time)
        case Kind.APPROVED:
            return replace(state, approved=True)
        case Kind.EXPIRED:
            return job.expire(state, event.time)
        case Kind.TIMED_OUT:
            return timed_out(state, event.data["additional_info"], event.time)
        case Kind.GIVEN_UP:
            return replace(state, closed=True)
        case Kind.SILENT:
            return replace(state, silent=True)
        case Kind.HELD_BACK:
            return replace(state, held_back=True)
        case Kind.RETRIED:
            return tried_again(state, event.time)
        case Kind.NODE_FORGOTTEN:
            return without_node(state, event.time)
    return state


def reported(event: Event) -> Report:
    """What a node said, with its word read."""
    known = ota_status_from_string(event.data["status"])
    status = None if known is None else NodeStatus(ota_status_to_string(known))
    return Report(status, event.data["additional_info"], event.time)


# ------------------------------------------------------------------------------------------------------------ metadata


def metadata_problem(metadata: Mapping[str, Any], now: int) -> str | None:
    """What is wrong with the two keys the firmware understands, in one sentence; other keys are the app's own."""
    window = metadata.get("download_window")
    if window is not None and not (_numbers(window, 0, 1439) and {"start", "end"} <= window.keys()):
        return "metadata.download_window: start and end are both needed, as minutes of the day from 0 to 1439"
    validity = metadata.get("validity")
    if validity is None:
        return None
    if not _numbers(validity, 0, LAST_SECOND) or validity.get("start", 0) > validity.get("end", LAST_SECOND):
        return (
            "metadata.validity: start and end are seconds since 1970, the start before the end, "
            "and no node knows a time after 2038-01-19: its JSON has 32 bits"
        )
    end = _validity_end(metadata)
    return (
        "metadata.validity: its end has passed, no node would take it" if end is not None and end * 1000 < now else None
    )


def _validity_end(metadata: Mapping[str, Any]) -> int | None:
    validity = metadata.get("validity")
    end = validity.get("end") if isinstance(validity, Mapping) else None
    return end if isinstance(end, int) else None


def _numbers(value: object, low: int, high: int) -> bool:
    """Whether ``value`` is an object whose start and end, where given, are whole numbers in range."""
    if not isinstance(value, Mapping):
        return False
    given = [value[key] for key in ("start", "end") if key in value]
    return all(type(number) is int and low <= number <= high for number in given)
