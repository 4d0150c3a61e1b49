"""A group of nodes as a value: what it is called, where it hangs, and the query that chooses a dynamic one's nodes.

No I/O. RainMaker's queries name a type, a model and a version; a tag, a chip, a project and presence are this cloud's
own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Self

from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.texts import line, storable

NAME_LIMIT = 128
TEXT_LIMIT = 1024
DATA_LIMIT = 4096
DEPTH_LIMIT = 3
"""Levels of groups below each other, the topmost counted."""
NODES_LIMIT = 1000
"""Nodes that one call adds or removes; a group has any number."""
GROUPS_LIMIT = 1000
"""Groups of one user."""
PRESENCE = ("online", "offline")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeQuery:
    """Which nodes are in a dynamic group: those that agree with all that is given."""

    node_type: str = ""
    node_model: str = ""
    node_fw_version: str = ""
    node_tag: str = ""
    node_chip: str = ""  # ESP-IDF's name, as in ``platform`` of a node's config
    node_project: str = ""
    node_presence: str = ""

    @classmethod
    def of(cls, asked: Mapping[str, str | None]) -> Self:
        """The query in a request. Raises ``CloudError`` (INVALID_REQUEST, GROUP_REFUSED)."""
        query = cls(**{name: line(asked[name] or "", name, NAME_LIMIT) for name in QUERY if asked.get(name)})
        if query.node_presence not in {"", *PRESENCE}:
            raise CloudError(Refusal.GROUP_REFUSED, "node_presence is online or offline")
        return query

    @classmethod
    def from_json(cls, document: Mapping[str, str]) -> Self:
        """From ``to_json``."""
        return cls(**document)

    def to_json(self) -> dict[str, str]:
        """What is given, by name."""
        return {name: value for name in QUERY if (value := getattr(self, name))}

    def __bool__(self) -> bool:
        return bool(self.to_json())


QUERY = tuple(each.name for each in fields(NodeQuery))
"""What a query may name, as in the API."""
ANYTHING = NodeQuery()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group of nodes. With a query it is dynamic: its nodes are those that agree with it now."""

    group_id: str
    group_name: str
    user_id: str = ""  # whose it is; empty of one of the admins
    parent_group_id: str = ""
    type: str = ""
    description: str = ""
    mutually_exclusive: bool = False  # a node is in at most one of its sub-groups
    is_matter: bool = False
    query: NodeQuery = ANYTHING
    custom_data: Mapping[str, Any] = field(default_factory=dict)
    group_metadata: Mapping[str, Any] = field(default_factory=dict)
    created_timestamp: int = 0  # milliseconds


_LINES = {"group_name": NAME_LIMIT, "type": NAME_LIMIT, "description": TEXT_LIMIT}
_DOCUMENTS = ("custom_data", "group_metadata")
_FLAGS = ("mutually_exclusive", "is_matter")


def checked(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What somebody wants a group to be, as far as it is said, fit to be stored.

    Raises:
        CloudError: INVALID_REQUEST.
    """
    wanted: dict[str, Any] = {name: asked[name] for name in _FLAGS if asked.get(name) is not None}
    for name, limit in _LINES.items():
        text = asked.get(name)
        if text is not None:
            wanted[name] = text if text == "" and name != "group_name" else line(text, name, limit)
    for name in _DOCUMENTS:
        if asked.get(name) is not None:
            wanted[name] = _document(asked[name], name)
    return wanted


def _document(value: Mapping[str, Any], what: str) -> dict[str, Any]:
    try:
        document = storable(dict(value), what)
    except ValueError as error:
        raise CloudError(Refusal.INVALID_REQUEST, str(error)) from None
    if len(str(document)) > DATA_LIMIT:
        raise CloudError(Refusal.INVALID_REQUEST, f"{what} has at most {DATA_LIMIT} characters")
    return document


def tree(parents: Mapping[str, str], top: str) -> list[str]:
    """A group and all groups below it, from above; ``parents`` by group."""
    found = [top]
    for each in found:  # grows while it is walked
        found += [child for child, parent in parents.items() if parent == each and child not in found]
    return found


def height(parents: Mapping[str, str], top: str) -> int:
    """How many levels a group and those below it have."""
    below = [child for child, parent in parents.items() if parent == top]
    return 1 + max((height(parents, child) for child in below), default=0)


def depth(parents: Mapping[str, str], group_id: str) -> int:
    """On which level a group is, the topmost being 1; 0 is no group."""
    level = 0
    while group_id and level <= DEPTH_LIMIT:
        group_id, level = parents.get(group_id, ""), level + 1
    return level


def check_place(parents: Mapping[str, str], group_id: str, parent: str) -> None:
    """Whether a group, new or with others below it, may hang there. Raises ``CloudError`` (GROUP_REFUSED)."""
    if parent in tree(parents, group_id):
        raise CloudError(Refusal.GROUP_REFUSED, "a group cannot be below itself")
    if depth(parents, parent) + height(parents, group_id) > DEPTH_LIMIT:
        raise CloudError(Refusal.GROUP_REFUSED, f"groups are at most {DEPTH_LIMIT} levels deep")


def refuse_nodes(node_ids: Sequence[str], why: str) -> CloudError:
    """Nodes that cannot be taken, by name."""
    shown = ", ".join(each[:64] for each in node_ids[:5])
    return CloudError(Refusal.NODE_NOT_OF_USER, f"{why}: {shown}"[:500], nodes=list(node_ids))
