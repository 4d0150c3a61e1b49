"""What the calls about groups answer, as types."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from py_esp_ota.cloud.api.answers import Answer, NextId, NodeDetail, NodeInfo, Success


class GroupMade(Success):
    """A new group."""

    group_id: str


class Group(Answer):
    """A group of nodes."""

    group_id: str
    group_name: str
    parent_group_id: Annotated[str, Field(description="empty of a topmost one")]
    type: str
    description: str
    mutually_exclusive: Annotated[bool, Field(description="a node is in at most one of its sub-groups")]
    is_matter: bool
    group_query: Annotated[dict[str, str], Field(description="empty of a static one")]
    custom_data: dict[str, Any]
    group_metadata: dict[str, Any]
    total: Annotated[int, Field(description="how many nodes it has, those of its sub-groups counted")]
    nodes: list[str] = Field(default_factory=list, description="absent unless asked for")
    node_details: list[NodeDetail | NodeInfo] = Field(default_factory=list, description="absent unless asked for")
    sub_groups: list[dict[str, Any]] = Field(
        default_factory=list, description="groups like this one; absent unless asked for"
    )
    next_id: Annotated[str, Field(description="of the nodes of one group: the start_id of the next page")] = ""


class GroupList(Answer):
    """Groups in the order in which they were made."""

    groups: list[Group]
    total: int
    next_id: NextId = ""
