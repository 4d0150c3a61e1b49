"""A job before it is started: which nodes it would be for, and by reason which of them would not take it.

Nothing is written and nothing is sent. Nodes that are alike in all that counts are judged once, so that ten thousand of
them cost little more than their rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Unpack

from sqlalchemy import Connection, exists, select

from py_esp_ota._core import inspect_image
from py_esp_ota.cloud import jobs as rules
from py_esp_ota.cloud.board_notes import Boards
from py_esp_ota.cloud.boards import NOTHING_KNOWN, BoardFacts
from py_esp_ota.cloud.ground import Ground
from py_esp_ota.cloud.images import Images, StoredImage
from py_esp_ota.cloud.job_book import JobBook
from py_esp_ota.cloud.jobs import OtaJob
from py_esp_ota.cloud.models import GroupRow, JobRow, NodeRow, NodeUserRow
from py_esp_ota.cloud.new_job import JobOptions, new_job
from py_esp_ota.cloud.node_book import NodeBook
from py_esp_ota.cloud.plan import AT_ONCE
from py_esp_ota.cloud.preview import (
    NO_LIMIT,
    REASONS,
    Certainty,
    ImageFacts,
    NodeFacts,
    Obstacle,
    Options,
    obstacles,
)
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.roles import LOCAL_ADMIN
from py_esp_ota.cloud.store import PAGE_SIZE, rows_of
from py_esp_ota.cloud.targets import Targets, image_of, wrong_chip_refusal
from py_esp_ota.cloud.turns import Turns

EXAMPLES = 3
"""Nodes that are named for each reason."""
READY = "ready"
"""What nodes are asked for by that have no obstacle at all."""
_KEPT_IMAGES = 64
_HINDERS = frozenset({Certainty.WILL_REFUSE, Certainty.MAY_REFUSE, Certainty.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Counted:
    """One reason, and the nodes that it applies to."""

    obstacle: Obstacle  # its sentence is that of the first example
    count: int
    examples: Sequence[str]


@dataclass(frozen=True, slots=True)
class Foretold:
    """One node, and what will keep it from the image, in the order in which it meets it."""

    node_id: str
    fw_version: str
    chip: str
    connected: bool
    connectivity_timestamp: int  # milliseconds: since when
    obstacles: Sequence[Obstacle]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a job would be."""

    job: OtaJob  # its sizes are there, an id it has none
    image: ImageFacts
    total: int
    offline: int
    ready: int  # nothing is known to hinder them; they may be offline or wait
    reasons: Sequence[Counted]
    refusal: CloudError | None  # what keeps the job from being started as it is
    page: Sequence[Foretold]
    page_total: int
    next_id: str | None
    earlier: str  # the newest job there is with this image


class Previews:
    """Looks ahead."""

    def __init__(
        self,
        ground: Ground,
        turns: Turns,
        jobs: JobBook,
        nodes: NodeBook,
        images: Images,
        targets: Targets,
        boards: Boards,
    ) -> None:
        self._ground = ground
        self._turns = turns
        self._jobs = jobs
        self._nodes = nodes
        self._images = images
        self._targets = targets
        self._boards = boards
        self._read: dict[str, ImageFacts] = {}  # by SHA-256 and what is noted of it

    def preview(
        self,
        name: str,
        ota_image_id: str,
        *,
        reason: str = "",
        start_id: str | None = None,
        num_records: int = PAGE_SIZE,
        **options: Unpack[JobOptions],
    ) -> Preview:
        """What the job would be that ``Jobs.create`` makes of the same words.

        Args:
            name: the job's.
            ota_image_id: what it brings.
            reason: list only nodes with this obstacle, or, by ``ready``, those without any; all when empty.
            start_id: list nodes from this id on.
            num_records: how many of them.
            **options: the rest.

        Raises:
            CloudError: as ``Jobs.create`` but for WRONG_CHIP, which is foretold as well; INVALID_REQUEST for a reason
                that is none.
        """
        if reason and reason not in {READY, *REASONS}:
            raise CloudError(Refusal.INVALID_REQUEST, f"reason is {READY} or one of {', '.join(REASONS)}")
        self._turns.catch_up()
        job = self.draft(name, ota_image_id, options)
        with self._ground.store.connect() as tx:
            version, chip = image_of(tx, ota_image_id)
            order, sizes = self._targets.resolve(tx, job)
            wrong = None if options.get("allow_wrong_chip") else wrong_chip_refusal(tx, chip, order)
            image = self._image(tx, ota_image_id)
            judged = self._judge(tx, order, image, job)
            earlier = _newest_of(tx, ota_image_id)
        chosen = [each for each in judged if _is_wanted(each, reason)]
        listed = [each for each in chosen if each.node_id >= (start_id or "")]
        return Preview(
            job=replace(job, fw_version=version, sizes=sizes),
            image=image,
            total=len(judged),
            offline=sum(not each.connected for each in judged),
            ready=sum(not any(obstacle.certainty in _HINDERS for obstacle in each.obstacles) for each in judged),
            reasons=_counted(judged),
            refusal=wrong,
            page=listed[:num_records],
            page_total=len(chosen),
            next_id=listed[num_records].node_id if len(listed) > num_records else None,
            earlier=earlier,
        )

    def groups(self) -> list[tuple[str, str]]:
        """Id and name of each group that a job can be for, by name."""
        query = select(GroupRow.group_id, GroupRow.group_name).where(GroupRow.user_id == "")
        with self._ground.store.connect() as tx:
            return [(row.group_id, row.group_name) for row in tx.execute(query.order_by(GroupRow.group_name))]

    def draft(self, name: str, ota_image_id: str, options: JobOptions) -> OtaJob:
        """The job in these words, without an id, its nodes not yet found. Raises ``CloudError`` as ``new_job``."""
        return new_job(
            "",
            name,
            ota_image_id,
            self._ground.now_ms(),
            nodes=options.get("nodes", ()),
            groups=options.get("groups", ()),
            metadata=options.get("metadata"),
            description=options.get("description", ""),
            priority=options.get("priority", rules.DEFAULT_PRIORITY),
            timeout=options.get("timeout", rules.DEFAULT_TIMEOUT_S),
            force_push=options.get("force_push", False),
            user_approval=options.get("user_approval", False),
            notify=options.get("notify", False),
            continuous=options.get("continuous", False),
            network_serialised=options.get("network_serialised", False),
            admin_id=options.get("admin_id") or "",
            plan=options.get("plan", AT_ONCE),
            max_fetch_cycles=rules.DEFAULT_FETCH_CYCLES,
        )

    def _image(self, tx: Connection, ota_image_id: str) -> ImageFacts:
        """What an image says of itself; what was read once is remembered."""
        stored = self._images.within(tx, ota_image_id)
        if ota_image_id not in self._read:
            if len(self._read) >= _KEPT_IMAGES:
                self._read.clear()
            self._read[ota_image_id] = _facts_of(stored, self._images.firmware(tx, ota_image_id).data)
        return self._read[ota_image_id]

    # ------------------------------------------------------------------------------------------------------------ judge

    def _judge(self, tx: Connection, order: Sequence[str], image: ImageFacts, job: OtaJob) -> list[Foretold]:
        """Every node, by id."""
        options = Options(force_push=job.force_push, user_approval=job.user_approval)
        boards = self._boards.within(tx, order)
        known: dict[tuple[object, ...], tuple[Obstacle, ...]] = {}
        found = []
        for row in _rows(tx, order):
            online, board = row.node_id in self._nodes.online, boards.get(row.node_id, NOTHING_KNOWN)
            before = self._before(row.node_id, job)
            key = (row.fw_version, row.project_name, row.platform, online, row.has_user, before, id(board))
            if key not in known:
                known[key] = obstacles(image, _facts(row, online, before, board), options)
            found.append(
                Foretold(
                    row.node_id,
                    row.fw_version,
                    row.platform or board.chip,
                    online,
                    row.connectivity_timestamp,
                    known[key],
                )
            )
        return found

    def _before(self, node_id: str, job: OtaJob) -> str:
        """The open job that a node gets before this one; "" when there is none."""
        offers = ((self._jobs.standing(each), self._jobs.state(each, node_id)) for each in self._jobs.jobs_of(node_id))
        earlier = [
            (standing.job.priority, standing.job.ota_job_id)
            for standing, state in offers
            if standing is not None and state is not None and not state.closed and standing.job.priority < job.priority
        ]
        return min(earlier)[1] if earlier else ""


def _newest_of(tx: Connection, ota_image_id: str) -> str:
    query = select(JobRow.ota_job_id).where(JobRow.ota_image_id == ota_image_id)
    return str(tx.execute(query.order_by(JobRow.number.desc()).limit(1)).scalar_one_or_none() or "")


def _rows(tx: Connection, order: Sequence[str]) -> Sequence[Any]:
    has_user = exists().where(NodeUserRow.node_id == NodeRow.node_id, NodeUserRow.user_id != LOCAL_ADMIN)
    columns = (NodeRow.node_id, NodeRow.fw_version, NodeRow.project_name, NodeRow.platform)
    query = select(*columns, NodeRow.connectivity_timestamp, has_user.label("has_user"))
    ids = select(rows_of(tx, order).c.value)
    return tx.execute(query.where(NodeRow.node_id.in_(ids)).order_by(NodeRow.node_id)).all()


def _facts(row: Any, online: bool, before: str, board: BoardFacts) -> NodeFacts:
    return NodeFacts(
        version=row.fw_version,
        project=row.project_name,
        chip=row.platform,
        online=online,
        has_user=bool(row.has_user),
        before=before,
        board=board,
    )


def _facts_of(stored: StoredImage, data: bytes) -> ImageFacts:
    """The version is the one that it is stored under, which the cloud compares; the node compares the descriptor's."""
    info = inspect_image(data)
    desc, header = info.app_desc, info.header
    return ImageFacts(
        project=desc.project_name if desc else stored.model,
        version=stored.fw_version,
        chip=stored.chip,
        size=stored.file_size,
        secure_version=desc.secure_version if desc else 0,
        min_chip_revision=header.min_chip_rev_full if header else 0,
        max_chip_revision=header.max_chip_rev_full if header else NO_LIMIT,
        signed=bool(info.signature),
    )


def _is_wanted(node: Foretold, reason: str) -> bool:
    if reason == READY:
        return not any(obstacle.certainty in _HINDERS for obstacle in node.obstacles)
    return not reason or any(obstacle.reason == reason for obstacle in node.obstacles)


def _counted(judged: Sequence[Foretold]) -> list[Counted]:
    """By reason, in the order of the rules."""
    first: dict[str, Obstacle] = {}
    nodes: dict[str, list[str]] = {}
    for node in judged:
        for obstacle in node.obstacles:
            first.setdefault(obstacle.reason, obstacle)
            nodes.setdefault(obstacle.reason, []).append(node.node_id)
    return [
        Counted(first[reason], len(nodes[reason]), nodes[reason][:EXAMPLES]) for reason in REASONS if reason in nodes
    ]
