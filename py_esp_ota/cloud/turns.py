"""Taking turns: one transaction after the other, and the small things that wait for the next one.

Who has something that need not be written now, such as presence or an acknowledgement of the broker, leaves it as a
chore: the next turn does it, whoever takes that turn, and it costs no transaction of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from py_esp_ota.cloud.ground import Ground
from py_esp_ota.cloud.job_book import JobBook
from py_esp_ota.cloud.node_book import NodeBook
from py_esp_ota.cloud.outage import outage
from py_esp_ota.cloud.outbox import Outbox
from py_esp_ota.cloud.turn import Turn

log = logging.getLogger(__name__)

Chore = Callable[[Turn], None]


def _nothing(_turn: Turn) -> None:
    pass


AT_ONCE = 500
"""Chores of one turn: ten thousand nodes that come at once must not hold up everything else."""

CHORES = 1_000_000
"""Chores that wait at a time, while the database fails or a fleet comes at once; what follows is lost, as the log says.

Each takes some 200 bytes.
"""


class Turns:
    """Takes turns and keeps the chores, in order, until a turn that has done them is written."""

    def __init__(self, ground: Ground, jobs: JobBook, nodes: NodeBook, outbox: Outbox) -> None:
        self._ground = ground
        self._jobs = jobs
        self._nodes = nodes
        self._outbox = outbox
        self._chores: deque[Chore] = deque()
        self._losing = False
        self.chores_wait = asyncio.Event()
        self.tend: Callable[[Turn], None] = _nothing
        """What follows from a turn, in the same one: called before it is written."""

    def later(self, chore: Chore) -> None:
        """Have something done in the next turn."""
        if len(self._chores) < CHORES:
            self._losing = False
            self._chores.append(chore)
            self.chores_wait.set()
        elif not self._losing:
            self._losing = True
            log.error("%d things wait for the database already: what follows is lost", CHORES)

    def catch_up(self) -> None:
        """Take a turn for chores, if there are any. Raises what the database fails with."""
        if self._chores:
            with self.take(asks=False):
                pass
        else:
            self.chores_wait.clear()  # set by who only wanted to look

    @contextmanager
    def take(self, *, asks: bool = True) -> Iterator[Turn]:
        """A turn: written at the end of the block, in one transaction, or not at all when it raises.

        ``asks``: who takes it asks the database about nodes, so that those that came must be there by then.
        """
        chores = [self._chores.popleft() for _ in range(min(len(self._chores), AT_ONCE))]
        if not self._chores:
            self.chores_wait.clear()
        try:
            with self._ground.store.connect() as tx:
                turn = Turn(self._jobs, self._nodes, tx, self._ground.now_ms())
                for chore in chores:
                    _do(chore, turn)
                if asks:
                    turn.nodes.write()
                yield turn
                self.tend(turn)
                turn.write()
        except BaseException:
            self._chores.extendleft(reversed(chores))
            if chores:
                self.chores_wait.set()
            raise
        turn.commit()
        for letter in turn.letters:
            self._outbox.put(letter)
        for ota_job_id in turn.withdrawn:
            self._outbox.withdraw(ota_job_id)
        for changed in turn.changed:
            self._ground.live.publish(*changed)


def _do(chore: Chore, turn: Turn) -> None:
    try:
        chore(turn)
    except Exception as error:
        if outage(error):
            raise
        log.exception("a chore met a mistake and is dropped")
