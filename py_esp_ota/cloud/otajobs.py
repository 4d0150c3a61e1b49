"""OTA jobs: create, list, watch, cancel, archive. ``jobs.py`` decides, this file keeps the book."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from py_esp_ota.cloud import jobs as rules
from py_esp_ota.cloud.ground import Ground
from py_esp_ota.cloud.images import Images
from py_esp_ota.cloud.job_rows import (
    HistoryLine,
    JobView,
    columns_of,
    history_row,
    job_of,
    job_row,
    new_job_row,
    state_of,
    view_of,
)
from py_esp_ota.cloud.jobs import NodeState, NodeStatus, OtaJob
from py_esp_ota.cloud.models import ImageRow, JobNodeRow, JobRow, NodeRow, ReportRow
from py_esp_ota.cloud.nodes import Nodes
from py_esp_ota.cloud.outbox import Outbox
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.serving import Serving
from py_esp_ota.cloud.store import PAGE_SIZE, Page, page
from py_esp_ota.cloud.texts import line, number_or_refuse, storable

JOB_NAME_LIMIT = 128
DESCRIPTION_LIMIT = 1024
METADATA_LIMIT = 4096
TIMEOUT_LIMIT_S = 10 * 365 * 86_400


class Jobs(Serving):
    """Create, list, watch, cancel and archive jobs."""

    def __init__(
        self,
        ground: Ground,
        images: Images,
        nodes: Nodes,
        outbox: Outbox,
        max_fetch_cycles: int = rules.DEFAULT_FETCH_CYCLES,
    ) -> None:
        super().__init__(ground, images, nodes, outbox)
        self._max_fetch_cycles = max_fetch_cycles
        self.made = asyncio.Event()  # the deadline of a new job may be the next one

    # ---------------------------------------------------------------------------------------------------------- create

    def create(
        self,
        name: str,
        ota_image_id: str,
        *,
        nodes: Sequence[str] = (),
        groups: Sequence[str] = (),
        metadata: Mapping[str, Any] | None = None,
        description: str = "",
        priority: int = rules.DEFAULT_PRIORITY,
        timeout: int = rules.DEFAULT_TIMEOUT_S,
        force_push: bool = False,
        user_approval: bool = False,
        admin_id: str | None = None,
    ) -> JobView:
        """Start a job for some nodes, or for all with the group ``FFFF-FFFF``; of those that ``admin_id`` has claimed.

        With ``force_push`` the nodes that are connected get the URL now; without it, and for all others, a node gets
        it when it asks.

        Raises:
            CloudError: IMAGE_UNKNOWN, IMAGE_ARCHIVED, JOB_TARGETS, NODE_NOT_OF_USER, JOB_METADATA, INVALID_REQUEST.
        """
        now = self._ground.now_ms()
        job = OtaJob(
            ota_job_id=self._ground.ids.job(),
            ota_job_name=line(name, "ota_job_name", JOB_NAME_LIMIT),
            ota_image_id=ota_image_id,
            fw_version="",
            triggered_timestamp=now,
            nodes=tuple(dict.fromkeys(nodes)),
            groups=tuple(dict.fromkeys(groups)),
            metadata=_checked_metadata(metadata or {}, now),
            description=line(description, "description", DESCRIPTION_LIMIT) if description else "",
            priority=_in_range(priority, "priority", 1, 9),
            timeout=_in_range(timeout, "timeout", 1, TIMEOUT_LIMIT_S),
            force_push=force_push,
            user_approval=user_approval,
            max_fetch_cycles=self._max_fetch_cycles,
        )
        _check_targets(job)
        with self._ground.store.begin() as tx:
            image = tx.scalar(select(ImageRow).where(ImageRow.ota_image_id == ota_image_id))
            if image is None:
                raise CloudError(Refusal.IMAGE_UNKNOWN, "there is no image with this ota_image_id")
            if image.archived:
                raise CloudError(Refusal.IMAGE_ARCHIVED, "an archived image starts no job; unarchive it first")
            job = replace(job, fw_version=image.fw_version)
            row = new_job_row(job)
            tx.add(row)
            tx.flush()
            targets = _resolve(tx, job, admin_id)
            states = [NodeState(node_id, timestamp=now) for node_id in targets]
            tx.add_all(JobNodeRow(job=row.number, **columns_of(state)) for state in states)
            tx.add_all(history_row(row.number, state) for state in states)
            tx.flush()
            online = [node_id for node_id, connected in targets.items() if connected]
            letters = self._push(tx, row, online) if force_push and not user_approval and self._outbox.open else []
            view = view_of(tx, row)
        self._changed(job.ota_job_id)
        self._send(letters)
        self.made.set()
        return view

    # ------------------------------------------------------------------------------------------------------------ read

    def find(
        self,
        *,
        name: str | None = None,
        ota_image_id: str | None = None,
        archived: bool | None = False,
        start_id: str | None = None,
        num_records: int = PAGE_SIZE,
    ) -> Page[JobView]:
        """Jobs, newest first; ``name`` is searched for. ``archived``: those that are, are not, or ``None`` for all."""
        query: Select[tuple[JobRow]] = select(JobRow)
        if name is not None:
            query = query.where(JobRow.ota_job_name.icontains(name, autoescape=True))
        if ota_image_id is not None:
            query = query.where(JobRow.ota_image_id == ota_image_id)
        if archived is not None:
            query = query.where(JobRow.archived == archived)
        start = number_or_refuse(start_id)
        with self._ground.store.begin() as tx:
            rows, total, following = page(
                tx, query, key=JobRow.number, start=start, size=num_records, newest_first=True
            )
            return Page([view_of(tx, row) for row in rows], total, None if following is None else str(following))

    def get(self, ota_job_id: str) -> JobView:
        """One job. Raises ``CloudError`` (JOB_UNKNOWN)."""
        with self._ground.store.begin() as tx:
            return view_of(tx, job_row(tx, ota_job_id))

    def summary(self, ota_job_id: str) -> dict[str, int]:
        """The job's nodes by status, and their total. Raises ``CloudError`` (JOB_UNKNOWN)."""
        return dict(self.get(ota_job_id).summary)

    def node_status(
        self,
        ota_job_id: str,
        *,
        node_id: str | None = None,
        status: NodeStatus | None = None,
        start_id: str | None = None,
        num_records: int = PAGE_SIZE,
    ) -> Page[NodeState]:
        """Where the job stands on each node, by node id. Raises ``CloudError`` (JOB_UNKNOWN)."""
        with self._ground.store.begin() as tx:
            query = select(JobNodeRow).where(JobNodeRow.job == job_row(tx, ota_job_id).number)
            if node_id is not None:
                query = query.where(JobNodeRow.node_id == node_id)
            if status is not None:
                query = query.where(JobNodeRow.status == status.value)
            rows, total, following = page(tx, query, key=JobNodeRow.node_id, start=start_id or None, size=num_records)
            return Page([state_of(row) for row in rows], total, following)

    def history(self, ota_job_id: str, node_id: str | None = None) -> list[HistoryLine]:
        """Everything that happened to the job, or to the job on one node, oldest first."""
        with self._ground.store.begin() as tx:
            query = (
                select(ReportRow).join(JobRow, JobRow.number == ReportRow.job).where(JobRow.ota_job_id == ota_job_id)
            )
            if node_id is not None:
                query = query.where(ReportRow.node_id == node_id)
            rows = tx.scalars(query.order_by(ReportRow.number)).all()
            if not rows:
                job_row(tx, ota_job_id)  # refuses an unknown job; a known one may have nothing to tell
            names = HistoryLine.__dataclass_fields__
            return [HistoryLine(**{name: getattr(row, name) for name in names}) for row in rows]

    # ---------------------------------------------------------------------------------------------------------- change

    def cancel(self, ota_job_id: str) -> JobView:
        """Hand the job to no further node. Nodes that hold the URL go on, and their reports are kept.

        A completed job can be cancelled too: that is how it becomes fit for the archive. Cancelling twice changes
        nothing.
        """
        with self._ground.store.begin() as tx:
            row = job_row(tx, ota_job_id)
            if row.cancelled_timestamp is None:
                row.cancelled_timestamp = self._ground.now_ms()
        self._outbox.withdraw(ota_job_id)
        self._changed(ota_job_id)
        return self.get(ota_job_id)

    def archive(self, ota_job_id: str) -> JobView:
        """Hide a cancelled job from the list; its data stays. Raises ``CloudError`` (JOB_NOT_CANCELLED)."""
        with self._ground.store.begin() as tx:
            row = job_row(tx, ota_job_id)
            if row.cancelled_timestamp is None:
                raise CloudError(Refusal.JOB_NOT_CANCELLED, "only a cancelled job can be archived; cancel it first")
            row.archived = True
            view = view_of(tx, row)
        self._changed(ota_job_id)
        return view

    def expire(self) -> int | None:
        """Close the nodes of jobs whose time is over. When the next job's time will be over, in milliseconds."""
        now = self._ground.now_ms()
        late = []
        with self._ground.store.begin() as tx:
            running = JobRow.cancelled_timestamp.is_(None) & JobNodeRow.closed.is_(False)
            open_nodes = select(JobRow, JobNodeRow).join(JobNodeRow, JobNodeRow.job == JobRow.number).where(running)
            for row, node_row in tx.execute(open_nodes.where(JobRow.deadline < now)).all():
                late.append(row.ota_job_id)
                self._move(tx, row, node_row, job_of(row).expire(state_of(node_row), now))
            tx.flush()
            deadline: int | None = tx.scalar(
                select(func.min(JobRow.deadline)).join(JobNodeRow, JobNodeRow.job == JobRow.number).where(running)
            )
        for ota_job_id in dict.fromkeys(late):
            self._changed(ota_job_id)
        return deadline


# ------------------------------------------------------------------------------------------------------ what is allowed


def _checked_metadata(metadata: Mapping[str, Any], now: int) -> dict[str, Any]:
    problem = rules.metadata_problem(metadata, now)
    if problem is not None:
        raise CloudError(Refusal.JOB_METADATA, problem)
    try:
        document = storable(dict(metadata), "metadata")
    except ValueError as error:
        raise CloudError(Refusal.JOB_METADATA, str(error)) from None
    if len(json.dumps(document)) > METADATA_LIMIT:
        raise CloudError(Refusal.JOB_METADATA, f"metadata: at most {METADATA_LIMIT} bytes reach a node")
    return document


def _check_targets(job: OtaJob) -> None:
    problems = {
        "a job needs nodes or groups": not job.nodes and not job.groups,
        f"a job has at most {rules.MAX_NODES} nodes, not {len(job.nodes)}; FFFF-FFFF means all": (
            len(job.nodes) > rules.MAX_NODES
        ),
        f"a job has at most {rules.MAX_GROUPS} groups, not {len(job.groups)}": len(job.groups) > rules.MAX_GROUPS,
        "the only group this cloud knows is FFFF-FFFF, every node": bool(set(job.groups) - {rules.ALL_NODES}),
    }
    for problem, applies in problems.items():
        if applies:
            raise CloudError(Refusal.JOB_TARGETS, problem)


def _in_range(value: int, what: str, low: int, high: int) -> int:
    if not low <= value <= high:
        raise CloudError(Refusal.INVALID_REQUEST, f"{what} is a number from {low} to {high}")
    return value


def _resolve(tx: Session, job: OtaJob, admin_id: str | None) -> dict[str, bool]:
    """The job's target nodes, and whether each is connected."""
    query = select(NodeRow.node_id, NodeRow.connected).order_by(NodeRow.node_id)
    if admin_id is not None:
        query = query.where(NodeRow.admin_id == admin_id)
    everything = job.groups == (rules.ALL_NODES,)
    found = {node_id: connected for node_id, connected in tx.execute(query) if everything or node_id in job.nodes}
    missing = [node_id for node_id in job.nodes if node_id not in found]
    if missing:
        raise CloudError(Refusal.NODE_NOT_OF_USER, f"unknown nodes: {', '.join(missing[:5])}"[:500], nodes=missing)
    if not found:
        raise CloudError(Refusal.JOB_TARGETS, "there is no node yet that the job could be for")
    return found
