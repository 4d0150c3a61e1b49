"""Groups of nodes."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, select

from py_esp_ota.cloud.ground import Ground
from py_esp_ota.cloud.jobs import ALL_NODES
from py_esp_ota.cloud.models import NodeRow
from py_esp_ota.cloud.refusals import CloudError, Refusal


class Groups:
    """Which nodes a group has."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def members(self, tx: Connection, group_id: str, admin_id: str = "") -> list[str]:
        """The nodes of a group that ``admin_id``, or anybody, has claimed, by id.

        Raises:
            CloudError: GROUP_UNKNOWN.
        """
        if group_id != ALL_NODES:
            raise CloudError(Refusal.GROUP_UNKNOWN, f"there is no group {group_id[:64]}")
        query = select(NodeRow.node_id)
        if admin_id:
            query = query.where(NodeRow.admin_id == admin_id)
        return list(tx.scalars(query.order_by(NodeRow.node_id)).all())

    def holds(self, tx: Connection, group_ids: Sequence[str], node_id: str, admin_id: str = "") -> bool:
        """Whether a node that ``admin_id``, or anybody, has claimed is in one of these groups now."""
        if ALL_NODES not in group_ids:
            return False
        query = select(NodeRow.node_id).where(NodeRow.node_id == node_id)
        if admin_id:
            query = query.where(NodeRow.admin_id == admin_id)
        return tx.execute(query).first() is not None
