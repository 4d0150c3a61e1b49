"""What the cloud of a world hands out, seen on its way to the broker: to whom, and what was so at that moment."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from py_esp_ota.ports import Message, MqttSession
from py_esp_ota.rainmaker.messages import OTAURL, parse_topic


@dataclass(frozen=True, slots=True)
class HandOut:
    """A job that was handed to a node.

    ``policy`` is the job's, ``place`` that of the node among those that it is for. ``opened``: the first node of the
    job has the update; ``approved``: this one's user has said yes; ``beside``: another node is about it, and not by an
    attempt that it makes by itself after one that failed; ``over``: the job was cancelled or had aborted itself. What
    became so in this very moment counts for neither of the last two.
    """

    job_id: str
    node_id: str
    policy: str
    place: int
    opened: bool
    approved: bool
    beside: bool
    over: bool

    def __str__(self) -> str:
        return f"{self.job_id} is handed to {self.node_id}"


class Watched:
    """The cloud's own session; ``seen`` is told of each job that goes, before it does."""

    def __init__(self, session: MqttSession, seen: Callable[[str, str], None]) -> None:
        self._session = session
        self._seen = seen

    async def publish(self, topic: str, payload: bytes) -> None:
        """Look, and publish."""
        place = parse_topic(topic)
        if place is not None and place[1] == OTAURL:
            self._seen(place[0], json.loads(payload)["ota_job_id"])
        await self._session.publish(topic, payload)

    async def subscribe(self, topic_filter: str) -> None:
        """Subscribe."""
        await self._session.subscribe(topic_filter)

    def batches(self, limit: int, pause: float = 0.0) -> AsyncIterator[Sequence[Message]]:
        """Listen."""
        return self._session.batches(limit, pause)
