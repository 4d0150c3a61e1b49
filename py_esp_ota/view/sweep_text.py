"""A sweep for the terminal: how much was tried, how it ended, and what to look at."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from py_esp_ota.sweep.result import OUTCOMES, Outcome, SweepReport
from py_esp_ota.view.sweep_words import FINDINGS, MEANING, Finding, findings, operation_at
from py_esp_ota.view.time_words import risk_lines, time_lines
from py_esp_ota.view.visible import visible

_STYLES: dict[Outcome, str] = {"old": "blue", "new": "cyan", "as_the_chip": "yellow", "violation": "bold red"}


def sweep_text(
    report: SweepReport, *, limit: int = 10, command: str = "", elapsed_s: float | None = None, release: str = ""
) -> RenderableType:
    """The counts, then each broken promise with the first ``limit`` operations that break it.

    ``command`` stands before a plan in the line that replays it; print with ``soft_wrap=True``, and that line can be
    pasted into a shell. ``elapsed_s`` is told when given, and ``release``: which ESP-IDF it was, and who says so.
    """
    parts: list[RenderableType] = [_counts(report, elapsed_s, release)]
    if report.stopped:
        parts.append(Text(visible(f"not the whole sweep: {report.stopped}"), style="bold red"))
    parts += [Text(visible(line)) for line in time_lines(report)]
    for outcome in FINDINGS:
        broken: dict[str, list[Finding]] = {}
        for finding in findings(report, outcome):
            broken.setdefault(finding.ending.why, []).append(finding)
        for why, found in broken.items():
            parts += [Text(), Text(visible(f"{outcome.replace('_', ' ')}: {why}"), style=_STYLES[outcome])]
            parts.append(_listed(report, found[:limit]))
            if len(found) > limit:
                parts.append(Text(f"  and {len(found) - limit:,} more operations", style="dim"))
            parts += [Text(f"  {line}") for line in _first(list(risk_lines(report, outcome, why)), limit)]
            replay = f"  replay: {command} {found[0].plans[0]}".replace("  replay:  ", "  replay: ")
            parts.append(Text(visible(replay)))
    return Group(*parts)


def _counts(report: SweepReport, elapsed_s: float | None, release: str) -> Table:
    took = "" if elapsed_s is None else f" in {elapsed_s:.2f} s"
    title = f"{report.story}: {len(report.operations):,} flash operations, {len(report.cases):,} power cuts{took}"
    heading = Text(title, style="bold")
    if release:
        heading.append(f"\nrelease: {visible(release)}", style="not bold")
    table = Table(title=heading, title_justify="left", box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right")
    table.add_column(no_wrap=True)
    table.add_column()
    total = report.outcomes
    for outcome in OUTCOMES:
        style = _STYLES[outcome] if total[outcome] else "dim"
        words = outcome.replace("_", " ")
        table.add_row(Text(f"{total[outcome]:,}", style=style), Text(words, style=style), Text(MEANING[outcome]))
    return table


def _first(lines: list[str], limit: int) -> list[str]:
    return lines if len(lines) <= limit else [*lines[:limit], f"  and {len(lines) - limit:,} more stretches of time"]


def _listed(report: SweepReport, found: list[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for _ in range(4):
        table.add_column(no_wrap=True)
    for finding in found:
        others = len(finding.plans) - 1
        table.add_row(
            Text(f"  {finding.plans[0]}"),
            Text(f"and {others:,} more there" if others else "", style="dim"),
            Text(f"operation {finding.operation:,}"),
            Text(operation_at(report, finding.operation)),
        )
    return table
