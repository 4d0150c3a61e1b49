"""Who may do what, as tables: what accounts are to the cloud, and what users are to one node. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum, auto

LOCAL_ADMIN = "localadmin"
"""The account that a server makes at its start: a super admin, and the one that claims every node that appears."""


class Role(StrEnum):
    """What an account is to the whole cloud."""

    USER = "user"
    ADMIN = "admin"
    SUPER_ADMIN = "super_admin"


class Act(Enum):
    """What needs more than an account."""

    ADMINISTER = auto()  # images, jobs, and the nodes that one has claimed
    SEE_EVERY_NODE = auto()  # those of other admins as well
    MANAGE_ACCOUNTS = auto()  # who is an admin, who has an account, which admin has which node


_MAY: Mapping[Role, frozenset[Act]] = {
    Role.USER: frozenset(),
    Role.ADMIN: frozenset({Act.ADMINISTER}),
    Role.SUPER_ADMIN: frozenset(Act),
}


def may(role: Role, act: Act) -> bool:
    """Whether an account of this role may do it."""
    return act in _MAY[role]


def role_of(*, super_admin: bool, admin: bool) -> Role:
    """The role behind RainMaker's two flags, of which the greater counts."""
    if super_admin:
        return Role.SUPER_ADMIN
    return Role.ADMIN if admin else Role.USER


class NodeRole(StrEnum):
    """What a user is to one node."""

    PRIMARY = "primary"
    SECONDARY = "secondary"


class NodeAct(Enum):
    """What users do with a node."""

    USE = auto()  # see it, set its parameters, note something about it, start its update
    SHARE = auto()  # say who else may use it


_NODE_MAY: Mapping[NodeRole, frozenset[NodeAct]] = {
    NodeRole.PRIMARY: frozenset(NodeAct),
    NodeRole.SECONDARY: frozenset({NodeAct.USE}),
}


def roles_that_may(act: NodeAct) -> frozenset[NodeRole]:
    """What a user has to be to a node."""
    return frozenset(role for role, acts in _NODE_MAY.items() if act in acts)


def greater(one: NodeRole | None, other: NodeRole) -> NodeRole:
    """What a user is who was given both: nobody loses by a gift."""
    return NodeRole.PRIMARY if NodeRole.PRIMARY in {one, other} else NodeRole.SECONDARY
