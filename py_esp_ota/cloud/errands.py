"""What the database could not take when it came: kept in order, and tried again until it can."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import NoReturn

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

log = logging.getLogger(__name__)

LIMIT = 10_000
"""Things that wait at a time, each at most one message of a node; what comes then is lost, and the log says so."""

RETRY_S = 1.0
RETRY_LIMIT_S = 30.0

_MISTAKES = (DataError, IntegrityError, NotSupportedError, ProgrammingError)


def outage(error: Exception) -> str:
    """Why the database failed, when it is not a mistake in what it was asked and may work later; else empty."""
    if isinstance(error, DBAPIError) and not isinstance(error, _MISTAKES):
        return str(error.orig)
    return str(error) if isinstance(error, PoolTimeoutError) else ""


def pauses() -> Iterator[float]:
    """Seconds before each new try, longer and longer."""
    pause = RETRY_S
    while True:
        yield pause
        pause = min(pause * 2, RETRY_LIMIT_S)


class Errands:
    """Between those who cannot wait, nodes and the broker, and a database that fails for a while."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[str, Callable[[], None]]] = deque()
        self._arrived: asyncio.Event | None = None
        self._losing = False

    def do(self, what: str, act: Callable[[], None]) -> None:
        """Do something now, or behind what waits already. Raises what ``act`` raises, but for an outage."""
        if not self._waiting:
            try:
                act()
            except Exception as error:
                if not (why := outage(error)):
                    raise
                log.error("the database failed, %s waits for it: %s", what, why)
            else:
                return
        self._keep(what, act)

    def _keep(self, what: str, act: Callable[[], None]) -> None:
        if len(self._waiting) < LIMIT:
            self._losing = False
            self._waiting.append((what, act))
        elif not self._losing:
            self._losing = True
            text = "%s is lost, and so is what follows: %d things wait for the database already"
            log.error(text, what, len(self._waiting))
        if self._arrived is not None:
            self._arrived.set()

    async def run(self) -> NoReturn:
        """Try again, for ever; what waits at the end is lost, and the log says so."""
        self._arrived = asyncio.Event()  # of the loop that runs now
        try:
            while True:
                if self._waiting:
                    await self._catch_up()
                self._arrived.clear()
                await self._arrived.wait()
        finally:
            self._arrived = None
            if self._waiting:
                log.error("%d things still waited for the database and are lost", len(self._waiting))

    async def _catch_up(self) -> None:
        done, pause = 0, pauses()
        await asyncio.sleep(next(pause))
        while self._waiting:
            what, act = self._waiting[0]
            try:
                act()
            except Exception as error:
                if why := outage(error):
                    seconds = next(pause)
                    text = "the database fails, %d things wait for it, trying again in %g s: %s"
                    log.error(text, len(self._waiting), seconds, why)
                    await asyncio.sleep(seconds)
                    continue
                log.exception("%s could not be done", what)
            self._waiting.popleft()
            done += 1
            await asyncio.sleep(0)  # others want to live while much is caught up
        log.warning("the database works again: %d things that waited for it are done", done)
