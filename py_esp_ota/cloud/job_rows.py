"""Rows of the job tables and the values that ``jobs.py`` decides on, back and forth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from py_esp_ota import html
from py_esp_ota.cloud import jobs as rules
from py_esp_ota.cloud.campaign import CampaignState, campaign_state
from py_esp_ota.cloud.jobs import JobStatus, NodeState, NodeStatus, OtaJob
from py_esp_ota.cloud.models import JobNodeRow, JobRow
from py_esp_ota.cloud.plan import Plan
from py_esp_ota.cloud.progress import Progress
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.standing import Standing, Tally


@dataclass(frozen=True, slots=True, repr=False)
class JobView:
    """A job and where it stands."""

    standing: Standing
    status: JobStatus
    summary: Mapping[str, int]  # by summary key, `total` included

    @property
    def job(self) -> OtaJob:
        """The job itself."""
        return self.standing.job

    @property
    def state(self) -> CampaignState:
        """Where its campaign stands: more words than RainMaker has."""
        return campaign_state(self.job, self.status)

    def __repr__(self) -> str:
        return f"<JobView {self.job.ota_job_name!r}, {self.state.value}, {self.summary['total']} nodes>"

    def _repr_html_(self) -> str:
        """What it is and how many nodes stand where, for a notebook."""
        known = (("id", self.job.ota_job_id), ("state", self.state.value), ("version", self.job.fw_version))
        counted = [(key, str(count)) for key, count in self.summary.items() if count]
        return html.facts(f"OTA job {self.job.ota_job_name}", known) + html.table("Nodes", ("Status", "Count"), counted)


def job_row(tx: Session, ota_job_id: str) -> JobRow:
    """The job with this id. Raises ``CloudError`` (JOB_UNKNOWN)."""
    row = tx.scalar(select(JobRow).where(JobRow.ota_job_id == ota_job_id))
    if row is None:
        raise unknown_job()
    return row


def unknown_job() -> CloudError:
    """The refusal of a job that is not there."""
    return CloudError(Refusal.JOB_UNKNOWN, "there is no job with this ota_job_id")


_DOCUMENTS = frozenset({"metadata", "nodes", "groups", "plan", "sizes", "progress"})


def columns_of_job(job: OtaJob) -> dict[str, Any]:
    """The columns of a job that do not change, without its number."""
    names = set(OtaJob.__dataclass_fields__) - _DOCUMENTS - {"number"}
    return {name: getattr(job, name) for name in names} | {
        "metadata": dict(job.metadata),
        "nodes": list(job.nodes),
        "groups": list(job.groups),
        "plan": job.plan.to_json(),
        "deadline": job.deadline,
    }


def job_of(row: JobRow) -> OtaJob:
    """The job in a row."""
    names = set(OtaJob.__dataclass_fields__) - _DOCUMENTS
    return OtaJob(
        **{name: getattr(row, name) for name in names},
        metadata=row.job_metadata,
        nodes=tuple(row.nodes),
        groups=tuple(row.groups),
        plan=Plan.from_json(row.plan),
        sizes=tuple(row.sizes),
        progress=Progress.from_json(row.progress),
    )


def standing_of(row: JobRow) -> Standing:
    """Where the job in a row stands."""
    return Standing(job_of(row), tuple(Tally.from_json(tally) for tally in row.tallies))


_STATE = tuple(NodeState.__dataclass_fields__)
_state = attrgetter(*_STATE)


def state_of(row: JobNodeRow) -> NodeState:
    """The state in a row."""
    values = {name: getattr(row, name) for name in NodeState.__dataclass_fields__}
    return NodeState(**{**values, "status": NodeStatus(row.status)})


def columns_of(state: NodeState) -> dict[str, Any]:
    """The columns of a state."""
    columns = dict(zip(_STATE, _state(state), strict=True))
    columns["status"], columns["reason"] = state.status.value, state.reason.value
    return columns


def columns_of_standing(standing: Standing) -> dict[str, Any]:
    """The columns of where a job stands."""
    job = standing.job
    return {
        "tallies": [tally.to_json() for tally in standing.tallies],
        "sizes": list(job.sizes),
        "progress": job.progress.to_json(),
        "cancelled_timestamp": job.cancelled_timestamp,
        "archived": job.archived,
    }


def view_of(row: JobRow) -> JobView:
    """The job in a row, and where it stands."""
    return view(standing_of(row))


def view(standing: Standing) -> JobView:
    """A job and where it stands."""
    whole = standing.whole
    status = rules.job_status(standing.job, whole.counts, whole.closed)
    return JobView(standing, status, rules.summary(whole.counts))
