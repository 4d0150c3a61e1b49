"""The rules of an OTA job: who gets the URL, what a report changes, when it is over. No I/O and no clock.

A job and the state of each of its nodes are values; every rule takes them and returns new ones::

    triggered ──hand_out──> started ──reports──> in-progress, delayed ──> success | rejected | failed
        (created)           (URL sent)           (the node's own words)

``success`` and ``rejected`` close a node at once. ``failed`` is its last known result and not yet the end: the node
reports it after every attempt and fetches again, so it closes the node only when ``max_fetch_cycles`` hand-outs have
ended that way. A closed node is handed nothing any more; the job is completed when all its nodes are closed.

Nothing else changes them: a job and a node's state are folds over what happened (``events``), so that both can be
told again from the log at any time.

Times are milliseconds since 1970 unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from py_esp_ota.cloud.events import By, Event, Kind
from py_esp_ota.rainmaker.messages import OtaStatus, ota_status_from_string, ota_status_to_string

MAX_NODES = 100
MAX_GROUPS = 10
ALL_NODES = "FFFF-FFFF"
"""The one group id that means every node claimed by the admin."""

DEFAULT_PRIORITY = 5
DEFAULT_TIMEOUT_S = 1_296_000  # 15 days
DEFAULT_FETCH_CYCLES = 3

URL_SENT = "OTA URL Sent to Node"
ALREADY_ON_VERSION = "Already on this version"
NODE_GONE = "The node was removed"


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
    cancelled_timestamp: int | None = None
    archived: bool = False

    @property
    def deadline(self) -> int:
        """When the job gives up on nodes that have no final result: its timeout or the end of its validity."""
        timeout = self.triggered_timestamp + self.timeout * 1000
        end = _validity_end(self.metadata)
        return timeout if end is None else min(timeout, end * 1000)

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
        )

    def expire(self, state: NodeState, now: int) -> NodeState:
        """Close a node whose time is over; a success that comes later still counts."""
        if state.closed or self.cancelled_timestamp is not None or now <= self.deadline:
            return state
        by_timeout = self.deadline == self.triggered_timestamp + self.timeout * 1000
        why = f"No result within {self.timeout} s" if by_timeout else "No result before the validity ended"
        return replace(state, status=NodeStatus.FAILED, additional_info=why, timestamp=now, closed=True)


def without_node(state: NodeState, now: int) -> NodeState:
    """The node is gone for good; what it reached before stands."""
    if state.closed:
        return state
    return replace(state, status=NodeStatus.FAILED, additional_info=NODE_GONE, timestamp=now, closed=True)


def hand_out(state: NodeState, now: int) -> NodeState:
    """The URL goes to the node: a new fetch cycle begins."""
    return replace(state, status=NodeStatus.STARTED, additional_info=URL_SENT, timestamp=now, failing=False)


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
    """What to do for a node that asks: serve one job or none, and close those whose version it runs already."""

    serve: Offer | None
    up_to_date: tuple[Offer, ...] = ()


def choose(offers: Iterable[Offer], fw_version: str, now: int) -> Choice:
    """What a node that runs ``fw_version`` gets on ``otafetch``: priority first, then the newest job."""
    open_offers = [(job, state) for job, state in offers if job.hold(state, now) is None]
    up_to_date = tuple(offer for offer in open_offers if offer[0].fw_version == fw_version)
    servable = [offer for offer in open_offers if offer[0].fw_version != fw_version]
    return Choice(min(servable, key=_order, default=None), up_to_date)


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
    if closed == total:
        return JobStatus.COMPLETED
    return (
        JobStatus.TRIGGERED if total == sum(counts.get(status, 0) for status in UNREPORTED) else JobStatus.IN_PROGRESS
    )


# --------------------------------------------------------------------------------------------------------------- folds


def created(job: OtaJob, targets: Sequence[str], by: By) -> Event:
    """The event with which a job begins; ``targets`` are the nodes that its nodes and groups resolved to."""
    facts = asdict(job) | {"targets": list(targets)}
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
        facts = {name: event.data[name] for name in OtaJob.__dataclass_fields__}
        return OtaJob(**facts | {"nodes": tuple(facts["nodes"]), "groups": tuple(facts["groups"])})
    if job is None:
        raise ValueError(f"{event.kind} before the job {event.ota_job_id} was created")
    if event.kind is Kind.JOB_CANCELLED:
        return replace(job, cancelled_timestamp=event.time)
    return replace(job, archived=True) if event.kind is Kind.JOB_ARCHIVED else job


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
    if not _numbers(validity, 0, 2**32) or validity.get("start", 0) > validity.get("end", 2**32):
        return "metadata.validity: start and end are seconds since 1970, the start before the end"
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
