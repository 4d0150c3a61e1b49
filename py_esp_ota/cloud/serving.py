"""Serving nodes: who asks is told, who reports is heard. ``jobs.py`` decides, this file does.

Every change of a node's state is also a line in its history, and nothing ever removes one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from py_esp_ota.cloud import jobs as rules
from py_esp_ota.cloud.ground import Ground
from py_esp_ota.cloud.images import Images
from py_esp_ota.cloud.job_rows import history_row, job_of, job_row, open_rows, state_of, write_state
from py_esp_ota.cloud.jobs import NodeState, NodeStatus, OtaJob
from py_esp_ota.cloud.models import ImageRow, JobNodeRow, JobRow, NodeRow, ReportRow
from py_esp_ota.cloud.nodes import Nodes
from py_esp_ota.cloud.outbox import Letter, Outbox
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.texts import heard
from py_esp_ota.rainmaker.messages import OTAURL, OtaStatusReport, OtaUrl, ota_status_from_string, topic


class Serving:
    """``otafetch`` and ``otastatus`` as the cloud hears them, ``otaurl`` as it answers."""

    def __init__(self, ground: Ground, images: Images, nodes: Nodes, outbox: Outbox) -> None:
        self._ground = ground
        self._images = images
        self._nodes = nodes
        self._outbox = outbox

    def on_fetch(self, node_id: str, fw_version: str) -> None:
        """A node asks for an update: it gets the best job there is for it, or silence."""
        now = self._ground.now_ms()
        letters: list[Letter] = []
        touched = []
        with self._ground.store.begin() as tx:
            self._nodes.known(tx, node_id).fw_version = heard(fw_version)
            rows = {row.ota_job_id: (row, node_row) for row, node_row in open_rows(tx, node_id)}
            offers = [(job_of(row), state_of(node_row)) for row, node_row in rows.values()]
            choice = rules.choose(offers, fw_version, now)
            for job, state in choice.up_to_date:
                touched.append(job.ota_job_id)
                self._move(tx, *rows[job.ota_job_id], rules.already_on_version(state, now))
            if choice.serve is not None and self._outbox.open:
                row, node_row = rows[choice.serve[0].ota_job_id]
                touched.append(row.ota_job_id)
                letters.append(self._hand_out(tx, row, node_row, self._otaurl(tx, row)))
        for ota_job_id in touched:
            self._changed(ota_job_id, node_id)
        self._ground.live.publish("node", node_id)
        self._send(letters)

    def pending_update(self, node_id: str) -> OtaJob | None:
        """The job that a node's user could start now, whether it waits for approval or for the node to ask."""
        with self._ground.store.begin() as tx:
            node = tx.get(NodeRow, node_id)
            offers = [(job_of(row), replace(state_of(state), approved=True)) for row, state in open_rows(tx, node_id)]
            chosen = rules.choose(offers, node.fw_version if node else "", self._ground.now_ms()).serve
        return None if chosen is None else chosen[0]

    def approve_update(self, node_id: str, ota_job_id: str) -> None:
        """The node's user says yes: the job is pushed at once.

        Raises:
            CloudError: JOB_UNKNOWN, NODE_OFFLINE, NO_UPDATE.
        """
        with self._ground.store.begin() as tx:
            row = job_row(tx, ota_job_id)
            node = tx.get(NodeRow, node_id)
            if node is None or not node.connected or not self._outbox.open:
                raise CloudError(Refusal.NODE_OFFLINE, "the node is offline")
            node_row = tx.get(JobNodeRow, (row.number, node_id))
            if node_row is None:
                raise CloudError(Refusal.NO_UPDATE, "the job is not for this node")
            held = job_of(row).hold(replace(state_of(node_row), approved=True), self._ground.now_ms())
            if held is not None:
                raise CloudError(Refusal.NO_UPDATE, f"nothing to start: {held.value}")
            node_row.approved = True
            letter = self._hand_out(tx, row, node_row, self._otaurl(tx, row))
        self._changed(ota_job_id, node_id)
        self._send([letter])

    def on_status(self, node_id: str, report: OtaStatusReport) -> None:
        """A node reports on a job. Raises ``ValueError`` when it is no target of it: then there is nothing to keep."""
        now = self._ground.now_ms()
        known = ota_status_from_string(report.status)
        with self._ground.store.begin() as tx:
            found = tx.execute(
                select(JobRow, JobNodeRow)
                .join(JobNodeRow, JobNodeRow.job == JobRow.number)
                .where(JobRow.ota_job_id == (report.ota_job_id or ""), JobNodeRow.node_id == node_id)
            ).one_or_none()
            if found is None:
                raise ValueError("otastatus: no job with this ota_job_id has this node as a target")
            row, node_row = found
            status = None if known is None else NodeStatus(report.status)
            info = heard(report.additional_info)
            state = job_of(row).apply(state_of(node_row), rules.Report(status, info, now))
            write_state(node_row, state)
            ts = report.ts if report.ts is not None and 0 <= report.ts < 2**53 else None
            tx.add(
                ReportRow(
                    job=row.number,
                    node_id=node_id,
                    by_node=True,
                    status=heard(report.status, 32),
                    additional_info=info,
                    timestamp=now,
                    ts=ts,
                )
            )
        self._changed(row.ota_job_id, node_id)

    def _push(self, tx: Session, row: JobRow, node_ids: Sequence[str]) -> list[Letter]:
        """``force_push``: the URL to these nodes now, whatever they run; a node refuses its own version itself."""
        wanted = set(node_ids)
        rows = tx.scalars(select(JobNodeRow).where(JobNodeRow.job == row.number)).all()
        payload = self._otaurl(tx, row)
        return [self._hand_out(tx, row, node_row, payload) for node_row in rows if node_row.node_id in wanted]

    def _otaurl(self, tx: Session, row: JobRow) -> bytes:
        """The message that brings the job to a node, with a download link as fresh as it is."""
        image = tx.scalars(select(ImageRow).where(ImageRow.ota_image_id == row.ota_image_id)).one()
        return OtaUrl(
            ota_job_id=row.ota_job_id,
            url=self._images.url(row.ota_image_id),
            fw_version=row.fw_version,
            file_size=image.file_size,
            file_md5=image.file_md5,
            metadata=json.dumps(row.job_metadata) if row.job_metadata else None,
        ).encode()

    def _hand_out(self, tx: Session, row: JobRow, node_row: JobNodeRow, payload: bytes) -> Letter:
        """Note that the URL goes to a node, and address it."""
        before = state_of(node_row)
        after = rules.hand_out(before, self._ground.now_ms())
        self._move(tx, row, node_row, after)
        return Letter(
            topic(before.node_id, OTAURL),
            payload,
            about=row.ota_job_id,
            unsent=partial(
                self._ground.errands.do,
                f"a URL for node {before.node_id}",
                partial(self._take_back, row.ota_job_id, before, after),
            ),
        )

    def _take_back(self, ota_job_id: str, before: NodeState, after: NodeState) -> None:
        """The URL did not go out after all: the node's state is what it was, unless the node spoke since."""
        with self._ground.store.begin() as tx:
            row = job_row(tx, ota_job_id)
            node_row = tx.get_one(JobNodeRow, (row.number, before.node_id))
            if state_of(node_row) == after:
                write_state(node_row, before)
                lost = replace(before, additional_info="The URL was not sent", timestamp=self._ground.now_ms())
                tx.add(history_row(row.number, lost))
        self._changed(ota_job_id, before.node_id)

    def _move(self, tx: Session, row: JobRow, node_row: JobNodeRow, state: NodeState) -> None:
        """The cloud itself changes a node's state, and writes it down."""
        write_state(node_row, state)
        tx.add(history_row(row.number, state))

    def _send(self, letters: Iterable[Letter]) -> None:
        for letter in letters:
            self._outbox.put(letter)

    def _changed(self, ota_job_id: str, node_id: str = "") -> None:
        self._ground.live.publish("job", ota_job_id, node_id)
