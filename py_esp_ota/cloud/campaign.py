"""The rules of a campaign: what a job does next by its plan, and when a node has had its time. No I/O and no clock.

::

    scheduled ──start──> phase 1 ──gate──> phase 2 ──gate──> ... ──all closed──> completed
                            │  └─ the gate is missed ─> paused ──an admin resumes──> phase 2
                            └─ a threshold is reached ─> aborted: cancelled, with the reason

A phase begins with its first node; with a rate the others follow at that pace. The thresholds look at all nodes that
have had their turn, the gate looks at the phase. Only closed nodes count as failed: a node that failed once tries again
by itself. An abort hands out no further URL, as a cancelled job; a pause neither, and it can be taken back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from py_esp_ota.cloud.events import THE_CLOCK, THE_CLOUD, By, Event, Kind
from py_esp_ota.cloud.jobs import AT_IT, BUSY_MS, JobStatus, NodeState, NodeStatus, OtaJob
from py_esp_ota.cloud.plan import Amount
from py_esp_ota.cloud.progress import end_of
from py_esp_ota.cloud.standing import Standing, Tally

ASKS_AGAIN_S = 75 * 60
"""A node that failed and stays connected asks again within the hour (CONFIG_ESP_RMAKER_OTA_RETRY_DELAY_MINUTES)."""

COMES_BACK_S = 25 * 3600
"""One that went away asks when it is back; for who is not back after a day the job does not wait."""

MINUTE_MS = 60_000


class CampaignState(StrEnum):
    """Where a campaign stands; ``JobStatus`` has RainMaker's words for it."""

    SCHEDULED = "scheduled"
    RUNNING = "running"
    PAUSED = "paused"
    ABORTED = "aborted"
    CANCELLED = "cancelled"
    COMPLETED = "completed"


def campaign_state(job: OtaJob, status: JobStatus) -> CampaignState:
    """Where the campaign of a job stands."""
    progress = job.progress
    states = {
        CampaignState.ABORTED: progress.aborted,
        CampaignState.CANCELLED: status is JobStatus.CANCELLED,
        CampaignState.COMPLETED: status is JobStatus.COMPLETED,
        CampaignState.PAUSED: progress.paused > 0,
        CampaignState.SCHEDULED: progress.phase < 0,
    }
    return next((state for state, applies in states.items() if applies), CampaignState.RUNNING)


# ----------------------------------------------------------------------------------------------------------- next step


def next_event(standing: Standing, now: int) -> Event | None:
    """What happens next to the job by its plan, ``None`` when nothing does until something else has."""
    job, progress = standing.job, standing.job.progress
    if standing.over or progress.paused:
        return None
    why = _reached(standing)
    if why:
        return _of(job, Kind.JOB_ABORTED, now, THE_CLOUD, why=why)
    if now < job.plan.start * 1000:
        return None
    if progress.phase < 0:
        return _release(standing, 0, now)
    if progress.released < end_of(job.sizes, progress.phase):
        return _release(standing, progress.phase, now)
    return _at_gate(standing, now) if progress.phase + 1 < len(job.sizes) else None


def look_again(standing: Standing) -> int | None:
    """When the plan has to be looked at though nothing has happened, in milliseconds since 1970."""
    job, progress, plan = standing.job, standing.job.progress, standing.job.plan
    if standing.over or progress.paused:
        return None
    if progress.phase < 0:
        return plan.start * 1000
    if progress.released < end_of(job.sizes, progress.phase):
        return _due_at(job, progress.released + 1)
    if progress.phase + 1 == len(job.sizes):
        return None
    if progress.gate_met:
        return progress.gate_met + plan.gate.hold * 1000
    return progress.phase_began + plan.gate.within * 1000 if plan.gate.within else None


def _release(standing: Standing, phase: int, now: int) -> Event | None:
    """The nodes whose turn it is: all of the phase, or as many as the pace allows by now."""
    job, progress = standing.job, standing.job.progress
    end = end_of(job.sizes, phase)
    if job.plan.rate:
        since, released = progress.pace_from if phase == progress.phase else (now, progress.released)
        end = min(end, released + 1 + (now - since) * job.plan.rate // MINUTE_MS)
    if end <= progress.released and phase == progress.phase:
        return None
    return _of(job, Kind.RELEASED, now, THE_CLOCK, phase=phase, released=end)


def _due_at(job: OtaJob, released: int) -> int:
    """When so many nodes may have had their turn."""
    since, before = job.progress.pace_from
    ahead = released - before - 1
    return since + -(-ahead * MINUTE_MS // job.plan.rate) if job.plan.rate else since


def _at_gate(standing: Standing, now: int) -> Event | None:
    job, progress, gate = standing.job, standing.job.progress, standing.job.plan.gate
    phase = progress.phase
    if progress.waived == phase:
        return _release(standing, phase + 1, now)
    tally = standing.tallies[phase]
    needed = gate.success.of(tally.total)
    if tally.updated >= needed:
        if not progress.gate_met:
            return _of(job, Kind.GATE_MET, now, THE_CLOUD, phase=phase)
        if now < progress.gate_met + gate.hold * 1000:
            return None
        if gate.confirm:
            return _pause(job, now, f"phase {phase + 1} has met its gate: {_came_to(tally)}; resume to go on")
        return _release(standing, phase + 1, now)
    if tally.total - tally.missed < needed:
        return _pause(job, now, f"phase {phase + 1} cannot meet its gate: {_came_to(tally)}, {needed} are needed")
    if gate.within and now >= progress.phase_began + gate.within * 1000:
        why = f"phase {phase + 1} has not met its gate within {gate.within} s: {_came_to(tally)}, {needed} are needed"
        return _pause(job, now, why)
    return None


def _came_to(tally: Tally) -> str:
    others = "1 is" if tally.missed == 1 else f"{tally.missed} are"
    return f"{tally.updated} of {tally.total} nodes are updated, {others} not"


def _pause(job: OtaJob, now: int, why: str) -> Event:
    return _of(job, Kind.JOB_PAUSED, now, THE_CLOUD, why=why, at_gate=True)


def _of(job: OtaJob, kind: Kind, now: int, by: By, **data: Any) -> Event:
    return Event(kind=kind, time=now, by=by, ota_job_id=job.ota_job_id, data=data)


# ---------------------------------------------------------------------------------------------------------- thresholds


def _reached(standing: Standing) -> str:
    """Which threshold is reached, as a sentence; empty when none is."""
    abort, turned = standing.job.plan.abort, standing.job.progress.released
    if abort.failed is abort.rolled_back is abort.no_answer is None:
        return ""
    whole = standing.whole
    silent_or_ended = whole.closed + whole.silent
    looked_at: tuple[tuple[Amount | None, int, int, str], ...] = (
        (abort.failed, whole.missed, whole.closed, "failed"),
        (abort.rolled_back, whole.rolled_back, whole.closed, "rolled back"),
        (abort.no_answer, whole.silent, silent_or_ended, "did not answer"),
    )
    for limit, count, ended, what in looked_at:
        if limit is None or not count or (limit.percent is not None and ended < abort.least):
            continue
        if count >= limit.of(turned):
            return f"{count} of {turned} nodes {what}; the limit is {limit}"
    return ""


# --------------------------------------------------------------------------------------------------------------- nodes


@dataclass(frozen=True, slots=True)
class Due:
    """What happens to a node, and when (milliseconds), unless something else does before."""

    at: int
    kind: Kind
    additional_info: str = ""


def node_due(job: OtaJob, state: NodeState, *, connected: bool = True) -> Due | None:
    """Whose time is over next. Raises nothing; ``None`` for a node that may take its time."""
    return None if state.closed else min(_dues(job, state, connected), key=lambda due: due.at, default=None)


def _dues(job: OtaJob, state: NodeState, connected: bool) -> Iterator[Due]:
    plan = job.plan
    if state.status is NodeStatus.FAILED:
        patience = ASKS_AGAIN_S if connected else COMES_BACK_S
        yield Due(state.timestamp + patience * 1000, Kind.GIVEN_UP, state.additional_info)
    if plan.answer_within and state.status is NodeStatus.STARTED and not state.silent:
        yield Due(state.handed_out + plan.answer_within * 1000, Kind.SILENT, f"No answer for {plan.answer_within} s")
    if job.network_serialised and state.status in AT_IT and not state.silent:  # its network waits for it
        yield Due(state.timestamp + BUSY_MS, Kind.SILENT, f"No word for {BUSY_MS // 1000} s")
    if plan.node_timeout and state.handed_out:
        why = f"No result within {plan.node_timeout} s of its URL"
        yield Due(state.handed_out + plan.node_timeout * 1000, Kind.TIMED_OUT, why)
