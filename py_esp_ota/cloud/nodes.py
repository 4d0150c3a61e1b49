"""The node registry: who is there, what it runs, whether it is connected, and which users it belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, delete, exists, select
from sqlalchemy.orm import Session

from py_esp_ota.cloud.ground import Ground
from py_esp_ota.cloud.models import MappingRequestRow, NodeRow, NodeTagRow, NodeUserRow
from py_esp_ota.cloud.node_book import ADMIN_USER_ID, MAPPING_TIMEOUT_S, NodeBook
from py_esp_ota.cloud.outbox import Letter, Outbox
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.store import PAGE_SIZE, Page, page
from py_esp_ota.cloud.texts import heard, line, storable
from py_esp_ota.cloud.turn import Turn
from py_esp_ota.cloud.turns import Turns
from py_esp_ota.rainmaker import messages

TAG_LIMIT = 128
CLIENT_ID = "cloud"
"""The MQTT client id of the cloud itself."""

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


class Nodes:
    """Registry, presence, params, tags, metadata and user-node mapping."""

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
        self._turns.catch_up()
        with self._ground.store.begin() as tx:
            rows, total, following = page(tx, query, key=NodeRow.node_id, start=start_id or None, size=num_records)
            return Page([_value(row) for row in rows], total, following)

    def get(self, node_id: str, user_id: str | None = None) -> Node:
        """One node. Raises ``CloudError`` (NODE_NOT_OF_USER)."""
        self._turns.catch_up()
        with self._ground.store.begin() as tx:
            return _value(_row(tx, node_id, user_id))

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
                mapping_timestamp=mapping.mapping_timestamp if mapping else None,
            )

    def is_online(self, node_id: str) -> bool:
        """Whether the node is connected now; one that the cloud never saw is not."""
        return self._book.is_online(node_id)

    def version(self, node_id: str) -> str:
        """What the node runs; empty when it has not said so."""
        return self._book.versions.get(node_id, "")

    def claimed(self, tx: Connection, node_ids: Sequence[str] | None = None) -> list[str]:
        """The nodes that the admin has claimed, by id: all, or which of these."""
        query = select(NodeUserRow.node_id).where(NodeUserRow.user_id == ADMIN_USER_ID)
        if node_ids is not None:
            query = query.where(NodeUserRow.node_id.in_(node_ids))
        return list(tx.scalars(query.order_by(NodeUserRow.node_id)))

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
        for key in ("name", "type", "model", "fw_version"):
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

    # --------------------------------------------------------------------------------------------------------- mapping

    def add_mapping(self, user_id: str, node_id: str) -> str:
        """Associate a user with a node: at once if the cloud knows the node, else when it appears. The request id."""
        if not NODE_ID.fullmatch(node_id):
            raise CloudError(Refusal.INVALID_REQUEST, "this is no node_id")
        now = self._ground.now_s()
        request_id = self._ground.ids.request()
        with self._ground.store.begin() as tx:
            known = tx.get(NodeRow, node_id) is not None
            if known:
                tx.merge(NodeUserRow(node_id=node_id, user_id=user_id, mapping_timestamp=now))
            tx.add(
                MappingRequestRow(
                    request_id=request_id, node_id=node_id, user_id=user_id, confirmed=known, requested_timestamp=now
                )
            )
        return request_id

    def remove_mapping(self, user_id: str, node_id: str) -> None:
        """Take the association away; the admin still sees the node. Raises ``CloudError`` (NODE_NOT_OF_USER)."""
        with self._ground.store.begin() as tx:
            _row(tx, node_id, user_id)
            tx.execute(delete(NodeUserRow).where(NodeUserRow.node_id == node_id, NodeUserRow.user_id == user_id))

    def mapping_status(self, request_id: str, user_id: str) -> MappingStatus:
        """What became of a mapping request. Raises ``CloudError`` (MAPPING_UNKNOWN)."""
        with self._ground.store.begin() as tx:
            request = tx.get(MappingRequestRow, request_id)
        if request is None or request.user_id != user_id:
            raise CloudError(Refusal.MAPPING_UNKNOWN, "there is no mapping request with this request_id")
        if request.confirmed:
            return MappingStatus.CONFIRMED
        late = self._ground.clock.now() > request.requested_timestamp + MAPPING_TIMEOUT_S
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
