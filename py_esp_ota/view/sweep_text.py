"""A sweep for the terminal: how much was tried, how it ended, and what to look at."""

from __future__ import annotations

from itertools import islice

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from py_esp_ota.sweep.result import OUTCOMES, Outcome, SweepReport
from py_esp_ota.view.sweep_words import FINDINGS, MEANING, findings, operation_at

_STYLES: dict[Outcome, str] = {"old": "blue", "new": "cyan", "as_the_chip": "yellow", "violation": "bold red"}


def sweep_text(
    report: SweepReport, *, limit: int = 10, command: str = "", elapsed_s: float | None = None
) -> RenderableType:
    """The counts, then the first ``limit`` findings of each kind with the line that replays them.

    ``command`` stands before each plan, so that the line can be pasted into a shell; ``elapsed_s`` is told when given.
    """
    parts: list[RenderableType] = [_counts(report, elapsed_s)]
    for outcome in FINDINGS:
        found = list(findings(report, outcome))
        if found:
            parts += [Text(), _listed(report, outcome, limit, command)]
            if len(found) > limit:
                parts.append(Text(f"  and {len(found) - limit:,} more", style="dim"))
    return Group(*parts)


def _counts(report: SweepReport, elapsed_s: float | None) -> Table:
    took = "" if elapsed_s is None else f" in {elapsed_s:.2f} s"
    title = f"{report.story}: {len(report.operations):,} flash operations, {len(report.cases):,} power cuts{took}"
    table = Table(title=Text(title, style="bold"), title_justify="left", box=None, pad_edge=False, show_header=False)
    table.add_column(justify="right")
    table.add_column(no_wrap=True)
    table.add_column()
    total = report.outcomes
    for outcome in OUTCOMES:
        style = _STYLES[outcome] if total[outcome] else "dim"
        words = outcome.replace("_", " ")
        table.add_row(Text(f"{total[outcome]:,}", style=style), Text(words, style=style), Text(MEANING[outcome]))
    return table


def _listed(report: SweepReport, outcome: Outcome, limit: int, command: str) -> Table:
    title = Text(outcome.replace("_", " "), style=_STYLES[outcome])
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for header in ("Replay", "Operation", "Why"):
        table.add_column(header, overflow="fold")
    for finding in islice(findings(report, outcome), limit):
        first, others = finding.plans[0], len(finding.plans) - 1
        replay = f"{command} {first}".strip()
        table.add_row(
            Text(replay if not others else f"{replay}\n(and {others} more there)"),
            Text(f"{finding.operation}: {operation_at(report, finding.operation)}"),
            Text(finding.ending.why),
        )
    return table
