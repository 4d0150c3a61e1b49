"""The history of a job, told from the log."""

from __future__ import annotations

from dataclasses import dataclass

from py_esp_ota.cloud.events import Actor, Entry, Event, Kind
from py_esp_ota.cloud.jobs import NodeStatus, OtaJob, fold_job


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryLine:
    """One thing that happened to a job on a node."""

    node_id: str
    by_node: bool  # else by the cloud itself
    status: str  # the word as it came, `invalid` included
    additional_info: str
    timestamp: int  # milliseconds, when the cloud heard it
    ts: int | None  # seconds by the node's own clock


def lines(entry: Entry) -> list[HistoryLine]:
    """The lines of history that an event is; one that begins a job is a line of each of its nodes."""
    event = entry.event
    if event.kind is Kind.JOB_CREATED:
        job = fold_job(None, event)
        return [first_line(job, node_id) for node_id in event.data["targets"]]
    return [_line(event)] if "status" in event.data else []


def first_line(job: OtaJob, node_id: str) -> HistoryLine:
    """How a job begins on a node."""
    return HistoryLine(
        node_id=node_id,
        by_node=False,
        status=NodeStatus.TRIGGERED.value,
        additional_info="",
        timestamp=job.triggered_timestamp,
        ts=None,
    )


def _line(event: Event) -> HistoryLine:
    return HistoryLine(
        node_id=event.node_id,
        by_node=event.by.actor is Actor.NODE,
        status=event.data["status"],
        additional_info=event.data["additional_info"],
        timestamp=event.time,
        ts=event.data.get("ts"),
    )
