"""When a job will be done, as far as its nodes so far tell. Pure; honest about what cannot be told."""

from __future__ import annotations

from dataclasses import dataclass

from py_esp_ota.cloud.progress import end_of
from py_esp_ota.cloud.standing import Standing

LEAST = 5
"""Nodes that must have ended before their pace says anything."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How many nodes have ended, and when the first of them did (milliseconds)."""

    closed: int = 0
    first: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """When the last node will have ended (milliseconds); where nobody can tell, 0 and why."""

    at: int = 0
    why: str = ""


def estimate(standing: Standing, pace: Pace, now: int) -> Estimate:
    """The end at the pace of now: nodes that have ended since the first one did, in the time since then.

    Added are the times for which gates still to come are watched, and at least what the job's own pace takes.
    """
    why = _unknown(standing, pace, now)
    if why:
        return Estimate(why=why)
    job, progress, plan = standing.job, standing.job.progress, standing.job.plan
    whole = standing.whole
    by_nodes = (whole.total - whole.closed) * (now - pace.first) // (pace.closed - 1)
    by_rate = (whole.total - progress.released) * 60_000 // plan.rate if plan.rate else 0
    gates = max(len(job.sizes) - 1 - max(progress.phase, 0), 0)
    at = now + max(by_nodes, by_rate) + gates * plan.gate.hold * 1000
    if at > job.deadline:
        return Estimate(why="at this pace the job's time is over before all nodes have ended")
    return Estimate(at)


def _unknown(standing: Standing, pace: Pace, now: int) -> str:
    job, progress = standing.job, standing.job.progress
    left = len(job.sizes) - 1 - progress.phase
    reasons = {
        "it is over": standing.over,
        "the job goes on for nodes that join later": job.continuous,
        "it is paused": progress.paused > 0,
        "it has not begun": progress.phase < 0,
        "a person opens the gates": job.plan.gate.confirm and left > 0,
        f"fewer than {LEAST} nodes have ended": pace.closed < LEAST,
        "all that have ended did so at once": now <= pace.first,
        "nodes that have had their turn have all ended": left == 0 and _all_turned_closed(standing),
    }
    return next((why for why, applies in reasons.items() if applies), "")


def _all_turned_closed(standing: Standing) -> bool:
    return standing.whole.closed >= end_of(standing.job.sizes, standing.job.progress.phase)
