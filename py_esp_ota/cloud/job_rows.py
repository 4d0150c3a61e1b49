"""Rows of the job tables and the values that ``jobs.py`` decides on, back and forth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from py_esp_ota.cloud import jobs as rules
from py_esp_ota.cloud.jobs import JobStatus, NodeState, NodeStatus, OtaJob
from py_esp_ota.cloud.models import JobNodeRow, JobRow
from py_esp_ota.cloud.refusals import CloudError, Refusal


@dataclass(frozen=True, slots=True)
class JobView:
    """A job and where it stands."""

    job: OtaJob
    status: JobStatus
    summary: Mapping[str, int]  # by summary key, `total` included


def job_row(tx: Session, ota_job_id: str) -> JobRow:
    """The job with this id. Raises ``CloudError`` (JOB_UNKNOWN)."""
    row = tx.scalar(select(JobRow).where(JobRow.ota_job_id == ota_job_id))
    if row is None:
        raise unknown_job()
    return row


def unknown_job() -> CloudError:
    """The refusal of a job that is not there."""
    return CloudError(Refusal.JOB_UNKNOWN, "there is no job with this ota_job_id")


def columns_of_job(job: OtaJob) -> dict[str, Any]:
    """The columns of a job that do not change, without its number."""
    names = set(OtaJob.__dataclass_fields__) - {"metadata", "number", "nodes", "groups"}
    return {name: getattr(job, name) for name in names} | {
        "metadata": dict(job.metadata),
        "nodes": list(job.nodes),
        "groups": list(job.groups),
        "deadline": job.deadline,
    }


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


def columns_of_counts(counts: Mapping[NodeStatus, int], closed: int) -> dict[str, Any]:
    """The columns of where a job stands."""
    return {"counts": {status.value: counts[status] for status in NodeStatus if counts.get(status)}, "closed": closed}


def view_of(row: JobRow) -> JobView:
    """The job in a row, and where it stands."""
    return view(job_of(row), Counter({NodeStatus(status): count for status, count in row.counts.items()}), row.closed)


def view(job: OtaJob, counts: Mapping[NodeStatus, int], closed: int) -> JobView:
    """A job and where it stands, from its nodes by status and the number of closed ones."""
    return JobView(job, rules.job_status(job, counts, closed), rules.summary(counts))
