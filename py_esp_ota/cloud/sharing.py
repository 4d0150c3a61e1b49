"""Sharing nodes: who may share one offers it to somebody, who takes it or does not.

An offer is addressed to a user name, whether or not there is such a user yet: nobody learns who has an account.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from py_esp_ota.cloud.codes import proper_name
from py_esp_ota.cloud.event_log import append
from py_esp_ota.cloud.events import Event, Kind
from py_esp_ota.cloud.ground import Ground
from py_esp_ota.cloud.logins import User
from py_esp_ota.cloud.mapping import remove_users
from py_esp_ota.cloud.models import NodeUserRow, SharingRow, UserRow
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.roles import NodeAct, NodeRole, greater, roles_that_may
from py_esp_ota.cloud.store import Page, page
from py_esp_ota.cloud.texts import number_or_refuse, storable
from py_esp_ota.cloud.turns import Turns

OFFER_S = 7 * 86_400
"""How long the official CLI says that a request lives."""

NODES_LIMIT = 100
OFFERS_LIMIT = 100
METADATA_LIMIT = 4096
PAGE_LIMIT = 10


class OfferStatus(StrEnum):
    """``request_status`` of a sharing request."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    DECLINED = "declined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One sharing request."""

    request_id: str
    request_status: OfferStatus
    request_timestamp: int  # seconds
    node_ids: Sequence[str]
    user_name: str
    primary_user_name: str
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NodeUsers:
    """Who has a node: user names by role. ``mine`` is what the user who asks is to it."""

    node_id: str
    mine: NodeRole
    names: Mapping[NodeRole, Sequence[str]]


class Sharing:
    """Offers nodes, keeps the offers, lets users in and out."""

    def __init__(self, ground: Ground, turns: Turns) -> None:
        self._ground = ground
        self._turns = turns

    def offer(
        self,
        by: User,
        node_ids: Sequence[str],
        user_name: str,
        role: NodeRole = NodeRole.SECONDARY,
        metadata: Mapping[str, Any] | None = None,
    ) -> str:
        """Offer nodes to a user; the request id.

        Raises:
            CloudError: INVALID_REQUEST, NODE_NOT_OF_USER, NOT_PRIMARY.
        """
        nodes = list(dict.fromkeys(node_ids))
        if not 1 <= len(nodes) <= NODES_LIMIT:
            raise CloudError(Refusal.INVALID_REQUEST, f"nodes: 1 to {NODES_LIMIT} node ids")
        if proper_name(user_name) == by.user_name:
            raise CloudError(Refusal.INVALID_REQUEST, "user_name: a node is shared with somebody else")
        try:
            note = storable(dict(metadata or {}), "metadata")
        except ValueError as error:
            raise CloudError(Refusal.INVALID_REQUEST, str(error)) from None
        if len(json.dumps(note)) > METADATA_LIMIT:
            raise CloudError(Refusal.INVALID_REQUEST, f"metadata: at most {METADATA_LIMIT} bytes")
        request_id = self._ground.ids.request()
        self._turns.catch_up()
        with self._ground.store.begin() as tx:
            _check_owner(tx, by.user_id, nodes)
            self._forget_old(tx)
            waiting = select(func.count()).where(SharingRow.primary_user_id == by.user_id)
            if (tx.scalar(waiting) or 0) >= OFFERS_LIMIT:
                raise CloudError(Refusal.TOO_OFTEN, f"{OFFERS_LIMIT} sharing requests of yours wait already")
            tx.add(
                SharingRow(
                    request_id=request_id,
                    primary_user_id=by.user_id,
                    user_name=user_name,
                    node_ids=nodes,
                    role=role.value,
                    sharing_metadata=note,
                    status=OfferStatus.PENDING.value,
                    request_timestamp=self._ground.now_s(),
                )
            )
            append(tx, self._told(Kind.NODE_OFFERED, by, nodes, user_name, role=role.value))
        return request_id

    def answer(self, by: User, request_id: str, accept: bool) -> None:
        """Whom nodes were offered takes them, or does not. What the other has no more say in is not given.

        Raises:
            CloudError: SHARING_UNKNOWN, NOT_PRIMARY when nothing is left to take.
        """
        with self._ground.store.begin() as tx:
            row = self._pending(tx, request_id)
            if row is None or row.user_name != by.user_name:
                raise CloudError(Refusal.SHARING_UNKNOWN, "no sharing request with this request_id waits for you")
            row.status = (OfferStatus.ACCEPTED if accept else OfferStatus.DECLINED).value
            nodes = [node_id for node_id in row.node_ids if _owns(tx, row.primary_user_id, node_id)]
            if accept and not nodes:
                raise CloudError(Refusal.NOT_PRIMARY, "who offered these nodes is no primary user of them any more")
            for node_id in nodes if accept else ():
                mine = tx.get(NodeUserRow, (node_id, by.user_id))
                role = greater(None if mine is None else NodeRole(mine.role), NodeRole(row.role))
                since = self._ground.now_s() if mine is None else mine.mapping_timestamp
                tx.merge(NodeUserRow(node_id=node_id, user_id=by.user_id, role=role.value, mapping_timestamp=since))
            if accept:
                append(tx, self._told(Kind.NODE_SHARED, by, nodes, by.user_name, role=row.role))
        for node_id in nodes if accept else ():
            self._ground.live.publish("node", node_id)

    def withdraw(self, by: User, request_id: str) -> None:
        """Take an offer back, or clear one that was declined. Raises ``CloudError`` (SHARING_UNKNOWN)."""
        with self._ground.store.begin() as tx:
            row = tx.scalar(select(SharingRow).where(SharingRow.request_id == request_id))
            if row is None or row.primary_user_id != by.user_id or row.status == OfferStatus.ACCEPTED:
                raise CloudError(Refusal.SHARING_UNKNOWN, "there is no sharing request of yours with this request_id")
            tx.delete(row)

    def offers(
        self,
        by: User,
        *,
        sent: bool,
        request_id: str | None = None,
        start: str | None = None,
        num_records: int = PAGE_LIMIT,
    ) -> Page[Offer]:
        """Requests that wait or were declined, newest first: those the user ``sent``, or those sent to the user."""
        mine = SharingRow.primary_user_id == by.user_id if sent else SharingRow.user_name == by.user_name
        query = select(SharingRow).where(mine, SharingRow.status != OfferStatus.ACCEPTED.value)
        query = query.where(SharingRow.request_timestamp > self._ground.now_s() - OFFER_S)
        if request_id is not None:
            query = query.where(SharingRow.request_id == request_id)
        number = number_or_refuse(start)
        with self._ground.store.begin() as tx:
            rows, total, following = page(
                tx, query, key=SharingRow.number, start=number, size=num_records, newest_first=True
            )
            names = _names(tx, {row.primary_user_id for row in rows})
        offers = [
            Offer(
                request_id=row.request_id,
                request_status=OfferStatus(row.status),
                request_timestamp=row.request_timestamp,
                node_ids=row.node_ids,
                user_name=row.user_name,
                primary_user_name=names.get(row.primary_user_id, ""),
                metadata=row.sharing_metadata,
            )
            for row in rows
        ]
        return Page(offers, total, None if following is None else str(following))

    def users(self, by: User, node_id: str | None = None) -> list[NodeUsers]:
        """Who has the user's nodes, or one of them. Raises ``CloudError`` (NODE_NOT_OF_USER)."""
        self._turns.catch_up()
        with self._ground.store.begin() as tx:
            query = select(NodeUserRow.node_id, NodeUserRow.role).where(NodeUserRow.user_id == by.user_id)
            if node_id is not None:
                query = query.where(NodeUserRow.node_id == node_id)
            mine = {node: NodeRole(role) for node, role in tx.execute(query.order_by(NodeUserRow.node_id))}
            if node_id is not None and not mine:
                raise _not_yours()
            found: dict[str, dict[NodeRole, list[str]]] = {node: {role: [] for role in NodeRole} for node in mine}
            everybody = (
                select(NodeUserRow.node_id, NodeUserRow.role, UserRow.user_name)
                .join(UserRow, UserRow.user_id == NodeUserRow.user_id)
                .where(NodeUserRow.node_id.in_(select(query.order_by(None).subquery().c.node_id)))
                .order_by(UserRow.user_name)
            )
            for node, role, name in tx.execute(everybody):
                found[node][NodeRole(role)].append(name)
        return [NodeUsers(node, role, found[node]) for node, role in mine.items()]

    def end(self, by: User, node_ids: Sequence[str], user_name: str) -> None:
        """Take nodes from a user again. Raises ``CloudError`` (NODE_NOT_OF_USER, NOT_PRIMARY, USER_UNKNOWN)."""
        with self._ground.store.begin() as tx:
            _check_owner(tx, by.user_id, node_ids)
            user_id = tx.scalar(select(UserRow.user_id).where(UserRow.user_name == user_name))
            held = set(
                tx.scalars(
                    select(NodeUserRow.node_id).where(
                        NodeUserRow.user_id == (user_id or ""), NodeUserRow.node_id.in_(list(node_ids))
                    )
                )
            )
            if missing := [node_id for node_id in node_ids if node_id not in held]:
                raise CloudError(Refusal.USER_UNKNOWN, f"node {missing[0]} has no user of this name")
            for node_id in node_ids:
                remove_users(tx, node_id, [user_id or ""])
            append(tx, self._told(Kind.NODE_UNSHARED, by, node_ids, user_name))
        for node_id in node_ids:
            self._ground.live.publish("node", node_id)

    def of_user(self, user_id: str) -> Mapping[NodeRole, Sequence[str]]:
        """The nodes of a user by role, for who manages accounts."""
        self._turns.catch_up()
        with self._ground.store.begin() as tx:
            rows = tx.execute(
                select(NodeUserRow.node_id, NodeUserRow.role)
                .where(NodeUserRow.user_id == user_id)
                .order_by(NodeUserRow.node_id)
            ).all()
        return {role: [node for node, held in rows if held == role] for role in NodeRole}

    def of_node(self, node_id: str) -> Mapping[NodeRole, Sequence[str]]:
        """Who has a node, by role, for who administers all of them."""
        query = (
            select(NodeUserRow.role, UserRow.user_name)
            .join(UserRow, UserRow.user_id == NodeUserRow.user_id)
            .where(NodeUserRow.node_id == node_id)
            .order_by(UserRow.user_name)
        )
        with self._ground.store.begin() as tx:
            rows = tx.execute(query).all()
        return {role: [name for held, name in rows if held == role] for role in NodeRole}

    def _told(self, kind: Kind, by: User, node_ids: Sequence[str], user_name: str, **data: str) -> list[Event]:
        now = self._ground.now_ms()
        return [
            Event(kind=kind, time=now, by=by.by, node_id=node_id, user_name=user_name, data=data)
            for node_id in node_ids
        ]

    def _forget_old(self, tx: Session) -> None:
        old = SharingRow.request_timestamp <= self._ground.now_s() - OFFER_S
        tx.execute(delete(SharingRow).where(old | (SharingRow.status == OfferStatus.ACCEPTED.value)))

    def _pending(self, tx: Session, request_id: str) -> SharingRow | None:
        row = tx.scalar(select(SharingRow).where(SharingRow.request_id == request_id))
        if row is None or row.status != OfferStatus.PENDING:
            return None
        return row if self._ground.now_s() < row.request_timestamp + OFFER_S else None


def _owns(tx: Session, user_id: str, node_id: str) -> bool:
    row = tx.get(NodeUserRow, (node_id, user_id))
    return row is not None and NodeRole(row.role) in roles_that_may(NodeAct.SHARE)


def _check_owner(tx: Session, user_id: str, node_ids: Sequence[str]) -> None:
    for node_id in node_ids:
        if tx.get(NodeUserRow, (node_id, user_id)) is None:
            raise _not_yours()
        if not _owns(tx, user_id, node_id):
            raise CloudError(Refusal.NOT_PRIMARY, f"only a primary user says who else uses node {node_id}"[:500])


def _not_yours() -> CloudError:
    return CloudError(Refusal.NODE_NOT_OF_USER, "the node does not exist or does not belong to this user")


def _names(tx: Session, user_ids: set[str]) -> dict[str, str]:
    rows = tx.execute(select(UserRow.user_id, UserRow.user_name).where(UserRow.user_id.in_(sorted(user_ids))))
    return {row.user_id: row.user_name for row in rows}
