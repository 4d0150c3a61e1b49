"""One timer for the keep-alive of a whole crowd: a wheel whose spokes are seconds.

A timer for each of fifteen thousand connections would be moved at each packet; here a packet only notes when it left,
and its connection is looked at once when its spoke comes round.
"""

from __future__ import annotations

import asyncio
from typing import Protocol


class Pinged(Protocol):
    """Who wants to be looked at."""

    def look(self, now: float) -> float | None:
        """Do what is due at ``now`` on the loop's clock; when to look again, ``None`` for never."""


class PingWheel:
    """Looks at each member once when it is due, to the second; turns only while there are members.

    Args:
        spoke: seconds between two turns.
    """

    def __init__(self, spoke: float = 1.0) -> None:
        self._spoke = spoke
        self._due: dict[int, dict[Pinged, None]] = {}  # by the turn at which they are looked at
        self._place: dict[Pinged, int] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        """How many members there are."""
        return len(self._place)

    def join(self, member: Pinged, when: float) -> None:
        """Look at a new member at ``when``, or at the turn after it."""
        self._put(member, when)
        if self._timer is None:
            self._wind()

    def leave(self, member: Pinged) -> None:
        """Look at it no more; nothing happens when it is none."""
        turn = self._place.pop(member, None)
        if turn is not None:
            self._due.get(turn, {}).pop(member, None)  # its spoke may be looked at right now
        if not self._place and self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._due.clear()

    def _put(self, member: Pinged, when: float) -> None:
        turn = int(when / self._spoke) + 1
        self._place[member] = turn
        self._due.setdefault(turn, {})[member] = None

    def _wind(self) -> None:
        loop = asyncio.get_running_loop()
        following = (int(loop.time() / self._spoke) + 1) * self._spoke
        self._timer = loop.call_at(following, self._turn)

    def _turn(self) -> None:
        """Look at everybody who is due; a loop that was busy for long has several spokes to look at."""
        now = asyncio.get_running_loop().time()
        current = round(now / self._spoke)
        for turn in sorted(turn for turn in self._due if turn <= current):
            for member in tuple(self._due.pop(turn)):
                if self._place.get(member) != turn:  # it left while others were looked at
                    continue
                del self._place[member]
                if (when := member.look(now)) is not None:
                    self._put(member, max(when, now))
        self._timer = None
        if self._place:
            self._wind()
