"""How far a campaign is, as a value: which nodes have had their turn, and what keeps the others waiting. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from py_esp_ota.cloud.events import Event, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a job stands in its plan. The nodes of a job have an order; the first ``released`` have had their turn.

    Times are milliseconds since 1970; 0 is not yet.
    """

    released: int = 0
    phase: int = -1  # the one that began last; -1 before the first
    phase_began: int = 0
    pace_from: tuple[int, int] = (0, 0)  # when the pace is reckoned from, and how many were released then
    gate_met: int = 0  # since when the phase has what the gate asks for
    paused: int = 0
    at_gate: bool = False  # the pause is one that the gate asked for
    waived: int = -1  # the phase whose gate an admin opened
    why: str = ""  # it is paused, or was aborted
    aborted: bool = False
    ended: int = 0

    def to_json(self) -> dict[str, Any]:
        """The document."""
        return asdict(self) | {"pace_from": list(self.pace_from)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Progress:
        """The value in a document."""
        return cls(**{**document, "pace_from": tuple(document["pace_from"])})


NOT_BEGUN = Progress()


def all_released(total: int, now: int) -> Progress:
    """Of a job without a plan: every node has its turn when the job is made."""
    return Progress(released=total, phase=0, phase_began=now, pace_from=(now, total))


def fold_progress(progress: Progress, event: Event) -> Progress:
    """What an event makes of it."""
    match event.kind:
        case Kind.RELEASED:
            return _released(progress, event)
        case Kind.GATE_MET:
            return replace(progress, gate_met=event.time)
        case Kind.JOB_PAUSED:
            return replace(progress, paused=event.time, why=event.data["why"], at_gate=event.data["at_gate"])
        case Kind.JOB_RESUMED:
            return _resumed(progress, event.time)
        case Kind.JOB_ABORTED:
            return replace(progress, aborted=True, why=event.data["why"], paused=0, at_gate=False)
        case Kind.JOB_ENDED:
            return replace(progress, ended=event.time)
    return progress


def _released(progress: Progress, event: Event) -> Progress:
    phase, released = event.data["phase"], event.data["released"]
    if phase != progress.phase:
        progress = replace(
            progress, phase=phase, phase_began=event.time, pace_from=(event.time, progress.released), gate_met=0
        )
    return replace(progress, released=released)


def _resumed(progress: Progress, now: int) -> Progress:
    """What is reckoned in time from a moment does not count the pause."""
    stood = now - progress.paused
    return replace(
        progress,
        paused=0,
        why="",
        at_gate=False,
        waived=progress.phase if progress.at_gate else progress.waived,
        phase_began=progress.phase_began + stood if progress.phase_began else 0,
        gate_met=progress.gate_met + stood if progress.gate_met else 0,
        pace_from=(now, progress.released),
    )


def phase_of(sizes: Sequence[int], position: int) -> int:
    """In which phase the node at this position has its turn."""
    for phase, size in enumerate(sizes):
        if position < size:
            return phase
        position -= size
    return len(sizes) - 1


def end_of(sizes: Sequence[int], phase: int) -> int:
    """How many nodes have had their turn at the end of a phase."""
    return sum(sizes[: phase + 1])
