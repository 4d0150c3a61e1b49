"""The node registry: who is there, what it runs, whether it is connected, and who has claimed it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, delete, exists, or_, select, update
from sqlalchemy.orm import Session

from py_esp_ota.cloud.events import THE_ADMIN, By, Event, Kind
from py_esp_ota.cloud.ground import Ground
from py_esp_ota.cloud.jobs import NodeState, OtaJob, without_node
from py_esp_ota.cloud.models import NodeRow, NodeTagRow, NodeUserRow
from py_esp_ota.cloud.node_book import NodeBook
from py_esp_ota.cloud.outbox import Letter, Outbox
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.roles import NodeRole
from py_esp_ota.cloud.store import PAGE_SIZE, Page, page, rows_of
from py_esp_ota.cloud.texts import heard, line, storable
from py_esp_ota.cloud.turn import Turn
from py_esp_ota.cloud.turns import Turns
from py_esp_ota.rainmaker import messages

TAG_LIMIT = 128
CLIENT_ID = "cloud"
"""The MQTT client id of the cloud itself."""

NODE_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.:-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node as the cloud knows it."""

    node_id: str
    name: str
    type: str
    model: str
    fw_version: str
    connected: bool
    connectivity_timestamp: int  # milliseconds
    registration_timestamp: int  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDetail:
    """What a node reported and what its users noted, for one node of a page."""

    node: Node
    config: Mapping[str, Any]
    params: Mapping[str, Any]
    tags: Sequence[str]
    metadata: Mapping[str, Any]
    role: NodeRole  # of the user who asks
    mapping_timestamp: int | None  # seconds


class Nodes:
    """Registry, presence, params, tags and metadata; ``mapping`` and ``sharing`` say which users a node has."""

    def __init__(self, ground: Ground, turns: Turns, book: NodeBook, outbox: Outbox) -> None:
        self._ground = ground
        self._turns = turns
        self._book = book
        self._outbox = outbox

    # ------------------------------------------------------------------------------------------------------------ read

    def find(
        self,
        *,
        user_id: str | None = None,
        admin_id: str | None = None,
        type: str | None = None,  # noqa: A002 (the API's name)
        model: str | None = None,
        fw_version: str | None = None,
        connected: bool | None = None,
        tags: Sequence[str] = (),
        search: str = "",
        among: Collection[str] | None = None,
        apart: Collection[str] = (),
        start_id: str | None = None,
        num_records: int = PAGE_SIZE,
    ) -> Page[Node]:
        """Nodes by id: all, those that ``admin_id`` has claimed, or those that ``user_id`` is associated with.

        ``search`` is a piece of the id, name, model, version or a tag; ``among`` and ``apart`` are ids.
        """
        wanted = {
            NodeRow.admin_id: admin_id,
            NodeRow.type: type,
            NodeRow.model: model,
            NodeRow.fw_version: fw_version,
            NodeRow.connected: connected,
        }
        query: Select[tuple[NodeRow]] = select(NodeRow)
        query = query.where(*(column == value for column, value in wanted.items() if value is not None))
        query = query.where(*(_tagged(tag) for tag in tags))
        if user_id is not None:
            query = query.where(_mapped_to(user_id))
        if search:
            query = query.where(_says(search))
        self._turns.catch_up()
        with self._ground.store.begin() as tx:
            if among is not None:
                query = query.where(NodeRow.node_id.in_(_listed(tx, among)))
            if apart:
                query = query.where(NodeRow.node_id.not_in(_listed(tx, apart)))
            rows, total, following = page(tx, query, key=NodeRow.node_id, start=start_id or None, size=num_records)
            return Page([_value(row) for row in rows], total, following)

    def get(self, node_id: str, user_id: str | None = None, *, admin_id: str | None = None) -> Node:
        """One node, whosever it is, a user's, or one that an admin has claimed. Raises ``CloudError``."""
        self._turns.catch_up()
        with self._ground.store.begin() as tx:
            row = _row(tx, node_id, user_id)
            if admin_id is not None and row.admin_id != admin_id:
                raise CloudError(Refusal.NODE_NOT_OF_USER, "the node does not exist or another admin has claimed it")
            return _value(row)

    def detail(self, node_id: str, user_id: str | None = None) -> NodeDetail:
        """One node with all it reported. Raises ``CloudError`` (NODE_NOT_OF_USER)."""
        self._turns.catch_up()
        with self._ground.store.begin() as tx:
            row = _row(tx, node_id, user_id)
            mapping = tx.get(NodeUserRow, (node_id, user_id)) if user_id is not None else None
            tags = tx.scalars(select(NodeTagRow.tag).where(NodeTagRow.node_id == node_id).order_by(NodeTagRow.tag))
            return NodeDetail(
                node=_value(row),
                config=row.config,
                params=row.params,
                tags=list(tags),
                metadata=row.node_metadata,
                role=NodeRole(mapping.role) if mapping else NodeRole.PRIMARY,
                mapping_timestamp=mapping.mapping_timestamp if mapping else None,
            )

    def is_known(self, node_id: str) -> bool:
        """Whether the cloud ever heard of the node."""
        return node_id in self._book.versions

    def count(self) -> int:
        """How many nodes there are."""
        return len(self._book.versions)

    def is_online(self, node_id: str) -> bool:
        """Whether the node is connected now; one that the cloud never saw is not."""
        return self._book.is_online(node_id)

    def online(self, node_ids: Iterable[str]) -> list[str]:
        """Those that are connected now, in their order."""
        online = self._book.online
        return [node_id for node_id in node_ids if node_id in online]

    def taken(self, node_id: str) -> bool:
        """Whether this is a node's id, or was one's that is forgotten since the cloud started."""
        return node_id in self._book.versions or node_id in self._book.gone

    def version(self, node_id: str) -> str:
        """What the node runs; empty when it has not said so."""
        return self._book.versions.get(node_id, "")

    def claimed(self, tx: Connection, admin_id: str | None, node_ids: Sequence[str] | None = None) -> list[str]:
        """The nodes that an admin has claimed, or ``None`` for everybody's, by id: all, or which of these."""
        query = select(NodeRow.node_id)
        if admin_id is not None:
            query = query.where(NodeRow.admin_id == admin_id)
        if node_ids is not None:
            query = query.where(NodeRow.node_id.in_(node_ids))
        return list(tx.scalars(query.order_by(NodeRow.node_id)).all())

    # --------------------------------------------------------------------------------------------------------- reports

    def note_presence(self, turn: Turn, node_id: str, connected: bool, now: int) -> None:
        """A node came or went at ``now`` (milliseconds)."""
        turn.nodes.known(node_id).update(connected=connected, connectivity_timestamp=now)
        turn.note("node", node_id)

    def on_config(self, turn: Turn, node_id: str, config: Mapping[str, Any]) -> None:
        """A node introduced itself. ``config`` is its config document, already read once by the wire's decoder."""
        document = storable(dict(config), "config")
        info = document["info"]
        columns = turn.nodes.known(node_id)
        columns["config"] = document
        for key in ("name", "type", "model", "fw_version", "project_name", "platform"):
            columns[key] = heard(info.get(key, ""))
        turn.note("node", node_id)

    def on_params(self, turn: Turn, node_id: str, params: Mapping[str, Mapping[str, Any]]) -> None:
        """A node reported parameters: each replaces its last value. Raises ``ValueError`` when they grow too large."""
        merged = dict(turn.nodes.params(node_id))
        for device, values in params.items():
            merged[device] = {**merged.get(device, {}), **values}
        turn.nodes.known(node_id)["params"] = storable(merged, "params")
        turn.note("node", node_id)

    # ----------------------------------------------------------------------------------------------- tags and metadata

    def add_tags(self, node_id: str, tags: Sequence[str], user_id: str | None = None) -> None:
        """Put ``key:value`` tags on a node. Raises ``CloudError``."""
        wanted = {line(tag, "a tag", TAG_LIMIT) for tag in tags}
        if not all(":" in tag.strip(":") for tag in wanted):
            raise CloudError(Refusal.INVALID_REQUEST, "a tag is written key:value")
        with self._ground.store.begin() as tx:
            _row(tx, node_id, user_id)
            for tag in wanted:
                tx.merge(NodeTagRow(node_id=node_id, tag=tag))
        self._ground.live.publish("node", node_id)

    def remove_tags(self, node_id: str, tags: Sequence[str], user_id: str | None = None) -> None:
        """Take tags off a node; one that is not there is no error. Raises ``CloudError``."""
        with self._ground.store.begin() as tx:
            _row(tx, node_id, user_id)
            tx.execute(delete(NodeTagRow).where(NodeTagRow.node_id == node_id, NodeTagRow.tag.in_(list(tags))))
        self._ground.live.publish("node", node_id)

    def set_metadata(self, node_id: str, metadata: Mapping[str, Any] | None, user_id: str | None = None) -> None:
        """Merge metadata into a node's: a key set to ``None`` is deleted, ``None`` alone deletes all."""
        with self._ground.store.begin() as tx:
            row = _row(tx, node_id, user_id)
            merged = {**row.node_metadata, **metadata} if metadata is not None else {}
            try:
                row.node_metadata = storable({k: v for k, v in merged.items() if v is not None}, "metadata")
            except ValueError as error:
                raise CloudError(Refusal.INVALID_REQUEST, str(error)) from None
        self._ground.live.publish("node", node_id)

    def set_params(self, node_id: str, params: Mapping[str, Mapping[str, Any]], user_id: str | None = None) -> None:
        """Send parameters to a node that is connected; what it makes of them it reports itself.

        Raises:
            CloudError: NODE_NOT_OF_USER, NODE_OFFLINE, PARAMS_NOT_SENT.
        """
        node = self.get(node_id, user_id)
        try:
            payload = messages.encode_set_params(storable(dict(params), "params"))
        except ValueError as error:
            raise CloudError(Refusal.PARAMS_NOT_SENT, str(error)) from None
        if not node.connected:
            raise CloudError(Refusal.NODE_OFFLINE, "the node is offline")
        if not self._outbox.put(Letter(messages.topic(node_id, messages.PARAMS_REMOTE), payload)):
            raise CloudError(Refusal.PARAMS_NOT_SENT, "the cloud has no connection to its broker")

    # -------------------------------------------------------------------------------------------------------- claiming

    def claim(self, node_ids: Sequence[str], admin_id: str, by: By = THE_ADMIN, user_name: str = "") -> None:
        """Nodes change their admin, all or none. Raises ``CloudError`` (NODE_NOT_OF_USER)."""
        with self._turns.take() as turn:
            known = set(turn.tx.scalars(select(NodeRow.node_id).where(NodeRow.node_id.in_(node_ids))))
            if not known.issuperset(node_ids):
                raise CloudError(Refusal.NODE_NOT_OF_USER, "one of the nodes does not exist")
            turn.tx.execute(update(NodeRow).where(NodeRow.node_id.in_(node_ids)).values(admin_id=admin_id))
            for node_id in node_ids:
                turn.happen(Event(kind=Kind.NODE_CLAIMED, time=turn.now, by=by, node_id=node_id, user_name=user_name))
                turn.note("node", node_id)

    # ------------------------------------------------------------------------------------------------------ forgetting

    def forget(self, node_ids: Sequence[str], by: By = THE_ADMIN) -> None:
        """Nodes that are gone for good, with all that was noted of them; one that the cloud never heard of is no error.

        Open jobs end there as failed. What happened stays in the log, and in the jobs. A node that is heard of again
        after it connected joins as a new one.
        """
        with self._turns.take() as turn:
            for node_id in node_ids:
                for standing, state in turn.offers(node_id):
                    if not state.closed:
                        turn.happen(_gone(standing.job, state, by, turn.now))
                        turn.arrived(standing.job.ota_job_id, node_id)
                if turn.nodes.heard_of(node_id):
                    turn.happen(Event(kind=Kind.NODE_FORGOTTEN, time=turn.now, by=by, node_id=node_id))
                turn.note("node", node_id)
            turn.nodes.forget(node_ids)


def _gone(job: OtaJob, state: NodeState, by: By, now: int) -> Event:
    after = without_node(state, now)
    words = {"status": after.status.value, "additional_info": after.additional_info}
    return Event(
        kind=Kind.NODE_FORGOTTEN, time=now, by=by, ota_job_id=job.ota_job_id, node_id=state.node_id, data=words
    )


def _row(tx: Session, node_id: str, user_id: str | None = None) -> NodeRow:
    query = select(NodeRow).where(NodeRow.node_id == node_id)
    row = tx.scalar(query if user_id is None else query.where(_mapped_to(user_id)))
    if row is None:
        raise CloudError(Refusal.NODE_NOT_OF_USER, "the node does not exist or does not belong to this user")
    return row


def _value(row: NodeRow) -> Node:
    return Node(**{name: getattr(row, name) for name in Node.__dataclass_fields__})


def _mapped_to(user_id: str) -> ColumnElement[bool]:
    return exists().where(NodeUserRow.node_id == NodeRow.node_id, NodeUserRow.user_id == user_id)


def _says(piece: str) -> ColumnElement[bool]:
    """Whether a node has this piece of text where people look for it."""
    columns = (NodeRow.node_id, NodeRow.name, NodeRow.model, NodeRow.fw_version)
    tag = exists().where(NodeTagRow.node_id == NodeRow.node_id, NodeTagRow.tag.icontains(piece, autoescape=True))
    return or_(*(column.icontains(piece, autoescape=True) for column in columns), tag)


def _listed(tx: Session, node_ids: Collection[str]) -> Select[tuple[str]]:
    """Ids as a query: however many there are, they are one parameter."""
    return select(rows_of(tx.connection(), sorted(node_ids)).c.value)


def _tagged(tag: str) -> ColumnElement[bool]:
    return exists().where(NodeTagRow.node_id == NodeRow.node_id, NodeTagRow.tag == tag)
