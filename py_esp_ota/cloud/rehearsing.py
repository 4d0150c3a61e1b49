"""Writing rehearsals: a job, started or only planned, with all that is known of the boards below its nodes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Unpack

from sqlalchemy import Connection, select

from py_esp_ota._core import inspect_image
from py_esp_ota.cloud.board_notes import Boards
from py_esp_ota.cloud.boards import NOTHING_KNOWN
from py_esp_ota.cloud.ground import Ground
from py_esp_ota.cloud.images import Images
from py_esp_ota.cloud.jobs import NodeStatus, OtaJob, metadata_problem
from py_esp_ota.cloud.models import ImageRow, JobNodeRow, NodeRow
from py_esp_ota.cloud.new_job import JobOptions
from py_esp_ota.cloud.node_book import NodeBook
from py_esp_ota.cloud.otajobs import Jobs
from py_esp_ota.cloud.previews import Previews
from py_esp_ota.cloud.progress import phase_of
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.rehearsals import MOST, Copy, Rehearsal, RehearsedJob
from py_esp_ota.cloud.store import rows_of
from py_esp_ota.cloud.targets import Targets
from py_esp_ota.cloud.turns import Turns

RUNNING_IMAGES = 12
RUNNING_BYTES = 16 << 20
"""Images of running firmware that go along, those that most nodes run; the others are forged where it is played."""


class Rehearsing:
    """Writes the rehearsal of a job. Nothing of the cloud changes by it."""

    def __init__(
        self,
        ground: Ground,
        turns: Turns,
        jobs: Jobs,
        nodes: NodeBook,
        images: Images,
        previews: Previews,
        targets: Targets,
        boards: Boards,
    ) -> None:
        self._ground = ground
        self._turns = turns
        self._jobs = jobs
        self._nodes = nodes
        self._images = images
        self._previews = previews
        self._targets = targets
        self._boards = boards

    def of_job(self, ota_job_id: str) -> Rehearsal:
        """A job as it stands: for the nodes of it that have not the update, as if it began now.

        Raises:
            CloudError: JOB_UNKNOWN, IMAGE_UNKNOWN, REHEARSAL_REFUSED.
        """
        self._turns.catch_up()
        job = self._jobs.get(ota_job_id).job
        with self._ground.store.connect() as tx:
            columns = (JobNodeRow.node_id, JobNodeRow.status)
            query = select(*columns).where(JobNodeRow.job == job.number).order_by(JobNodeRow.position)
            rows = tx.execute(query).all()
            open_ = [(at, row.node_id) for at, row in enumerate(rows) if row.status != NodeStatus.SUCCESS.value]
            if not open_:
                raise _refused("every node of the job has the update: there is nothing left to rehearse")
            phases = [phase_of(job.sizes, at) for at, _ in open_]
            sizes = tuple(size for phase in range(len(job.sizes)) if (size := phases.count(phase)))
            return self._written(tx, job, [node_id for _, node_id in open_], sizes, left_out=len(rows) - len(open_))

    def of_draft(self, name: str, ota_image_id: str, **options: Unpack[JobOptions]) -> Rehearsal:
        """A job that is only planned, in the words of ``Jobs.create``.

        Raises:
            CloudError: as ``Jobs.create`` but for WRONG_CHIP, REHEARSAL_REFUSED.
        """
        self._turns.catch_up()
        job = self._previews.draft(name, ota_image_id, options)
        with self._ground.store.connect() as tx:
            order, sizes = self._targets.resolve(tx, job)
            job = replace(job, fw_version=self._images.within(tx, ota_image_id).fw_version)
            return self._written(tx, job, order, sizes)

    def _written(
        self, tx: Connection, job: OtaJob, order: Sequence[str], sizes: tuple[int, ...], left_out: int = 0
    ) -> Rehearsal:
        now = self._ground.now_ms()
        problems = (
            (not order, "the job has no node yet"),
            (len(order) > MOST, f"at most {MOST} nodes are rehearsed at once, the job has {len(order)}"),
            ((wrong := metadata_problem(job.metadata, now)) is not None, wrong or ""),
        )
        for applies, sentence in problems:
            if applies:
                raise _refused(sentence)
        stored = self._images.within(tx, job.ota_image_id)
        images = {stored.file_sha256: self._images.firmware(tx, job.ota_image_id).data}
        copies = self._copies(tx, order)
        running = self._running(tx, copies)
        images |= dict(running.values())
        of = {kind: sha256 for kind, (sha256, _) in running.items()}
        phases = len(sizes) > 1
        plan = replace(job.plan, phases=tuple(str(size) for size in sizes) if phases else ())
        return Rehearsal(
            now=now,
            job=RehearsedJob(
                name=job.ota_job_name,
                image=stored.file_sha256,
                model=stored.model,
                fw_version=job.fw_version,
                metadata=job.metadata,
                priority=job.priority,
                timeout=job.timeout,
                force_push=job.force_push,
                max_fetch_cycles=job.max_fetch_cycles,
                plan=plan,
                sizes=sizes,
            ),
            nodes=tuple(replace(copy, image=of.get(_kind(copy), "")) for copy in copies),
            images=images,
            left_out=left_out,
            simplified=tuple(_simplified(job)),
        )

    def _copies(self, tx: Connection, order: Sequence[str]) -> list[Copy]:
        boards = self._boards.within(tx, order)
        columns = (NodeRow.node_id, NodeRow.platform, NodeRow.project_name, NodeRow.fw_version)
        ids = select(rows_of(tx, order).c.value)
        known = {row.node_id: row for row in tx.execute(select(*columns).where(NodeRow.node_id.in_(ids)))}
        found = []
        for node_id in order:
            row: Any = known.get(node_id)  # of one that was removed nothing is known
            found.append(
                Copy(
                    node_id=node_id,
                    chip=row.platform if row else "",
                    project=row.project_name if row else "",
                    version=row.fw_version if row else "",
                    online=node_id in self._nodes.online,
                    board=boards.get(node_id, NOTHING_KNOWN),
                )
            )
        return found

    def _running(self, tx: Connection, copies: Iterable[Copy]) -> dict[tuple[str, str, str], tuple[str, bytes]]:
        """What the copies run, where the cloud has it: by kind its SHA-256 and its bytes."""
        counts: dict[tuple[str, str, str], int] = {}
        for copy in copies:
            counts[_kind(copy)] = counts.get(_kind(copy), 0) + 1
        wanted = sorted((kind for kind in counts if all(kind)), key=lambda kind: (-counts[kind], kind))
        found: dict[tuple[str, str, str], tuple[str, bytes]] = {}
        for chip, project, version in wanted[:RUNNING_IMAGES]:
            query = select(ImageRow.ota_image_id).where(ImageRow.chip == chip, ImageRow.fw_version == version)
            for ota_image_id in tx.scalars(query.order_by(ImageRow.number.desc())):
                data = self._images.firmware(tx, ota_image_id).data
                desc = inspect_image(data).app_desc
                if desc is not None and (desc.project_name, desc.version) == (project, version):
                    if sum(len(data) for _, data in found.values()) + len(data) > RUNNING_BYTES:
                        return found
                    found[chip, project, version] = self._images.within(tx, ota_image_id).file_sha256, data
                    break
        return found


def _kind(copy: Copy) -> tuple[str, str, str]:
    return copy.chip or copy.board.chip, copy.project, copy.version


def _simplified(job: OtaJob) -> list[str]:
    """What of the job is not played."""
    sentences = {
        "Nobody restarts a device: one that is online and gets no push asks when its fetch period says so, "
        "which by default is never.": not job.force_push,
        "Users approve the update as soon as it is there.": job.user_approval,
        "No node joins the groups while the job runs.": job.continuous,
        "Nodes of one network do not wait for each other.": job.network_serialised,
    }
    return [sentence for sentence, applies in sentences.items() if applies]


def _refused(why: str) -> CloudError:
    return CloudError(Refusal.REHEARSAL_REFUSED, why)
