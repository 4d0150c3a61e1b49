"""How long a story takes, and for how long a cut does harm, in words that every picture of a sweep shares."""

from __future__ import annotations

from collections.abc import Iterator

from py_esp_ota.sweep.result import Outcome, SweepReport
from py_esp_ota.sweep.timeline import Timeline, Window

_SECOND, _MILLISECOND = 1.0, 1e-3


def seconds_words(seconds: float) -> str:
    """``45.1 ms``, ``2.34 s``; what is less than a tenth of a millisecond in microseconds; ``no time``."""
    if seconds <= 0:
        return "no time"
    if seconds >= _SECOND:
        return f"{seconds:,.2f} s"
    return f"{seconds * 1e3:.1f} ms" if seconds >= _MILLISECOND / 10 else f"{seconds * 1e6:.0f} µs"


def pace_words(timeline: Timeline) -> str:
    """How fast everything is: ``flash W25Q32JV, link 125,000 bytes/s and 40.0 ms``."""
    flash, link = timeline.pace.flash, timeline.pace.link
    over = "images are there at once"
    if link is not None:
        wait = f" and {seconds_words(link.round_trip)}" if link.round_trip else ""
        over = f"link {link.bytes_per_second:,.0f} bytes/s{wait}"
    return f"flash {flash.name}, {over}"


def takes_words(seconds: float, worst: float) -> str:
    """``45.1 ms, at worst 400.4 ms``; once when both are the same."""
    usual, longest = seconds_words(seconds), seconds_words(worst)
    return usual if usual == longest else f"{usual}, at worst {longest}"


def window_words(window: Window) -> str:
    """``operation 0 to 1: 45.1 ms, at worst 400.4 ms, from 2.0 ms on``."""
    where = f"operation {window.first:,}" + (f" to {window.last:,}" if window.last > window.first else "")
    return f"{where}: {takes_words(window.seconds, window.worst)}, from {seconds_words(window.at)} on"


def time_lines(report: SweepReport) -> Iterator[str]:
    """How long the story takes, then each of its phases; nothing for a story whose pace is not known."""
    timeline = report.timeline
    if timeline is None:
        return
    yield f"time: {takes_words(timeline.seconds, timeline.worst)} ({pace_words(timeline)})"
    for phase in timeline.phases:
        count = f", {phase.operations:,} operations" if phase.operations else ""
        yield f"  {phase.name}: {takes_words(phase.seconds, phase.worst)}{count}"


def risk_lines(report: SweepReport, outcome: Outcome, why: str) -> Iterator[str]:
    """How long this promise is at risk, and when."""
    windows = [window for kind, reason, window in report.windows() if (kind, reason) == (outcome, why)]
    if windows:
        total = takes_words(sum(window.seconds for window in windows), sum(window.worst for window in windows))
        yield f"at risk: {total}"
        yield from (f"  {window_words(window)}" for window in windows)
