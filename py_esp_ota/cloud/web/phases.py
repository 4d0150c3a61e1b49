"""A campaign as a timeline: each phase, what its gate asks for, and what it came to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from py_esp_ota.cloud import jobs as rules
from py_esp_ota.cloud.events import Entry, Kind
from py_esp_ota.cloud.plan import Gate
from py_esp_ota.cloud.standing import Standing, Tally
from py_esp_ota.cloud.web.show import Segment, bar_text, segments, span


@dataclass(frozen=True, slots=True)
class PhaseLine:
    """One phase; times are milliseconds, ``None`` for what has not been."""

    number: int
    tally: Tally
    segments: Sequence[Segment]
    bar_text: str
    word: str
    tone: str
    begun: int | None
    gate: str  # what it asks for; the last phase has none
    came: str  # what that came to
    came_at: int | None


@dataclass(slots=True)
class _Past:
    """What the events tell of the phases, by phase."""

    begun: dict[int, int] = field(default_factory=dict)
    met: dict[int, int] = field(default_factory=dict)
    held: dict[int, int] = field(default_factory=dict)
    opened: dict[int, int] = field(default_factory=dict)


def timeline(standing: Standing, entries: Sequence[Entry]) -> list[PhaseLine]:
    """The phases of a job; ``entries`` are what happened to the job itself, oldest first."""
    past = _past(entries)
    return [_line(standing, past, phase) for phase in range(len(standing.tallies))]


def _past(entries: Sequence[Entry]) -> _Past:
    past, phase, held = _Past(), -1, False
    for event in (entry.event for entry in entries):
        match event.kind:
            case Kind.RELEASED:
                phase = event.data["phase"]
                past.begun.setdefault(phase, event.time)
            case Kind.GATE_MET:
                past.met[phase] = event.time
            case Kind.JOB_PAUSED:
                held = event.data["at_gate"]
                if held:
                    past.held[phase] = event.time
            case Kind.JOB_RESUMED if held:
                past.opened[phase] = event.time
                held = False
    return past


def _line(standing: Standing, past: _Past, phase: int) -> PhaseLine:
    job, tally = standing.job, standing.tallies[phase]
    summary = rules.summary(tally.counts)
    word, tone = _state(standing, phase)
    last = phase + 1 == len(standing.tallies)
    came, came_at = ("", None) if last else _came(tally, past, phase)
    return PhaseLine(
        number=phase + 1,
        tally=tally,
        segments=segments(summary),
        bar_text=bar_text(summary),
        word=word,
        tone=tone,
        begun=past.begun.get(phase, job.progress.phase_began or None if phase == job.progress.phase else None),
        gate="" if last else gate_words(job.plan.gate, tally.total),
        came=came,
        came_at=came_at,
    )


def _state(standing: Standing, phase: int) -> tuple[str, str]:
    progress, tally = standing.job.progress, standing.tallies[phase]
    states = {
        ("ended", "success"): tally.total > 0 and tally.closed == tally.total and not tally.missed,
        ("ended", "failed"): tally.total > 0 and tally.closed == tally.total,
        ("never began", "cancelled"): standing.over and phase > progress.phase,
        ("waits", "triggered"): phase > progress.phase,
        ("stopped", "failed" if progress.aborted else "cancelled"): standing.over,
        ("passed", "started"): phase < progress.phase,
        ("held", "delayed"): progress.paused > 0,
        ("runs", "in_progress"): True,
    }
    return next(state for state, applies in states.items() if applies)


def gate_words(gate: Gate, total: int) -> str:
    """What a phase must have come to before the next one begins."""
    words = [f"{gate.success.of(total)} of {total} updated"]
    if gate.within:
        words.append(f"within {span(gate.within)}")
    if gate.hold:
        words.append(f"watched for {span(gate.hold)}")
    if gate.confirm:
        words.append("then opened by hand")
    return ", ".join(words)


def _came(tally: Tally, past: _Past, phase: int) -> tuple[str, int | None]:
    words = f"{tally.updated} updated, {tally.missed} not"
    said = (("opened by hand", past.opened), ("met", past.met), ("not met", past.held))
    for what, when in said:
        if phase in when:
            return f"{what}: {words}", when[phase]
    return (words if phase in past.begun else "", None)
