"""What the calls about jobs that are not started yet, and about boards, answer: types, as those of ``answers.py``."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from py_esp_ota.cloud.api.answers import Answer, Milliseconds, NextId
from py_esp_ota.cloud.boards import BoardFacts
from py_esp_ota.cloud.preview import Certainty


class Reason(Answer):
    """Why nodes will not take an image, or not now."""

    reason: str
    sentence: Annotated[str, Field(description="of the first of the examples")]
    certainty: Certainty
    advice: str
    refused_by: Annotated[str, Field(description="the function of ESP-IDF or the agent; empty of what the cloud does")]
    reported: Annotated[str, Field(description="what the node will say")]
    count: int
    examples: list[str]


class ForetoldNode(Answer):
    """One node, and what will keep it from the image, in the order in which it meets it."""

    node_id: str
    fw_version: str
    platform: str
    connected: bool
    connectivity_timestamp: Milliseconds
    reasons: list[str]


class PreviewRefusal(Answer):
    """What keeps a job from being started as it is."""

    error_code: int
    description: str


class JobPreview(Answer):
    """What a job would be. Nothing was written or sent."""

    fw_version: str
    chip: str
    file_size: int
    total: Annotated[int, Field(description="nodes of the job")]
    offline: int
    ready: Annotated[int, Field(description="nodes that nothing known hinders; they may be offline or wait")]
    phases: Annotated[list[int], Field(description="how many nodes each phase takes")]
    refusal: PreviewRefusal | None
    reasons: list[Reason]
    nodes: list[ForetoldNode]
    nodes_total: Annotated[int, Field(description="nodes in the list, of which this is a page")]
    next_id: NextId = ""


class BoardNoted(Answer):
    """What is known of the board below a node."""

    node_id: str
    facts: BoardFacts
    noted_timestamp: Annotated[Milliseconds | None, Field(description="null of a virtual node: its facts are of now")]
