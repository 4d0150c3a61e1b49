"""Groups of nodes: of the admins, static or chosen by a query, and of users, up to three levels deep.

Which nodes a dynamic group has is asked whenever somebody wants to know, so that it is never out of date: a node that
changes its model, or is forgotten, is out of it from then on. A group has the nodes of those below it as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Text, cast, delete, func, insert, select, update
from sqlalchemy.orm import Session

from py_esp_ota.cloud.event_log import append
from py_esp_ota.cloud.events import THE_ADMIN, By, Event, Kind
from py_esp_ota.cloud.ground import Ground
from py_esp_ota.cloud.group_rows import (
    EVERY_NODE,
    GROUP,
    MEMBER,
    Scope,
    columns_of_group,
    find_group,
    group_of,
    holds_node,
    nodes_of,
    nodes_within,
)
from py_esp_ota.cloud.group_rules import (
    ANYTHING,
    GROUPS_LIMIT,
    NODES_LIMIT,
    Group,
    NodeQuery,
    check_place,
    checked,
    refuse_nodes,
    tree,
)
from py_esp_ota.cloud.job_book import JobBook
from py_esp_ota.cloud.job_rows import JobView, view_of
from py_esp_ota.cloud.jobs import ALL_NODES
from py_esp_ota.cloud.models import JobRow
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.store import PAGE_SIZE, Page
from py_esp_ota.cloud.texts import number_or_refuse
from py_esp_ota.cloud.turns import Turns


@dataclass(frozen=True, slots=True)
class GroupView:
    """A group, how many nodes it has, and the groups below it."""

    group: Group
    total: int
    sub_groups: Sequence[GroupView] = ()


class Groups:
    """Makes groups, changes them, and says which nodes they have.

    ``on_added`` is told of nodes that have come into a group by somebody's hand.
    """

    def __init__(self, ground: Ground, turns: Turns, book: JobBook) -> None:
        self._ground = ground
        self._turns = turns
        self._book = book
        self.on_added: Callable[[Iterable[str]], None] = _nobody

    # -------------------------------------------------------------------------------------------------------- for jobs

    def members(self, tx: Connection, group_id: str, admin_id: str = "") -> list[str]:
        """The nodes of an admins' group that ``admin_id``, or anybody, has claimed, by id.

        Raises:
            CloudError: GROUP_UNKNOWN.
        """
        scope = Scope(admin_id=admin_id)
        group = EVERY_NODE if group_id == ALL_NODES else find_group(tx, group_id, scope)
        return list(tx.scalars(nodes_of(group, scope)).all())

    def holds(self, tx: Connection, group_ids: Sequence[str], node_id: str, admin_id: str = "") -> bool:
        """Whether a node that ``admin_id``, or anybody, has claimed is in one of these groups now."""
        scope = Scope(admin_id=admin_id)
        rows = tx.execute(select(GROUP).where(GROUP.c.group_id.in_(group_ids), scope.groups)) if group_ids else ()
        groups = [*([EVERY_NODE] if ALL_NODES in group_ids else []), *(group_of(row) for row in rows)]
        return tx.execute(holds_node(groups, node_id, scope)).first() is not None

    def names(self, group_ids: Sequence[str]) -> dict[str, str]:
        """What the admins' groups are called; one that is gone is not in it."""
        with self._ground.store.connect() as tx:
            query = select(GROUP.c.group_id, GROUP.c.group_name).where(GROUP.c.group_id.in_(group_ids))
            found = {row.group_id: row.group_name for row in tx.execute(query)}
        return found | ({ALL_NODES: EVERY_NODE.group_name} if ALL_NODES in group_ids else {})

    def jobs(self, group_id: str, num_records: int = PAGE_SIZE) -> list[JobView]:
        """The jobs that were started for a group, newest first."""
        query = select(JobRow).where(cast(JobRow.groups, Text).contains(f'"{group_id}"', autoescape=True))
        with self._ground.store.begin() as tx:
            return [view_of(row) for row in tx.scalars(query.order_by(JobRow.number.desc()).limit(num_records))]

    # ------------------------------------------------------------------------------------------------------------ read

    def find(
        self,
        scope: Scope,
        *,
        name: str | None = None,
        search: str = "",
        query: NodeQuery = ANYTHING,
        start_id: str | None = None,
        num_records: int = PAGE_SIZE,
    ) -> Page[GroupView]:
        """The topmost groups in the order of their making, each with those below it.

        With a ``name``, a piece to ``search`` for or a ``query`` it is those of any level that have it.
        """
        self._turns.catch_up()
        start = number_or_refuse(start_id)
        wanted = select(GROUP).where(scope.groups)
        if name is not None:
            wanted = wanted.where(GROUP.c.group_name == name)
        if search:
            wanted = wanted.where(GROUP.c.group_name.icontains(search, autoescape=True))
        if name is None and not search and not query:
            wanted = wanted.where(GROUP.c.parent_group_id == "")
        with self._ground.store.connect() as tx:
            rows = [row for row in tx.execute(wanted.order_by(GROUP.c.number)) if _asks(row.group_query, query)]
            later = [row for row in rows if start is None or row.number >= start]
            below = self._below(tx, scope)
            items = [self._view(tx, group_of(row), scope, below) for row in later[:num_records]]
        following = str(later[num_records].number) if len(later) > num_records else None
        return Page(items, len(rows), following)

    def get(self, scope: Scope, group_id: str) -> GroupView:
        """One group with those below it. Raises ``CloudError`` (GROUP_UNKNOWN)."""
        self._turns.catch_up()
        with self._ground.store.connect() as tx:
            return self._view(tx, find_group(tx, group_id, scope), scope, self._below(tx, scope))

    def nodes(self, scope: Scope, group_id: str, start_id: str | None = None, num_records: int = 0) -> Page[str]:
        """The nodes of a group by id, or ``num_records`` of them. Raises ``CloudError`` (GROUP_UNKNOWN)."""
        self._turns.catch_up()
        with self._ground.store.connect() as tx:
            found: list[str] = list(tx.scalars(nodes_of(find_group(tx, group_id, scope), scope)).all())
        later = [node_id for node_id in found if node_id >= (start_id or "")]
        following = later[num_records] if 0 < num_records < len(later) else None
        return Page(later[:num_records] if num_records else later, len(found), following)

    def count(self, query: NodeQuery, admin_id: str = "") -> int:
        """How many nodes agree with a query now."""
        self._turns.catch_up()
        with self._ground.store.connect() as tx:
            return _count(tx, Group(group_id="", group_name="", query=query), Scope(admin_id=admin_id)) if query else 0

    @staticmethod
    def _below(tx: Connection, scope: Scope) -> dict[str, list[Group]]:
        found: dict[str, list[Group]] = {}
        for row in tx.execute(
            select(GROUP).where(scope.groups, GROUP.c.parent_group_id != "").order_by(GROUP.c.number)
        ):
            found.setdefault(row.parent_group_id, []).append(group_of(row))
        return found

    def _view(self, tx: Connection, group: Group, scope: Scope, below: Mapping[str, Sequence[Group]]) -> GroupView:
        inner = tuple(self._view(tx, each, scope, below) for each in below.get(group.group_id, ()))
        return GroupView(group, _count(tx, group, scope), inner)

    # ---------------------------------------------------------------------------------------------------------- change

    def create(
        self,
        scope: Scope,
        group_name: str,
        *,
        nodes: Sequence[str] = (),
        query: NodeQuery = ANYTHING,
        parent_group_id: str = "",
        by: By = THE_ADMIN,
        **more: Any,
    ) -> Group:
        """A new group, static with ``nodes``, or dynamic with a ``query``, which only admins have.

        Raises:
            CloudError: INVALID_REQUEST, GROUP_REFUSED, GROUP_NAME_TAKEN, GROUP_UNKNOWN (the parent), NODE_NOT_OF_USER.
        """
        if query and (nodes or parent_group_id):
            raise CloudError(Refusal.GROUP_REFUSED, "a query chooses the nodes: it goes with no nodes and no parent")
        group = Group(
            group_id=self._ground.ids.group(),
            user_id=scope.user_id,
            parent_group_id=parent_group_id,
            query=query,
            created_timestamp=self._ground.now_ms(),
            **checked({**more, "group_name": group_name}),
        )
        self._turns.catch_up()
        with self._ground.store.begin() as session:
            tx = session.connection()
            parents = self._parents(tx, scope)
            if scope.user_id and len(parents) >= GROUPS_LIMIT:
                raise CloudError(Refusal.GROUP_REFUSED, f"{GROUPS_LIMIT} groups of one user are enough")
            self._place(tx, parents, group, scope)
            tx.execute(insert(GROUP), columns_of_group(group))
            added = _put(tx, group, nodes, scope)
            _check_exclusive(tx, {**parents, group.group_id: parent_group_id}, group.group_id)
            told = {"nodes": added} | ({"group_query": query.to_json()} if query else {})
            self._tell(session, Kind.GROUP_CREATED, group, by, told)
        self._changed(group.group_id, added)
        return group

    def change(
        self,
        scope: Scope,
        group_id: str,
        *,
        add: Sequence[str] = (),
        remove: Sequence[str] = (),
        query: NodeQuery | None = None,
        parent_group_id: str | None = None,
        by: By = THE_ADMIN,
        **more: Any,
    ) -> Group:
        """A group is called otherwise, hangs elsewhere, gets nodes or loses some; all of it or nothing.

        Nodes that are taken out leave the groups below it, too; of one that is not in it that is no error.

        Raises:
            CloudError: INVALID_REQUEST, GROUP_REFUSED, GROUP_NAME_TAKEN, GROUP_UNKNOWN, NODE_NOT_OF_USER.
        """
        self._turns.catch_up()
        with self._ground.store.begin() as session:
            tx = session.connection()
            before = find_group(tx, group_id, scope)
            wanted = checked(more)
            if query is not None:
                _check_query(before, query)
                wanted["query"] = query
            if parent_group_id is not None:
                wanted["parent_group_id"] = parent_group_id
            group = replace(before, **wanted)
            parents = self._parents(tx, scope) | {group_id: group.parent_group_id}
            if (group.group_name, group.parent_group_id) != (before.group_name, before.parent_group_id):
                self._place(tx, self._parents(tx, scope), group, scope)
            if group != before:
                tx.execute(update(GROUP).where(GROUP.c.group_id == group_id).values(columns_of_group(group)))
            taken = _take(tx, group, tree(parents, group_id), remove, scope)
            added = _put(tx, group, add, scope)
            _check_exclusive(tx, parents, group_id)
            told = {"added": added, "removed": taken, "changed": _json_of(before, group)}
            said = {name: value for name, value in told.items() if value}
            if said:
                self._tell(session, Kind.GROUP_CHANGED, group, by, said)
        self._changed(group_id, added)
        return group

    def regroup(self, scope: Scope, group_id: str, by: By = THE_ADMIN) -> int:
        """Ask a dynamic group's query again, for the continuous jobs that its nodes join; how many nodes it has.

        Raises:
            CloudError: GROUP_UNKNOWN, GROUP_REFUSED.
        """
        found = self.nodes(scope, group_id).items
        with self._ground.store.begin() as session:
            group = find_group(session.connection(), group_id, scope)
            if not group.query:
                raise CloudError(Refusal.GROUP_REFUSED, "only a group with a query can be regrouped")
            self._tell(session, Kind.GROUP_CHANGED, group, by, {"regrouped": len(found)})
        self._changed(group_id, found)
        return len(found)

    def remove(self, scope: Scope, group_id: str, by: By = THE_ADMIN) -> None:
        """The end of a group and of those below it; the nodes stay.

        Raises:
            CloudError: GROUP_UNKNOWN, GROUP_REFUSED: a continuous job still takes nodes from it.
        """
        with self._ground.store.begin() as session:
            tx = session.connection()
            find_group(tx, group_id, scope)
            gone = tree(self._parents(tx, scope), group_id)
            for ota_job_id in self._book.continuous:
                standing = self._book.standing(ota_job_id)
                if standing is not None and not set(gone).isdisjoint(standing.job.groups):
                    name = standing.job.ota_job_name
                    raise CloudError(Refusal.GROUP_REFUSED, f"nodes still join the job {name!r} from it: cancel that")
            for each in reversed(gone):
                self._tell(session, Kind.GROUP_DELETED, find_group(tx, each, scope), by, {})
                tx.execute(delete(MEMBER).where(MEMBER.c.group_id == each))
                tx.execute(delete(GROUP).where(GROUP.c.group_id == each))
        for each in gone:
            self._ground.live.publish("group", each)

    @staticmethod
    def _parents(tx: Connection, scope: Scope) -> dict[str, str]:
        rows = tx.execute(select(GROUP.c.group_id, GROUP.c.parent_group_id).where(scope.groups))
        return {row.group_id: row.parent_group_id for row in rows}

    @staticmethod
    def _place(tx: Connection, parents: Mapping[str, str], group: Group, scope: Scope) -> None:
        """Whether it may be where it is to be, and be called so there."""
        if group.parent_group_id:
            if find_group(tx, group.parent_group_id, scope).query or group.query:
                raise CloudError(Refusal.GROUP_REFUSED, "a group with a query is neither above nor below another")
            check_place(parents, group.group_id, group.parent_group_id)
        same = (GROUP.c.group_name == group.group_name, GROUP.c.parent_group_id == group.parent_group_id)
        others = select(GROUP.c.group_id).where(scope.groups, *same, GROUP.c.group_id != group.group_id)
        if tx.execute(others).first() is not None:
            raise CloudError(Refusal.GROUP_NAME_TAKEN, "there is a group of this name already")

    def _tell(self, session: Session, kind: Kind, group: Group, by: By, data: Mapping[str, Any]) -> None:
        about = {"group_id": group.group_id, "group_name": group.group_name, **data}
        append(session, [Event(kind=kind, time=self._ground.now_ms(), by=by, data=about)])

    def _changed(self, group_id: str, added: Sequence[str]) -> None:
        self._ground.live.publish("group", group_id)
        if added:
            self.on_added(added)


def _nobody(_node_ids: Iterable[str]) -> None:
    """Nobody wants to know."""


def _count(tx: Connection, group: Group, scope: Scope) -> int:
    return tx.execute(select(func.count()).select_from(nodes_of(group, scope).order_by(None).subquery())).scalar_one()


def _asks(stored: Mapping[str, str], query: NodeQuery) -> bool:
    return all(stored.get(name) == value for name, value in query.to_json().items())


def _json_of(before: Group, after: Group) -> dict[str, Any]:
    """What has changed, with its new values."""
    old, new = columns_of_group(before), columns_of_group(after)
    return {name: value for name, value in new.items() if old[name] != value}


def _check_query(group: Group, query: NodeQuery) -> None:
    if not group.query:
        raise CloudError(Refusal.GROUP_REFUSED, "a group that was made without a query gets none")
    if not query:
        raise CloudError(Refusal.GROUP_REFUSED, "without its query the group would have every node")


def _check_nodes(group: Group, node_ids: Sequence[str]) -> None:
    if len(node_ids) > NODES_LIMIT:
        raise CloudError(Refusal.GROUP_REFUSED, f"at most {NODES_LIMIT} nodes at a time, not {len(node_ids)}")
    if node_ids and group.query:
        raise CloudError(Refusal.GROUP_REFUSED, "its query chooses the nodes of this group: none is added or removed")


def _put(tx: Connection, group: Group, node_ids: Sequence[str], scope: Scope) -> list[str]:
    """Put nodes into a group; those that were not in it."""
    _check_nodes(group, node_ids)
    if not node_ids:
        return []
    known = set(tx.scalars(nodes_within(scope, node_ids)))
    if missing := [each for each in dict.fromkeys(node_ids) if each not in known]:
        raise refuse_nodes(missing, "unknown nodes, or not yours")
    here = set(tx.scalars(select(MEMBER.c.node_id).where(MEMBER.c.group_id == group.group_id)))
    fresh = [each for each in dict.fromkeys(node_ids) if each not in here]
    if fresh:
        tx.execute(insert(MEMBER), [{"group_id": group.group_id, "node_id": each} for each in fresh])
    return fresh


def _take(tx: Connection, group: Group, groups: Sequence[str], node_ids: Sequence[str], scope: Scope) -> list[str]:
    """Take nodes out of these groups; those that were in one."""
    _check_nodes(group, node_ids)
    inside = (MEMBER.c.group_id.in_(groups), MEMBER.c.node_id.in_(node_ids))
    found = sorted(set(tx.scalars(select(MEMBER.c.node_id).where(*inside)))) if node_ids else []
    if scope.admin_id:
        own = set(tx.scalars(nodes_within(scope, found)))
        if foreign := [each for each in found if each not in own]:
            raise refuse_nodes(foreign, "another admin has claimed")
    if found:
        tx.execute(delete(MEMBER).where(*inside))
    return found


def _check_exclusive(tx: Connection, parents: Mapping[str, str], group_id: str) -> None:
    """No node is in two groups right below one whose sub-groups exclude each other. Raises ``CloudError``."""
    above = [group_id]
    while parent := parents.get(above[-1], ""):
        above.append(parent)
    query = select(GROUP.c.group_id).where(GROUP.c.group_id.in_(above), GROUP.c.mutually_exclusive)
    for exclusive in tx.scalars(query).all():
        branches = [child for child, parent in parents.items() if parent == exclusive]
        branch = {each: top for top in branches for each in tree(parents, top)}
        rows = tx.execute(select(MEMBER).where(MEMBER.c.group_id.in_(list(branch))))
        seen: dict[str, str] = {}
        for row in rows:
            if seen.setdefault(row.node_id, branch[row.group_id]) != branch[row.group_id]:
                raise CloudError(
                    Refusal.GROUP_REFUSED, f"{row.node_id} would be in two sub-groups, which exclude each other here"
                )
