"""A job as a document or a sheet, for other programs: itself, its plan, where each of its nodes stands."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from py_esp_ota.cloud.job_rows import JobView
from py_esp_ota.cloud.jobs import NodeState
from py_esp_ota.cloud.store import Page

HEAD = (
    "node_id",
    "phase",
    "status",
    "time_utc",
    "timestamp",
    "closed",
    "reason",
    "failed_cycles",
    "handed_out",
    "additional_info",
)
"""The columns of the sheet; new ones are added at its end."""

PIECE = 1000
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")

Pages = Callable[[str | None], Page[NodeState]]


def states_of(pages: Pages) -> Iterator[list[NodeState]]:
    """All states of a job, a page at a time."""
    start: str | None = None
    while True:
        page = pages(start)
        yield page.items
        if page.next_id is None:
            return
        start = page.next_id


def as_csv(view: JobView, pages: Pages) -> Iterator[str]:
    """RFC 4180, a line for each node. What a spreadsheet would take for a formula has an apostrophe before it."""
    yield _lines([HEAD])
    for states in states_of(pages):
        yield _lines([[_plain(row[name]) for name in HEAD] for row in (_row(view, state) for state in states)])


def as_json(job: dict[str, Any], view: JobView, pages: Pages) -> Iterator[str]:
    """One object: ``job`` as the API shows it, with all its nodes."""
    yield json.dumps({**job, "summary": dict(view.summary)}, ensure_ascii=False)[:-1] + ', "nodes_status": ['
    first = True
    for states in states_of(pages):
        rows = [json.dumps(_row(view, state), ensure_ascii=False) for state in states]
        yield ("" if first or not rows else ",") + ",\n".join(rows)
        first = False
    yield "]}\n"


def _row(view: JobView, state: NodeState) -> dict[str, Any]:
    return {
        "node_id": state.node_id,
        "phase": view.standing.phase_of(state) + 1,
        "status": state.status.value,
        "time_utc": _utc(state.timestamp),
        "timestamp": state.timestamp,
        "closed": state.closed,
        "reason": state.reason.value,
        "failed_cycles": state.failed_cycles,
        "handed_out": state.handed_out,
        "additional_info": state.additional_info,
    }


def _utc(milliseconds: int) -> str:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, tz=UTC).isoformat(timespec="milliseconds")
    except (OverflowError, OSError, ValueError):
        return ""


def _plain(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _lines(rows: Any) -> str:
    sheet = io.StringIO()
    csv.writer(sheet, lineterminator="\r\n").writerows(rows)
    return sheet.getvalue()
