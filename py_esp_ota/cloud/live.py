"""Small change notices: which image, job or node is no longer what it was. Whoever listens looks the rest up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["image", "job", "node"]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something changed. ``id`` is an ``ota_image_id``, ``ota_job_id`` or ``node_id``."""

    kind: Kind
    id: str


class _Mailbox:
    """The notices one listener has not read yet; repeated ones count once, so a slow listener costs little."""

    def __init__(self) -> None:
        self.pending: dict[Notice, None] = {}
        self.closed = False
        self.arrived = asyncio.Event()


class Live:
    """Fans notices out to any number of listeners of one event loop."""

    def __init__(self) -> None:
        self._mailboxes: set[_Mailbox] = set()

    def publish(self, kind: Kind, id_: str) -> None:
        """Tell every listener; never waits."""
        for mailbox in self._mailboxes:
            mailbox.pending[Notice(kind, id_)] = None
            mailbox.arrived.set()

    async def subscribe(self) -> AsyncIterator[Notice]:
        """Every notice from the first ``anext`` on, in order; ends when ``close`` is called."""
        mailbox = _Mailbox()
        self._mailboxes.add(mailbox)
        try:
            while not mailbox.closed:
                await mailbox.arrived.wait()
                mailbox.arrived.clear()
                while mailbox.pending:
                    notice = next(iter(mailbox.pending))
                    del mailbox.pending[notice]
                    yield notice
        finally:
            self._mailboxes.discard(mailbox)

    def close(self) -> None:
        """End every subscription, so that a server can stop while pages are open."""
        for mailbox in self._mailboxes:
            mailbox.closed = True
            mailbox.arrived.set()
