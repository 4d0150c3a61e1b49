"""Rows of the job tables and the values that ``jobs.py`` decides on, back and forth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Integer, cast, func, select
from sqlalchemy.orm import Session

from py_esp_ota.cloud import jobs as rules
from py_esp_ota.cloud.jobs import JobStatus, NodeState, NodeStatus, OtaJob
from py_esp_ota.cloud.models import JobNodeRow, JobRow, ReportRow
from py_esp_ota.cloud.refusals import CloudError, Refusal


@dataclass(frozen=True, slots=True)
class JobView:
    """A job and where it stands."""

    job: OtaJob
    status: JobStatus
    summary: Mapping[str, int]  # by summary key, `total` included


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLine:
    """One thing that happened to a job on a node."""

    node_id: str
    by_node: bool  # else by the cloud itself
    status: str  # the word as it came, `invalid` included
    additional_info: str
    timestamp: int  # milliseconds, when the cloud heard it
    ts: int | None  # seconds by the node's own clock


def job_row(tx: Session, ota_job_id: str) -> JobRow:
    """The job with this id. Raises ``CloudError`` (JOB_UNKNOWN)."""
    row = tx.scalar(select(JobRow).where(JobRow.ota_job_id == ota_job_id))
    if row is None:
        raise CloudError(Refusal.JOB_UNKNOWN, "there is no job with this ota_job_id")
    return row


def open_rows(tx: Session, node_id: str) -> list[tuple[JobRow, JobNodeRow]]:
    """The jobs that may still have something for a node."""
    query = (
        select(JobRow, JobNodeRow)
        .join(JobNodeRow, JobNodeRow.job == JobRow.number)
        .where(JobNodeRow.node_id == node_id, JobNodeRow.closed.is_(False), JobRow.cancelled_timestamp.is_(None))
    )
    return [(row, node_row) for row, node_row in tx.execute(query)]


def new_job_row(job: OtaJob) -> JobRow:
    """A row for a new job, not yet in the store."""
    names = set(OtaJob.__dataclass_fields__) - {"metadata", "number", "nodes", "groups"}
    return JobRow(
        **{name: getattr(job, name) for name in names},
        job_metadata=dict(job.metadata),
        nodes=list(job.nodes),
        groups=list(job.groups),
        deadline=job.deadline,
    )


def job_of(row: JobRow) -> OtaJob:
    """The job in a row."""
    names = set(OtaJob.__dataclass_fields__) - {"metadata", "nodes", "groups"}
    return OtaJob(
        **{name: getattr(row, name) for name in names},
        metadata=row.job_metadata,
        nodes=tuple(row.nodes),
        groups=tuple(row.groups),
    )


def state_of(row: JobNodeRow) -> NodeState:
    """The state in a row."""
    values = {name: getattr(row, name) for name in NodeState.__dataclass_fields__}
    return NodeState(**{**values, "status": NodeStatus(row.status)})


def columns_of(state: NodeState) -> dict[str, Any]:
    """The columns of a state."""
    return {name: getattr(state, name) for name in NodeState.__dataclass_fields__} | {"status": state.status.value}


def write_state(row: JobNodeRow, state: NodeState) -> None:
    """Put a state into its row."""
    for name, value in columns_of(state).items():
        setattr(row, name, value)


def history_row(job: int, state: NodeState) -> ReportRow:
    """A line of history that the cloud itself writes."""
    return ReportRow(
        job=job,
        node_id=state.node_id,
        by_node=False,
        status=state.status.value,
        additional_info=state.additional_info,
        timestamp=state.timestamp,
        ts=None,
    )


def view_of(tx: Session, row: JobRow) -> JobView:
    """The job in a row, and where it stands by the states in the store."""
    tx.flush()
    grouped = tx.execute(
        select(JobNodeRow.status, func.count(), func.sum(cast(JobNodeRow.closed, Integer)))
        .where(JobNodeRow.job == row.number)
        .group_by(JobNodeRow.status)
    ).all()
    counts = Counter({NodeStatus(status): count for status, count, _ in grouped})
    closed = sum(number for _, _, number in grouped)
    job = job_of(row)
    return JobView(job, rules.job_status(job, counts, closed), rules.summary(counts))
