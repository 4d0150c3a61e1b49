"""Which users a node has, by its own word: a user asks with a secret, and the node names the same user and secret.

Whoever gave the node the secret stood beside it while it was provisioned. The two may come in any order, and count for
five minutes.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from enum import StrEnum

from sqlalchemy import Table, delete, func, insert, select, update

from py_esp_ota.cloud.event_log import Executes
from py_esp_ota.cloud.events import THE_ADMIN, Actor, By, Event, Kind
from py_esp_ota.cloud.ground import Ground
from py_esp_ota.cloud.models import MappingRequestRow, NodeUserRow, NodeWordRow, UserRow
from py_esp_ota.cloud.nodes import NODE_ID
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.roles import NodeAct, NodeRole, roles_that_may
from py_esp_ota.cloud.turn import Turn
from py_esp_ota.cloud.turns import Turns
from py_esp_ota.rainmaker.messages import NO_USER, UserMapping

_USER: Table = NodeUserRow.__table__  # type: ignore[assignment]
_REQUEST: Table = MappingRequestRow.__table__  # type: ignore[assignment]
_WORD: Table = NodeWordRow.__table__  # type: ignore[assignment]

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

    def __init__(self, ground: Ground, turns: Turns) -> None:
        self._ground = ground
        self._turns = turns
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
        with self._turns.take() as turn:
            mine = _REQUEST.c.user_id == user_id
            turn.tx.execute(delete(_REQUEST).where(mine, _REQUEST.c.requested_timestamp < now - KEPT_S))
            if turn.tx.execute(select(func.count()).where(mine)).scalar_one() >= REQUESTS_LIMIT:
                raise CloudError(Refusal.TOO_OFTEN, f"{REQUESTS_LIMIT} mapping requests in a day are enough")
            row = {
                "request_id": request_id,
                "node_id": node_id,
                "user_id": user_id,
                "proof": proof,
                "confirmed": False,
                "requested_timestamp": now,
            }
            turn.tx.execute(insert(_REQUEST), row)
            word = turn.tx.execute(select(_WORD).where(_WORD.c.node_id == node_id)).one_or_none()
            if word is not None and hmac.compare_digest(word.proof, proof) and _fresh(word.timestamp, now):
                _confirm(turn, node_id, {request_id: user_id}, now, reset=word.reset)
        return request_id

    def hear(self, turn: Turn, node_id: str, said: UserMapping) -> None:
        """A node names its user; ``reset`` ends what was before, once somebody is confirmed."""
        turn.nodes.known(node_id)
        turn.nodes.write()
        now = turn.now // 1000
        proof = self._proof(said.user_id, said.secret_key)
        turn.tx.execute(delete(_WORD).where(_WORD.c.node_id == node_id))
        row = {"node_id": node_id, "proof": proof, "reset": said.reset, "timestamp": now}
        turn.tx.execute(insert(_WORD), row)
        if said.reset and said.user_id == NO_USER:
            turn.tx.execute(delete(_USER).where(_USER.c.node_id == node_id))
            by = By(Actor.NODE, node_id)
            turn.happen(Event(kind=Kind.NODE_UNMAPPED, time=turn.now, by=by, node_id=node_id, data={"reset": True}))
            turn.note("node", node_id)
        waiting = turn.tx.execute(
            select(_REQUEST.c.request_id, _REQUEST.c.user_id, _REQUEST.c.requested_timestamp)
            .where(_REQUEST.c.node_id == node_id, _REQUEST.c.proof == proof)
            .where(_REQUEST.c.confirmed.is_(False))
        ).all()
        matching = {request_id: user_id for request_id, user_id, since in waiting if _fresh(since, now)}
        _confirm(turn, node_id, matching, now, reset=said.reset)

    def remove(self, user_id: str, node_id: str, by: By = THE_ADMIN) -> None:
        """A user gives a node up. When no primary user is left, who got it from one loses it, too.

        Raises:
            CloudError: NODE_NOT_OF_USER.
        """
        with self._turns.take() as turn:
            held = select(_USER.c.user_id).where(_USER.c.node_id == node_id, _USER.c.user_id == user_id)
            if turn.tx.execute(held).one_or_none() is None:
                raise CloudError(Refusal.NODE_NOT_OF_USER, "the node does not exist or does not belong to this user")
            remove_users(turn.tx, node_id, [user_id])
            turn.happen(Event(kind=Kind.NODE_UNMAPPED, time=turn.now, by=by, node_id=node_id, user_name=by.who))
            turn.note("node", node_id)

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


def remove_users(tx: Executes, node_id: str, user_ids: Iterable[str]) -> None:
    """Take these users off a node; those that others let in do not stay behind alone."""
    of_node = _USER.c.node_id == node_id
    tx.execute(delete(_USER).where(of_node, _USER.c.user_id.in_(list(user_ids))))
    owners = _USER.c.role.in_(sorted(roles_that_may(NodeAct.SHARE)))
    if tx.execute(select(_USER.c.user_id).where(of_node, owners).limit(1)).one_or_none() is None:
        tx.execute(delete(_USER).where(of_node))


def _confirm(turn: Turn, node_id: str, requests: Mapping[str, str], now: int, *, reset: bool) -> None:
    """Requests by id, each with its user: they are confirmed, and their users are primary ones."""
    if not requests:
        return
    users = list(dict.fromkeys(requests.values()))
    gone = () if reset else (_USER.c.user_id.in_(users),)
    turn.tx.execute(delete(_USER).where(_USER.c.node_id == node_id, *gone))
    role = NodeRole.PRIMARY.value
    rows = [{"node_id": node_id, "user_id": user, "role": role, "mapping_timestamp": now} for user in users]
    turn.tx.execute(insert(_USER), rows)
    turn.tx.execute(update(_REQUEST).where(_REQUEST.c.request_id.in_(list(requests))).values(confirmed=True))
    names = turn.tx.execute(select(UserRow.user_id, UserRow.user_name).where(UserRow.user_id.in_(users)))
    known = {row.user_id: row.user_name for row in names}
    for user in users:
        turn.happen(
            Event(
                kind=Kind.NODE_MAPPED,
                time=turn.now,
                by=By(Actor.NODE, node_id),
                node_id=node_id,
                user_name=known.get(user, ""),
                data={"reset": reset},
            )
        )
    turn.note("node", node_id)


def _fresh(since: int, now: int) -> bool:
    """Not older than the time limit; from the future is a clock that was set back, and counts as old."""
    return since <= now <= since + MAPPING_TIMEOUT_S
