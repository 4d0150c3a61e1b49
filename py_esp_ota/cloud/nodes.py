"""The node registry: who is there, what it runs, whether it is connected, and which users it belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, exists, select, update
from sqlalchemy.orm import Session

from py_esp_ota.cloud.models import MappingRequestRow, NodeRow, NodeTagRow, NodeUserRow
from py_esp_ota.cloud.part import CLIENT_ID, Part
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.store import PAGE_SIZE, Page, page
from py_esp_ota.cloud.texts import heard, line, storable

ADMIN_USER_ID = "localadmin"
"""The account that claims every node of this cloud."""

MAPPING_TIMEOUT_S = 300
TAG_LIMIT = 128
NODE_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_.:-]{0,63}")


class MappingStatus(StrEnum):
    """``request_status`` of a user-node mapping."""

    REQUESTED = "requested"
    CONFIRMED = "confirmed"
    TIMEDOUT = "timedout"


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
    mapping_timestamp: int | None  # seconds


class Nodes(Part):
    """Registry, presence, params, tags, metadata and user-node mapping."""

    # ------------------------------------------------------------------------------------------------------------ read

    def nodes(
        self,
        *,
        user_id: str | None = None,
        type: str | None = None,  # noqa: A002 (the API's name)
        model: str | None = None,
        fw_version: str | None = None,
        connected: bool | None = None,
        tags: Sequence[str] = (),
        start_id: str | None = None,
        num_records: int = PAGE_SIZE,
    ) -> Page[Node]:
        """Nodes by id: all that the admin has claimed, or with ``user_id`` those the user is associated with."""
        wanted = {
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
        with self.store.begin() as tx:
            rows, total, following = page(tx, query, key=NodeRow.node_id, start=start_id or None, size=num_records)
            return Page([_value(row) for row in rows], total, following)

    def node(self, node_id: str, user_id: str | None = None) -> Node:
        """One node. Raises ``CloudError`` (NODE_NOT_OF_USER)."""
        with self.store.begin() as tx:
            return _value(_row(tx, node_id, user_id))

    def node_detail(self, node_id: str, user_id: str | None = None) -> NodeDetail:
        """One node with all it reported. Raises ``CloudError`` (NODE_NOT_OF_USER)."""
        with self.store.begin() as tx:
            row = _row(tx, node_id, user_id)
            mapping = tx.get(NodeUserRow, (node_id, user_id)) if user_id is not None else None
            tags = tx.scalars(select(NodeTagRow.tag).where(NodeTagRow.node_id == node_id).order_by(NodeTagRow.tag))
            return NodeDetail(
                node=_value(row),
                config=row.config,
                params=row.params,
                tags=list(tags),
                metadata=row.node_metadata,
                mapping_timestamp=mapping.mapping_timestamp if mapping else None,
            )

    def is_online(self, node_id: str) -> bool:
        """Whether the node is connected now; one that the cloud never saw is not."""
        with self.store.begin() as tx:
            row = tx.get(NodeRow, node_id)
            return row is not None and row.connected

    # --------------------------------------------------------------------------------------------------------- reports

    def on_presence(self, node_id: str, connected: bool) -> None:
        """The broker saw a client come or go. Clients whose name no node can have are none of ours."""
        if not NODE_ID.fullmatch(node_id) or node_id == CLIENT_ID:
            return
        note = partial(self._note_presence, node_id, connected, self.now_ms())
        self.errands.do(f"the presence of node {node_id}", note)

    def _note_presence(self, node_id: str, connected: bool, now: int) -> None:
        with self.store.begin() as tx:
            row = self._known(tx, node_id)
            row.connected = connected
            row.connectivity_timestamp = now
        self.events.publish("node", node_id)

    def on_config(self, node_id: str, config: Mapping[str, Any]) -> None:
        """A node introduced itself. ``config`` is its config document, already read once by the wire's decoder."""
        document = storable(dict(config), "config")
        info = document["info"]
        with self.store.begin() as tx:
            row = self._known(tx, node_id)
            row.config = document
            for key in ("name", "type", "model", "fw_version"):
                setattr(row, key, heard(info.get(key, "")))
        self.events.publish("node", node_id)

    def on_params(self, node_id: str, params: Mapping[str, Mapping[str, Any]]) -> None:
        """A node reported parameters: each replaces its last value. Raises ``ValueError`` when they grow too large."""
        with self.store.begin() as tx:
            row = self._known(tx, node_id)
            merged = dict(row.params)
            for device, values in params.items():
                merged[device] = {**merged.get(device, {}), **values}
            row.params = storable(merged, "params")
        self.events.publish("node", node_id)

    def _known(self, tx: Session, node_id: str) -> NodeRow:
        """The node's row, made now if this is the first sign of it; the admin claims every node."""
        row = tx.get(NodeRow, node_id)
        if row is not None:
            return row
        now = int(self.clock.now())
        row = NodeRow(
            node_id=node_id,
            config={},
            params={},
            node_metadata={},
            connectivity_timestamp=now * 1000,
            registration_timestamp=now,
        )
        tx.add(row)
        tx.flush()
        waiting = tx.scalars(
            select(MappingRequestRow).where(
                MappingRequestRow.node_id == node_id,
                MappingRequestRow.confirmed.is_(False),
                MappingRequestRow.requested_timestamp >= now - MAPPING_TIMEOUT_S,
            )
        ).all()
        for request in waiting:
            request.confirmed = True
        for user_id in {ADMIN_USER_ID, *(request.user_id for request in waiting)}:
            tx.add(NodeUserRow(node_id=node_id, user_id=user_id, mapping_timestamp=now))
        return row

    def forget_presence(self) -> None:
        """Nobody is connected to a cloud that only just started."""
        with self.store.begin() as tx:
            tx.execute(update(NodeRow).where(NodeRow.connected).values(connected=False))

    # ----------------------------------------------------------------------------------------------- tags and metadata

    def add_tags(self, node_id: str, tags: Sequence[str], user_id: str | None = None) -> None:
        """Put ``key:value`` tags on a node. Raises ``CloudError``."""
        wanted = {line(tag, "a tag", TAG_LIMIT) for tag in tags}
        if not all(":" in tag.strip(":") for tag in wanted):
            raise CloudError(Refusal.INVALID_REQUEST, "a tag is written key:value")
        with self.store.begin() as tx:
            _row(tx, node_id, user_id)
            for tag in wanted:
                tx.merge(NodeTagRow(node_id=node_id, tag=tag))
        self.events.publish("node", node_id)

    def remove_tags(self, node_id: str, tags: Sequence[str], user_id: str | None = None) -> None:
        """Take tags off a node; one that is not there is no error. Raises ``CloudError``."""
        with self.store.begin() as tx:
            _row(tx, node_id, user_id)
            tx.execute(delete(NodeTagRow).where(NodeTagRow.node_id == node_id, NodeTagRow.tag.in_(list(tags))))
        self.events.publish("node", node_id)

    def set_metadata(self, node_id: str, metadata: Mapping[str, Any] | None, user_id: str | None = None) -> None:
        """Merge metadata into a node's: a key set to ``None`` is deleted, ``None`` alone deletes all."""
        with self.store.begin() as tx:
            row = _row(tx, node_id, user_id)
            merged = {**row.node_metadata, **metadata} if metadata is not None else {}
            try:
                row.node_metadata = storable({k: v for k, v in merged.items() if v is not None}, "metadata")
            except ValueError as error:
                raise CloudError(Refusal.INVALID_REQUEST, str(error)) from None
        self.events.publish("node", node_id)

    # --------------------------------------------------------------------------------------------------------- mapping

    def map_node(self, user_id: str, node_id: str) -> str:
        """Associate a user with a node: at once if the cloud knows the node, else when it appears. The request id."""
        if not NODE_ID.fullmatch(node_id):
            raise CloudError(Refusal.INVALID_REQUEST, "this is no node_id")
        now = int(self.clock.now())
        request_id = self.ids.request()
        with self.store.begin() as tx:
            known = tx.get(NodeRow, node_id) is not None
            if known:
                tx.merge(NodeUserRow(node_id=node_id, user_id=user_id, mapping_timestamp=now))
            tx.add(
                MappingRequestRow(
                    request_id=request_id, node_id=node_id, user_id=user_id, confirmed=known, requested_timestamp=now
                )
            )
        return request_id

    def unmap_node(self, user_id: str, node_id: str) -> None:
        """Take the association away; the admin still sees the node. Raises ``CloudError`` (NODE_NOT_OF_USER)."""
        with self.store.begin() as tx:
            _row(tx, node_id, user_id)
            tx.execute(delete(NodeUserRow).where(NodeUserRow.node_id == node_id, NodeUserRow.user_id == user_id))

    def mapping_status(self, request_id: str, user_id: str) -> MappingStatus:
        """What became of a mapping request. Raises ``CloudError`` (MAPPING_UNKNOWN)."""
        with self.store.begin() as tx:
            request = tx.get(MappingRequestRow, request_id)
        if request is None or request.user_id != user_id:
            raise CloudError(Refusal.MAPPING_UNKNOWN, "there is no mapping request with this request_id")
        if request.confirmed:
            return MappingStatus.CONFIRMED
        late = self.clock.now() > request.requested_timestamp + MAPPING_TIMEOUT_S
        return MappingStatus.TIMEDOUT if late else MappingStatus.REQUESTED


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


def _tagged(tag: str) -> ColumnElement[bool]:
    return exists().where(NodeTagRow.node_id == NodeRow.node_id, NodeTagRow.tag == tag)
