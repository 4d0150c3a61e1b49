"""Which users a node has, by its own word: a user asks with a secret, and the node names the same user and secret.

Whoever gave the node the secret stood beside it while it was provisioned. The two may come in any order, and count for
five minutes.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from enum import StrEnum

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from py_esp_ota.cloud.ground import Ground
from py_esp_ota.cloud.models import MappingRequestRow, NodeUserRow, NodeWordRow
from py_esp_ota.cloud.nodes import NODE_ID
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.roles import NodeAct, NodeRole, roles_that_may
from py_esp_ota.rainmaker.messages import NO_USER, UserMapping

MAPPING_TIMEOUT_S = 300
KEPT_S = 86_400
"""A request can be asked about for so long."""
REQUESTS_LIMIT = 1000
"""Of one user in that time."""


class MappingStatus(StrEnum):
    """``request_status`` of a user-node mapping."""

    REQUESTED = "requested"
    CONFIRMED = "confirmed"
    TIMEDOUT = "timedout"


class Mappings:
    """Takes what users ask and what nodes say, and brings both together."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._key = ground.store.setting("mapping_key", ground.ids.key).encode()

    def request(self, user_id: str, node_id: str, secret: str) -> str:
        """A user claims to hold the node's secret; the request id.

        Raises:
            CloudError: INVALID_REQUEST, TOO_OFTEN.
        """
        if not NODE_ID.fullmatch(node_id):
            raise CloudError(Refusal.INVALID_REQUEST, "this is no node_id")
        if not secret:
            raise CloudError(Refusal.INVALID_REQUEST, "secret_key is missing: the node has to be told the same one")
        now = self._ground.now_s()
        request_id = self._ground.ids.request()
        proof = self._proof(user_id, secret)
        with self._ground.store.begin() as tx:
            word = tx.get(NodeWordRow, node_id)
            stale = MappingRequestRow.requested_timestamp < now - KEPT_S
            tx.execute(delete(MappingRequestRow).where(MappingRequestRow.user_id == user_id, stale))
            mine = select(func.count()).where(MappingRequestRow.user_id == user_id)
            if (tx.scalar(mine) or 0) >= REQUESTS_LIMIT:
                raise CloudError(Refusal.TOO_OFTEN, f"{REQUESTS_LIMIT} mapping requests in a day are enough")
            said = word is not None and hmac.compare_digest(word.proof, proof) and _fresh(word.timestamp, now)
            tx.add(
                MappingRequestRow(
                    request_id=request_id,
                    node_id=node_id,
                    user_id=user_id,
                    proof=proof,
                    confirmed=False,
                    requested_timestamp=now,
                )
            )
            if word is not None and said:
                tx.flush()
                _confirm(tx, node_id, [(request_id, user_id)], now, reset=word.reset)
        if said:
            self._ground.live.publish("node", node_id)
        return request_id

    def hear(self, tx: Session, node_id: str, said: UserMapping) -> None:
        """A node that the cloud knows names its user; ``reset`` ends what was before, once somebody is confirmed."""
        now = self._ground.now_s()
        proof = self._proof(said.user_id, said.secret_key)
        tx.execute(delete(NodeWordRow).where(NodeWordRow.node_id == node_id))
        tx.add(NodeWordRow(node_id=node_id, proof=proof, reset=said.reset, timestamp=now))
        if said.reset and said.user_id == NO_USER:
            tx.execute(delete(NodeUserRow).where(NodeUserRow.node_id == node_id))
        waiting = tx.execute(
            select(MappingRequestRow.request_id, MappingRequestRow.user_id, MappingRequestRow.requested_timestamp)
            .where(MappingRequestRow.node_id == node_id, MappingRequestRow.proof == proof)
            .where(MappingRequestRow.confirmed.is_(False))
        ).all()
        matching = [(request_id, user_id) for request_id, user_id, since in waiting if _fresh(since, now)]
        _confirm(tx, node_id, matching, now, reset=said.reset)

    def remove(self, user_id: str, node_id: str) -> None:
        """A user gives a node up. When no primary user is left, who got it from one loses it, too.

        Raises:
            CloudError: NODE_NOT_OF_USER.
        """
        with self._ground.store.begin() as tx:
            if tx.get(NodeUserRow, (node_id, user_id)) is None:
                raise CloudError(Refusal.NODE_NOT_OF_USER, "the node does not exist or does not belong to this user")
            remove_users(tx, node_id, [user_id])
        self._ground.live.publish("node", node_id)

    def status(self, request_id: str, user_id: str) -> MappingStatus:
        """What became of a mapping request. Raises ``CloudError`` (MAPPING_UNKNOWN)."""
        with self._ground.store.begin() as tx:
            request = tx.get(MappingRequestRow, request_id)
        if request is None or request.user_id != user_id:
            raise CloudError(Refusal.MAPPING_UNKNOWN, "there is no mapping request with this request_id")
        if request.confirmed:
            return MappingStatus.CONFIRMED
        fresh = _fresh(request.requested_timestamp, self._ground.now_s())
        return MappingStatus.REQUESTED if fresh else MappingStatus.TIMEDOUT

    def _proof(self, user_id: str, secret: str) -> str:
        return hmac.digest(self._key, f"{user_id}\n{secret}".encode(), "sha256").hex()


def remove_users(tx: Session, node_id: str, user_ids: Iterable[str]) -> None:
    """Take these users off a node; those that others let in do not stay behind alone."""
    tx.execute(delete(NodeUserRow).where(NodeUserRow.node_id == node_id, NodeUserRow.user_id.in_(list(user_ids))))
    owners = NodeUserRow.role.in_(sorted(roles_that_may(NodeAct.SHARE)))
    if tx.scalar(select(NodeUserRow.user_id).where(NodeUserRow.node_id == node_id, owners).limit(1)) is None:
        tx.execute(delete(NodeUserRow).where(NodeUserRow.node_id == node_id))


def _confirm(tx: Session, node_id: str, requests: list[tuple[str, str]], now: int, *, reset: bool) -> None:
    if not requests:
        return
    if reset:
        tx.execute(delete(NodeUserRow).where(NodeUserRow.node_id == node_id))
    for user_id in dict.fromkeys(user_id for _, user_id in requests):
        tx.merge(NodeUserRow(node_id=node_id, user_id=user_id, role=NodeRole.PRIMARY.value, mapping_timestamp=now))
    ids = [request_id for request_id, _ in requests]
    tx.execute(update(MappingRequestRow).where(MappingRequestRow.request_id.in_(ids)).values(confirmed=True))


def _fresh(since: int, now: int) -> bool:
    """Not older than the time limit; from the future is a clock that was set back, and counts as old."""
    return since <= now <= since + MAPPING_TIMEOUT_S
