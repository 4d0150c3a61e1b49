"""The tables of jobs and images, told again from the log: what a row says follows from what happened."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select

from py_esp_ota.cloud.event_log import EventLog
from py_esp_ota.cloud.events import Event, Kind
from py_esp_ota.cloud.job_book import first_state
from py_esp_ota.cloud.job_rows import columns_of, columns_of_job, columns_of_standing
from py_esp_ota.cloud.jobs import NodeState, fold_job, fold_state
from py_esp_ota.cloud.models import BlobRow, ImageRow, JobNodeRow, JobRow, PushRow
from py_esp_ota.cloud.standing import Standing
from py_esp_ota.cloud.store import Store

_JOB: Table = JobRow.__table__  # type: ignore[assignment]
_JOB_NODE: Table = JobNodeRow.__table__  # type: ignore[assignment]
_IMAGE: Table = ImageRow.__table__  # type: ignore[assignment]
_PUSH: Table = PushRow.__table__  # type: ignore[assignment]


class Retold:
    """Jobs, nodes' states and images as the events so far make them."""

    def __init__(self) -> None:
        self._standings: dict[str, Standing] = {}
        self._states: dict[str, dict[str, NodeState]] = {}
        self._images: dict[str, dict[str, Any]] = {}

    def tell(self, events: Iterable[Event]) -> None:
        """Fold events in, in their order."""
        for event in events:
            if event.ota_job_id:
                self._job(event)
            elif event.ota_image_id:
                self._image(event)

    def _job(self, event: Event) -> None:
        if event.kind is Kind.JOIN_REFUSED:
            return
        if event.kind is Kind.JOB_DELETED:
            del self._standings[event.ota_job_id], self._states[event.ota_job_id]
            return
        standing = self._standings.get(event.ota_job_id)
        if standing is None:
            job = fold_job(None, event)
            order = enumerate(event.data["targets"])
            self._states[event.ota_job_id] = {node_id: first_state(job, node_id, at) for at, node_id in order}
            standing = Standing.of_new(job)
        elif not event.node_id:
            standing = standing.after(event)
        elif event.kind is Kind.NODE_ADDED:
            state = NodeState(event.node_id, timestamp=event.time, position=sum(standing.job.sizes))
            self._states[event.ota_job_id][event.node_id] = state
            standing = standing.after(event).joined(state)
        else:
            before = self._states[event.ota_job_id][event.node_id]
            after = fold_state(standing.job, before, event)
            self._states[event.ota_job_id][event.node_id] = after
            standing = standing.moved(before, after)
        self._standings[event.ota_job_id] = standing

    def _image(self, event: Event) -> None:
        match event.kind:
            case Kind.IMAGE_UPLOADED:
                self._images[event.ota_image_id] = dict(event.data)
            case Kind.IMAGE_ARCHIVED | Kind.IMAGE_UNARCHIVED:
                self._images[event.ota_image_id]["archived"] = event.kind is Kind.IMAGE_ARCHIVED
            case Kind.IMAGE_DELETED:
                del self._images[event.ota_image_id]

    def write(self, tx: Connection) -> None:
        """In the place of the rows there are. Pushes under way are kept, and so are the bytes of images."""
        pushes = [dict(row) for row in tx.execute(select(_PUSH)).mappings()]
        for table in (_PUSH, _JOB_NODE, _JOB, _IMAGE):
            tx.execute(delete(table))
        blobs = set(tx.scalars(select(BlobRow.sha256)))
        _fill(tx, _IMAGE, [image for image in self._images.values() if image["file_sha256"] in blobs])
        _fill(tx, _JOB, [_row_of(standing) for standing in self._standings.values()])
        for ota_job_id, states in self._states.items():
            number = self._standings[ota_job_id].job.number
            _fill(tx, _JOB_NODE, [columns_of(state) | {"job": number} for state in states.values()])
        _fill(tx, _PUSH, pushes)


def rebuild(store: Store) -> None:
    """Make the rows of jobs, of nodes' states in them and of images anew, in one transaction. For a cloud at rest."""
    retold = Retold()
    for piece in EventLog(store).all():
        retold.tell(entry.event for entry in piece)
    with store.connect() as tx:
        retold.write(tx)


def _row_of(standing: Standing) -> dict[str, Any]:
    return columns_of_job(standing.job) | columns_of_standing(standing) | {"number": standing.job.number}


def _fill(tx: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    if rows:
        tx.execute(insert(table), rows)
