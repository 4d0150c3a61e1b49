"""What a node must have told its cloud before ``esp-ota node --until`` ends, and the exit code: rules, no I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from py_esp_ota.rainmaker.messages import OTAFETCH, OTASTATUS, OTAURL, PARAMS_LOCAL_INIT, parse_topic

Goal = Literal["connected", "update", "idle"]

QUIET_S = 10.0  # so long after an otafetch the cloud has no job for the node

#: The node cuts what is too long for its buffer, so a report is no JSON always.
_STATUS = re.compile(rb'"status":"([a-z-]+)"')
_ATTEMPT = re.compile(rb'"additional_info":"OTA Attempt (\d+)/(\d+) failed')
_INFO = re.compile(rb'"additional_info":"([^"]*)')


@dataclass(frozen=True, slots=True)
class Ending:
    """How it ends: the exit code, and a sentence for people."""

    code: int
    why: str


class Until:
    """What was said so far, and whether that is the end."""

    def __init__(self, goal: Goal | None) -> None:
        self.goal = goal
        self.ending: Ending | None = None
        self.asked = False  # an otafetch was acknowledged, and no URL has come since

    def up(self, topic: str, payload: bytes) -> None:
        """The broker has acknowledged a message of the node."""
        _, suffix = parse_topic(topic) or ("", "")
        if suffix == PARAMS_LOCAL_INIT and self.goal == "connected":
            self._end(0, "the node is connected, and has told its params")
        elif suffix == OTAFETCH:
            self.asked = True
        elif suffix == OTASTATUS and self.goal in {"update", "idle"}:
            self._judge(payload)

    def down(self, topic: str) -> None:
        """A message for the node has come."""
        _, suffix = parse_topic(topic) or ("", "")
        if suffix == OTAURL:
            self.asked = False

    def quiet(self) -> None:
        """Nothing has come for ``QUIET_S`` after an otafetch."""
        if self.goal == "idle" and self.asked:
            self._end(0, "the cloud has no update for the node")

    def _judge(self, payload: bytes) -> None:
        """A status is the last one unless an attempt follows it; ``delayed`` waits, ``in-progress`` goes on."""
        status, info = _STATUS.search(payload), _INFO.search(payload)
        said = info[1].decode(errors="replace") if info else ""
        attempt = _ATTEMPT.search(payload)
        if status is None or (attempt and int(attempt[1]) < int(attempt[2])):
            return
        word = status[1].decode()
        if word == "success":
            self._end(0, f"success: {said}")
        elif word in {"failed", "rejected"}:
            self._end(1, f"{word}: {said}")

    def _end(self, code: int, why: str) -> None:
        if self.ending is None:
            self.ending = Ending(code, why)
