"""Rows of groups, and SQL that says which nodes are in one: always one statement, however many nodes it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, and_, exists, false, or_, select, true

from py_esp_ota.cloud.group_rules import Group, NodeQuery
from py_esp_ota.cloud.jobs import ALL_NODES
from py_esp_ota.cloud.models import GroupNodeRow, GroupRow, NodeRow, NodeTagRow, NodeUserRow
from py_esp_ota.cloud.refusals import CloudError, Refusal

GROUP: Table = GroupRow.__table__  # type: ignore[assignment]
MEMBER: Table = GroupNodeRow.__table__  # type: ignore[assignment]
_NODE: Table = NodeRow.__table__  # type: ignore[assignment]
_TAG: Table = NodeTagRow.__table__  # type: ignore[assignment]
_USER: Table = NodeUserRow.__table__  # type: ignore[assignment]

_COLUMNS = {
    "node_type": _NODE.c.type,
    "node_model": _NODE.c.model,
    "node_fw_version": _NODE.c.fw_version,
    "node_chip": _NODE.c.platform,
    "node_project": _NODE.c.project_name,
}


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose groups, and which nodes of them: a user's own, or those that an admin, or with ``""`` any, has claimed."""

    user_id: str = ""  # empty: the groups of the admins
    admin_id: str = ""

    @property
    def groups(self) -> ColumnElement[bool]:
        """The groups it is about."""
        return GROUP.c.user_id == self.user_id

    @property
    def nodes(self) -> ColumnElement[bool]:
        """The nodes it is about."""
        if self.user_id:
            return exists().where(_USER.c.node_id == _NODE.c.node_id, _USER.c.user_id == self.user_id)
        return _NODE.c.admin_id == self.admin_id if self.admin_id else true()


def group_of(row: Row[Any]) -> Group:
    """The value of a row."""
    return Group(
        group_id=row.group_id,
        group_name=row.group_name,
        user_id=row.user_id,
        parent_group_id=row.parent_group_id,
        type=row.type,
        description=row.description,
        mutually_exclusive=row.mutually_exclusive,
        is_matter=row.is_matter,
        query=NodeQuery.from_json(row.group_query),
        custom_data=row.custom_data,
        group_metadata=row.group_metadata,
        created_timestamp=row.created_timestamp,
    )


def columns_of_group(group: Group) -> dict[str, Any]:
    """The row of a value."""
    names = ("group_id", "group_name", "user_id", "parent_group_id", "type", "description", "mutually_exclusive")
    columns = {name: getattr(group, name) for name in (*names, "is_matter", "created_timestamp")}
    documents = {"custom_data": dict(group.custom_data), "group_metadata": dict(group.group_metadata)}
    return {**columns, **documents, "group_query": group.query.to_json()}


def find_group(tx: Connection, group_id: str, scope: Scope) -> Group:
    """One group. Raises ``CloudError`` (GROUP_UNKNOWN)."""
    row = tx.execute(select(GROUP).where(GROUP.c.group_id == group_id, scope.groups)).one_or_none()
    if row is None:
        raise CloudError(Refusal.GROUP_UNKNOWN, f"there is no group {group_id[:64]}")
    return group_of(row)


def nodes_of(group: Group, scope: Scope) -> Select[Any]:
    """The ids of its nodes, by id."""
    return select(_NODE.c.node_id).where(_in(group), scope.nodes).order_by(_NODE.c.node_id)


def nodes_within(scope: Scope, node_ids: Sequence[str]) -> Select[Any]:
    """Which of these there are in a scope."""
    return select(_NODE.c.node_id).where(_NODE.c.node_id.in_(node_ids), scope.nodes)


def holds_node(groups: Sequence[Group], node_id: str, scope: Scope) -> Select[Any]:
    """The node, if it is in one of these groups."""
    among = or_(false(), *(_in(group) for group in groups))
    return select(_NODE.c.node_id).where(_NODE.c.node_id == node_id, among, scope.nodes)


EVERY_NODE = Group(group_id=ALL_NODES, group_name="All nodes")
"""The group that is always there."""


def _in(group: Group) -> ColumnElement[bool]:
    if group.group_id == ALL_NODES:
        return true()
    return _agrees(group.query.to_json()) if group.query else _put_into(group.group_id)


def _agrees(query: Mapping[str, str]) -> ColumnElement[bool]:
    conditions = [column == query[name] for name, column in _COLUMNS.items() if name in query]
    if "node_presence" in query:
        conditions.append(_NODE.c.connected.is_(query["node_presence"] == "online"))
    if "node_tag" in query:
        conditions.append(exists().where(_TAG.c.node_id == _NODE.c.node_id, _TAG.c.tag == query["node_tag"]))
    return and_(true(), *conditions)


def _put_into(group_id: str) -> ColumnElement[bool]:
    """Whether a node was put into a group, or into one below it."""
    tree = select(GROUP.c.group_id).where(GROUP.c.group_id == group_id).cte("tree", recursive=True)
    tree = tree.union(select(GROUP.c.group_id).where(GROUP.c.parent_group_id == tree.c.group_id))
    return exists().where(MEMBER.c.node_id == _NODE.c.node_id, MEMBER.c.group_id.in_(select(tree.c.group_id)))
