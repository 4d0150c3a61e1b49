"""Which nodes a job is for, in the order in which it comes to them, and which of them have another chip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, func, select

from py_esp_ota.cloud.groups import Groups
from py_esp_ota.cloud.jobs import OtaJob
from py_esp_ota.cloud.models import ImageRow, NodeRow
from py_esp_ota.cloud.nodes import Nodes
from py_esp_ota.cloud.plan import GROUP, sizes_of
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.store import rows_of

_NAMED = 3
"""Nodes that a refusal names."""


class Targets:
    """Makes of a job's nodes and groups the nodes that it is for."""

    def __init__(self, nodes: Nodes, groups: Groups) -> None:
        self._nodes = nodes
        self._groups = groups

    def resolve(self, tx: Connection, job: OtaJob) -> tuple[list[str], tuple[int, ...]]:
        """The job's target nodes, in its order, and how many each of its phases takes.

        Nodes that are named come as they are named. Those of a group come in the order of their ids read from behind,
        so that the first hundred are not all of one batch of the factory. A group that a phase names stands in front.

        Raises:
            CloudError: NODE_NOT_OF_USER, GROUP_UNKNOWN, JOB_TARGETS, JOB_PLAN.
        """
        named = self._nodes.claimed(tx, job.admin_id or None, job.nodes)
        missing = [node_id for node_id in job.nodes if node_id not in set(named)]
        if missing:
            raise CloudError(Refusal.NODE_NOT_OF_USER, f"unknown nodes: {', '.join(missing[:5])}"[:500], nodes=missing)
        members = {each: self._groups.members(tx, each, job.admin_id) for each in job.groups}
        groups = {each: sorted(node_ids, key=_backwards) for each, node_ids in members.items()}
        order: dict[str, None] = {}
        in_front: dict[str, int] = {}
        for group_id in (each.removeprefix(GROUP) for each in job.plan.phases if each.startswith(GROUP)):
            if group_id not in groups:
                raise CloudError(Refusal.JOB_PLAN, f"plan.phases: {group_id[:64]} is none of the job's groups")
            before = len(order)
            order |= dict.fromkeys(groups[group_id])
            in_front[group_id] = len(order) - before
        order |= dict.fromkeys(job.nodes)
        for node_ids in groups.values():
            order |= dict.fromkeys(node_ids)
        if not order and not job.continuous:
            raise CloudError(Refusal.JOB_TARGETS, "there is no node yet that the job could be for")
        return list(order), _sizes(job, len(order), in_front)


def image_of(tx: Connection, ota_image_id: str) -> tuple[str, str]:
    """Version and chip of an image that may start a job. Raises ``CloudError`` (IMAGE_UNKNOWN, IMAGE_ARCHIVED)."""
    query = select(ImageRow.fw_version, ImageRow.chip, ImageRow.archived)
    row = tx.execute(query.where(ImageRow.ota_image_id == ota_image_id)).one_or_none()
    if row is None:
        raise CloudError(Refusal.IMAGE_UNKNOWN, "there is no image with this ota_image_id")
    if row.archived:
        raise CloudError(Refusal.IMAGE_ARCHIVED, "an archived image starts no job; unarchive it first")
    return row.fw_version, row.chip


def wrong_chip_refusal(tx: Connection, chip: str, node_ids: Sequence[str]) -> CloudError | None:
    """The refusal of a job that has nodes of another chip than its image; ``None`` where nobody says he has one."""
    ids = select(rows_of(tx, node_ids).c.value)
    other = (NodeRow.node_id.in_(ids), NodeRow.platform.not_in(["", chip]))
    count = tx.scalar(select(func.count()).where(*other)) if chip and node_ids else 0
    if not count:
        return None
    query = select(NodeRow.node_id, NodeRow.platform).where(*other).order_by(NodeRow.node_id).limit(_NAMED)
    first = [f"{row.node_id} ({row.platform})" for row in tx.execute(query)]
    more = f" and {count - len(first)} more" if count > len(first) else ""
    return CloudError(
        Refusal.WRONG_CHIP,
        f"the image is for {chip}, and {count} of {len(node_ids)} nodes have another chip: {', '.join(first)}{more}; "
        "allow_wrong_chip starts the job all the same"[:500],
        count=count,
    )


def wrong_chip(tx: Connection, ota_image_id: str, node_id: str) -> str:
    """Why a node that joins a job is not for its image, in a few words; empty when nothing is known against it."""
    chip = tx.scalar(select(ImageRow.chip).where(ImageRow.ota_image_id == ota_image_id)) or ""
    platform = tx.scalar(select(NodeRow.platform).where(NodeRow.node_id == node_id)) or ""
    other = chip and platform and platform != chip
    return f"the image is for {chip}, the node is {platform}" if other else ""


def _backwards(node_id: str) -> str:
    return node_id[::-1]


def _sizes(job: OtaJob, total: int, in_front: Mapping[str, int]) -> tuple[int, ...]:
    try:
        return sizes_of(job.plan.phases, total, in_front)
    except ValueError as error:
        raise CloudError(Refusal.JOB_PLAN, str(error)) from None
