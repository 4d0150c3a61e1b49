"""Small change notices: which image, job or node is no longer what it was. Whoever listens looks the rest up.

Every notice has a number, and the newest are remembered: who has seen everything up to a number asks what came since,
so that nothing is missed between looking something up and listening.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import islice
from typing import Literal, NamedTuple

Kind = Literal["rehearsal", "image", "job", "node", "group"]

REMEMBERED = 4096
"""Notices; more than a busy cloud makes in a second. Who is further behind looks everything up again."""


class Notice(NamedTuple):
    """Something changed. ``id`` is an ``ota_image_id``, ``ota_job_id``, ``node_id`` or ``group_id``."""

    kind: Kind
    id: str
    node: str = ""
    """Of a job: only this node's part in it changed, and what is counted over all of them."""


class Live:
    """Numbers notices and wakes any number of listeners of one event loop."""

    def __init__(self) -> None:
        self.number = 0
        """Of the last notice."""
        self.life = object()
        """Another one after each ``close``: whoever began to listen before is to end."""
        self.listeners: set[asyncio.Event] = set()
        """Set at every notice, and by ``close``."""
        self._notices: deque[Notice] = deque(maxlen=REMEMBERED)

    def publish(self, kind: Kind, id_: str, node: str = "") -> None:
        """Tell every listener. It neither waits nor looks anything up: call it after each commit, for each change."""
        self.number += 1
        self._notices.append(Notice(kind, id_, node))
        self._wake()

    def since(self, number: int) -> Sequence[Notice] | None:
        """The notices after ``number``, oldest first; ``None`` when some of them are forgotten, or yet to come."""
        count = self.number - number
        if not 0 <= count <= len(self._notices):
            return None
        return list(islice(self._notices, len(self._notices) - count, None))

    def last(self, concerns: Callable[[Notice], bool]) -> int:
        """The number of the last notice that concerns somebody; of the last forgotten one when none is remembered."""
        for back, notice in enumerate(reversed(self._notices)):
            if concerns(notice):
                return self.number - back
        return self.number - len(self._notices)

    async def subscribe(self) -> AsyncIterator[Notice]:
        """Every notice from the first ``anext`` on, in order; ends when ``close`` is called.

        To a slow listener repeated ones count once, and those that are forgotten do not count.
        """
        number, life, told = self.number, self.life, asyncio.Event()
        self.listeners.add(told)
        try:
            while await told.wait() and self.life is life:
                told.clear()
                new = self.since(number)
                number = self.number
                for notice in dict.fromkeys(self._notices if new is None else new):
                    yield notice
        finally:
            self.listeners.discard(told)

    def close(self) -> None:
        """End every subscription, so that a server can stop while pages are open."""
        self.life = object()
        self._wake()

    def _wake(self) -> None:
        for told in self.listeners:
            told.set()
