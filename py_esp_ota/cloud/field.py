"""The field at a glance: which versions run there, and what the newest job of each node came to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, func, or_, select

from py_esp_ota.cloud.ground import Ground
from py_esp_ota.cloud.jobs import NodeStatus
from py_esp_ota.cloud.models import JobNodeRow, JobRow, NodeRow
from py_esp_ota.cloud.store import PAGE_SIZE, rows_of
from py_esp_ota.cloud.turns import Turns


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """How many nodes say that they run a version of a model."""

    model: str
    fw_version: str
    count: int
    online: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LastJob:
    """The newest job of a node that is not archived, and where it stands there."""

    node_id: str
    name: str
    connected: bool
    ota_job_id: str
    ota_job_name: str
    fw_version: str  # the job's
    status: NodeStatus
    additional_info: str
    timestamp: int  # milliseconds
    open: bool  # a result is still awaited


class Field:
    """What the overview asks; every answer costs one statement, however many nodes there are."""

    def __init__(self, ground: Ground, turns: Turns) -> None:
        self._ground = ground
        self._turns = turns

    def versions(self) -> list[Version]:
        """What runs where, the most frequent first."""
        count, online = func.count().label("count"), func.count().filter(NodeRow.connected).label("online")
        columns = (NodeRow.model, NodeRow.fw_version)
        query = select(*columns, count, online).group_by(*columns).order_by(count.desc(), *columns)
        self._turns.catch_up()
        with self._ground.store.connect() as tx:
            return [Version(**row) for row in tx.execute(query).mappings()]

    def last_jobs(self, node_ids: Collection[str]) -> dict[str, LastJob]:
        """The newest job of each of these nodes that had one."""
        with self._ground.store.connect() as tx:
            wanted = JobNodeRow.node_id.in_(select(rows_of(tx, sorted(node_ids)).c.value))
            rows = tx.execute(_last_jobs().where(wanted)).mappings()
            return {row["node_id"]: _last_job(row) for row in rows}

    def troubled(self, num_records: int = PAGE_SIZE) -> tuple[list[LastJob], int]:
        """Nodes whose newest job failed or was refused, or that are offline while it waits for them, and how many."""
        bad = JobNodeRow.status.in_([NodeStatus.FAILED.value, NodeStatus.REJECTED.value])
        absent = and_(_AWAITED, NodeRow.connected.is_(False))
        query = _last_jobs().where(or_(bad, absent))
        self._turns.catch_up()
        with self._ground.store.connect() as tx:
            total = tx.execute(select(func.count()).select_from(query.subquery())).scalar_one()
            order = (bad.desc(), JobNodeRow.timestamp.desc(), JobNodeRow.node_id)
            rows = tx.execute(query.order_by(*order).limit(num_records)).mappings()
            return [_last_job(row) for row in rows], total


_AWAITED = and_(JobNodeRow.closed.is_(False), JobRow.cancelled_timestamp.is_(None))


def _last_jobs() -> Select[*tuple[Any, ...]]:
    newest = (
        select(JobNodeRow.node_id, func.max(JobNodeRow.job).label("job"))
        .join(JobRow, JobRow.number == JobNodeRow.job)
        .where(JobRow.archived.is_(False))
        .group_by(JobNodeRow.node_id)
        .subquery()
    )
    return (
        select(
            JobNodeRow.node_id,
            NodeRow.name,
            NodeRow.connected,
            JobRow.ota_job_id,
            JobRow.ota_job_name,
            JobRow.fw_version,
            JobNodeRow.status,
            JobNodeRow.additional_info,
            JobNodeRow.timestamp,
            _AWAITED.label("open"),
        )
        .join(newest, and_(newest.c.node_id == JobNodeRow.node_id, newest.c.job == JobNodeRow.job))
        .join(JobRow, JobRow.number == JobNodeRow.job)
        .join(NodeRow, NodeRow.node_id == JobNodeRow.node_id)
    )


def _last_job(row: Mapping[Any, Any]) -> LastJob:
    return LastJob(**{**row, "status": NodeStatus(row["status"]), "open": bool(row["open"])})
