"""A sweep as one page that needs nothing but itself: operations along the flash, coloured by how a cut there ends."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Hashable, Iterable
from html import escape
from itertools import groupby
from string import Template
from typing import Any, Generic, TypeVar

from py_esp_ota.sweep.result import OUTCOMES, SweepReport
from py_esp_ota.view.parts import part
from py_esp_ota.view.sweep_words import MEANING, model_of
from py_esp_ota.view.time_words import pace_words, seconds_words, window_words

T = TypeVar("T", bound=Hashable)

#: The second of two cuts; its number is spelled as a number is, so that it can be put together again.
_SECOND_CUT = re.compile(r"cut@(0|[1-9][0-9]*)((?::[^+]*)?)", re.ASCII)


def sweep_html(report: SweepReport, *, command: str = "", elapsed_s: float | None = None, teach: str = "") -> str:
    """The page of a report.

    Args:
        report: what the sweep found.
        command: stands before the plan in the line that replays a case.
        elapsed_s: how long the sweep took, told when given.
        teach: the address of the story in the page "Pull the plug"; each case leads there when it is given.
    """
    total = report.outcomes
    counts = "".join(
        f'<tr><th scope="row"><i class="swatch {name}"></i>{name.replace("_", " ")}</th>'
        f"<td>{total[name]:,}</td><td>{MEANING[name]}</td></tr>"
        for name in OUTCOMES
    )
    took = "" if elapsed_s is None else f" in {elapsed_s:.2f} s"
    summary = f"{len(report.operations):,} flash operations, {len(report.cases):,} power cuts{took}"
    if report.stopped:
        summary += escape(f" (not the whole sweep: {report.stopped})")
    return Template(part("sweep.html")).substitute(
        story=escape(report.story),
        summary=summary,
        counts=counts,
        time=_time(report),
        style=part("base.css", "sweep.css"),
        script=part("sweep.js"),
        data=_script_safe({**_packed(report, command), "teach": teach}),
    )


def _time(report: SweepReport) -> str:
    """How long the story takes, phase by phase, and how long each promise is at risk; nothing when no pace is known."""
    timeline = report.timeline
    if timeline is None:
        return ""
    phases = "".join(
        f'<tr><th scope="row">{escape(phase.name)}</th><td>{seconds_words(phase.seconds)}</td>'
        f"<td>{seconds_words(phase.worst)}</td></tr>"
        for phase in timeline.phases
    )
    total = f"{seconds_words(timeline.seconds)}</td><td>{seconds_words(timeline.worst)}"
    risks = "".join(
        f"<li>{escape(outcome.replace('_', ' '))}: {escape(why)}<br>{escape(window_words(window))}</li>"
        for outcome, why, window in report.windows()
    )
    return (
        f"<p>{escape(pace_words(timeline))}</p>"
        '<table class="time"><caption class="unseen">How long it takes</caption>'
        '<thead><tr><th scope="col">Phase</th><th scope="col">Typically</th><th scope="col">At worst</th></tr></thead>'
        f'<tbody>{phases}<tr><th scope="row">the whole story</th><td>{total}</td></tr></tbody></table>'
        + (f"<details><summary>When a cut breaks a promise</summary><ol>{risks}</ol></details>" if risks else "")
    )


def _script_safe(data: dict[str, Any]) -> str:
    """JSON that cannot end the script element it stands in, whatever its strings say."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


class _Numbers(Generic[T]):
    """Each different thing once, in the order in which it was met."""

    def __init__(self) -> None:
        self._of: dict[T, int] = {}

    def of(self, thing: T) -> int:
        return self._of.setdefault(thing, len(self._of))

    def things(self) -> list[T]:
        return list(self._of)


def _packed(report: SweepReport, command: str) -> dict[str, Any]:
    """The report, every repetition said once.

    ``operations`` are runs ``[kind, step, length, count]``, a step being the distance from the address before.
    ``rows`` are the different lists of cases that an operation has; ``cases`` are runs ``[row, count]`` along the
    operations. A case is a model and an ending; with a second cut it is ``-1 - model``, the number and the model of
    that cut, and an ending.
    """
    lines, models, rows = _Numbers[str](), _Numbers[str](), _Numbers[tuple[int, ...]]()
    endings = [
        {
            "outcome": OUTCOMES.index(ending.outcome),
            "why": ending.why,
            "partition": ending.partition,
            "version": ending.version,
            "state": ending.state,
            "otadata": ending.otadata,
            "boots": ending.boots,
            "log": [lines.of(line) for line in ending.log],
        }
        for ending in report.endings
    ]
    of_operation: dict[int, list[int]] = defaultdict(list)
    for case in report.cases:
        # A plan that does not begin with its own operation is kept whole.
        model, _, rest = model_of(case).partition("+")
        second = _SECOND_CUT.fullmatch(rest) if model == "" or model[0] == ":" else None
        if second:
            of_operation[case.operation] += [-1 - models.of(model), int(second[1]), models.of(second[2]), case.ending]
        else:
            of_operation[case.operation] += [models.of(model_of(case)), case.ending]
    length = max(len(report.operations), *(operation + 1 for operation in of_operation), 0)
    cases = _run_lengths((rows.of(tuple(of_operation.get(index, ()))),) for index in range(length))
    addresses = [operation.address for operation in report.operations]
    steps = (here - before for before, here in zip([0, *addresses], addresses, strict=False))
    operations = _run_lengths(
        (int(operation.kind == "erase"), step, operation.length)
        for operation, step in zip(report.operations, steps, strict=True)
    )
    return {
        "command": command,
        "outcomes": OUTCOMES,
        "operations": operations,
        "models": models.things(),
        "rows": rows.things(),
        "cases": cases,
        "endings": endings,
        "lines": lines.things(),
    }


def _run_lengths(values: Iterable[tuple[int, ...]]) -> list[list[int]]:
    return [[*value, sum(1 for _ in group)] for value, group in groupby(values)]
