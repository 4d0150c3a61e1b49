"""Rehearsals of campaigns as the cloud's API and pages see them: the words, and the door behind which they are played.

A ``Rehearsal`` is all that a campaign needs to be played elsewhere: the job, its image, and what is known of the board
below each node. It is a document that can be kept. What plays it, and what weather means, is not the cloud's.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from py_esp_ota.cloud.boards import NOTHING_KNOWN, BoardFacts
from py_esp_ota.cloud.jobs import DEFAULT_FETCH_CYCLES, DEFAULT_PRIORITY, DEFAULT_TIMEOUT_S
from py_esp_ota.cloud.plan import AT_ONCE, Plan

FORMAT = 1
"""What ``rehearsal`` says in a document that this release reads."""

MOST = 10_000
"""Nodes of one rehearsal."""

ROOM = 5 << 30
"""Bytes that the copies of one rehearsal may come to."""
COPY = 256 << 10
"""Bytes of a copy, beside the image that is written into its flash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsedJob:
    """The job, as far as it matters to how it goes."""

    name: str
    image: str  # SHA-256 of the image, hex
    model: str
    fw_version: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    priority: int = DEFAULT_PRIORITY
    timeout: int = DEFAULT_TIMEOUT_S  # seconds
    force_push: bool = False
    max_fetch_cycles: int = DEFAULT_FETCH_CYCLES
    plan: Plan = AT_ONCE
    sizes: tuple[int, ...] = ()  # how many nodes each phase takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """What is known of one node: as much as its virtual copy can be like it. What is not is empty."""

    node_id: str
    chip: str = ""
    project: str = ""
    version: str = ""
    image: str = ""  # SHA-256 of the image that it runs, where the cloud has it
    online: bool = False
    board: BoardFacts = NOTHING_KNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """A campaign that can be played; its nodes in the job's order."""

    now: int  # milliseconds since 1970: when it was written, and when the play begins
    job: RehearsedJob
    nodes: tuple[Copy, ...]
    images: Mapping[str, bytes] = field(default_factory=dict)  # by SHA-256, hex: the job's, and those that nodes run
    left_out: int = 0  # nodes of the job that have the update already
    simplified: tuple[str, ...] = ()  # what of the job is not played, one sentence each

    def to_json(self) -> dict[str, Any]:
        """The document. Boards that are alike stand in it once."""
        job = {name: getattr(self.job, name) for name in RehearsedJob.__dataclass_fields__}
        boards = {board: at for at, board in enumerate(dict.fromkeys(copy.board for copy in self.nodes))}
        return {
            "rehearsal": FORMAT,
            "now": self.now,
            "job": job | {"plan": self.job.plan.to_json(), "sizes": list(self.job.sizes)},
            "boards": [board.to_json() for board in boards],
            "nodes": [
                {name: getattr(copy, name) for name in Copy.__dataclass_fields__} | {"board": boards[copy.board]}
                for copy in self.nodes
            ],
            "images": {name: base64.b64encode(data).decode() for name, data in self.images.items()},
            "left_out": self.left_out,
            "simplified": list(self.simplified),
        }


def too_large(rehearsal: Rehearsal) -> str:
    """One sentence when its copies, all played at once, need more memory than they may have; else nothing."""
    size = len(rehearsal.images[rehearsal.job.image])
    fit = ROOM // (size + COPY)
    if len(rehearsal.nodes) <= fit:
        return ""
    return (
        f"at most {fit} nodes are rehearsed at once with an image of {size} bytes, not {len(rehearsal.nodes)}: each "
        f"copy writes it into a flash of its own, and all of them may have {ROOM >> 30} GB; rehearse a group of them"
    )


# ---------------------------------------------------------------------------------------------------------------- door

NOT_REMEMBERED = "there is no rehearsal with this rehearsal_id; a server remembers the last ones until it ends"
"""Of REHEARSAL_UNKNOWN."""


@dataclass(frozen=True, slots=True)
class WeatherChoice:
    """Weather with a name."""

    name: str
    sentence: str


class Stage(StrEnum):
    """Where a rehearsal stands."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class RehearsalView:
    """One rehearsal of this server."""

    rehearsal_id: str
    ota_job_id: str  # empty for a job that is only planned
    ota_job_name: str
    nodes: int
    weather: str
    seed: int
    stage: Stage
    closed: int = 0  # nodes that have come to their end so far
    seconds: int = 0  # of the campaign that have been played so far
    problem: str = ""  # why it failed, one sentence
    forecast: Mapping[str, Any] | None = None  # once it is done


class Rehearsals(Protocol):
    """Plays rehearsals beside the cloud, one at a time; a few may wait. ``Live`` hears of changes as ``rehearsal``."""

    @property
    def weathers(self) -> Sequence[WeatherChoice]:
        """Weather with a name, the finest first."""

    def start(self, rehearsal: Rehearsal, *, ota_job_id: str = "", weather: str = "", seed: int = 0) -> RehearsalView:
        """Begin to play, or wait for those before it.

        Raises ``CloudError``: REHEARSAL_REFUSED with one sentence when too many wait, or for weather that is none.
        """

    def get(self, rehearsal_id: str) -> RehearsalView | None:
        """One of those that are remembered."""

    def all(self) -> Sequence[RehearsalView]:
        """Those that are remembered, the newest first."""

    def played(self, rehearsal_id: str) -> Rehearsal | None:
        """What was played, of one that is remembered."""

    def cancel(self, rehearsal_id: str) -> None:
        """End one that is played or waits."""
