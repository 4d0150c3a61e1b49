"""One device of a fleet: where it is in the lives of its kind, and at which times it came there."""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Protocol

from py_esp_ota.lives.tree import Happened, Lives, State, learn
from py_esp_ota.lives.walker import Walker
from py_esp_ota.lives.words import Alarm, Answer, Happening, Heard, Hole, Said, Template, key_of

_GRAIN = 1e-7  # seconds: what is due so soon is due now


class Outside(Protocol):
    """The world of a fleet."""

    def say(self, member: Member, said: Said) -> Answer:
        """Take what a device says."""

    def moved(self, member: Member) -> None:
        """A step is done."""

    def let(self, member: Member, happening: Happening | None) -> None:
        """Let something happen to a device, ``None`` being its own timers, and take the blame for what goes wrong."""


class Member:
    """A device that follows others of its kind as long as it hears nothing new."""

    __slots__ = (
        *("_alarm", "_loop", "_outside"),
        *("due", "given_up", "lives", "node_id", "power", "state", "times", "tokens", "walker"),
    )

    def __init__(
        self, lives: Lives, node_id: str, outside: Outside, loop: asyncio.AbstractEventLoop, power: float
    ) -> None:
        self.lives = lives
        self.node_id = node_id
        self.power = power  # seconds after which somebody gives it back the power that a cut took
        self.given_up = False  # it is not played any further
        self.state: State = lives.first
        self.times = array("d")  # of each step, after that of its beginning
        self.tokens: Sequence[str] = ()  # that it was told
        self.walker: Walker | None = None  # the real device, if it walks ahead
        self._outside = outside
        self._loop = loop
        self._alarm: asyncio.TimerHandle | None = None
        self.due = float("inf")  # when the first of its timers is, in the loop's time

    def happen(self, happening: Happening) -> None:
        """Something happens to it now. Raises ``UnlikeError``."""
        now = self._loop.time()
        if self.due <= now + _GRAIN and not isinstance(happening, Alarm):
            self.ring()
        happened: Happened
        token = ""
        if isinstance(happening, Heard):
            happened, token = key_of(happening, self.node_id)
        else:
            happened = happening
        if not self.times:
            self.times.append(now)
        known = self.state.after.get(happened)
        if self.walker is None and (known is None or known.step.by_the_clock):
            self.walker = self.again()
        self.times.append(now)
        if token:
            self.tokens = (*self.tokens, token)
        if self.walker is not None:
            self._walk(self.walker, happened, happening, token)
        elif known is not None:
            self._follow(known, happening, token)
        self._wait()
        self._outside.moved(self)

    def ring(self) -> None:
        """Its timers that are due happen."""
        now = self._loop.time() + _GRAIN
        which = tuple(
            at for at, (moment, delay) in enumerate(self.state.step.timers) if self.times[moment] + delay <= now
        )
        if which:
            self.happen(Alarm(which))

    def text(self, given: Template) -> str:
        """What it says, with its own words."""
        return given.form % tuple([self._own(hole) for hole in given.holes])

    def octets(self, given: Template) -> bytes:
        """The same, as bytes."""
        return self.text(given).encode("latin-1") if given.whole is None else given.whole

    def _own(self, hole: Hole) -> str:
        if hole.what == "node":
            return self.node_id
        if hole.what == "token":
            return self.tokens[hole.number]
        return str(int(self.lives.epoch + self.times[hole.number]))

    def again(self, hear: Callable[[float, str], None] | None = None) -> Walker:
        """A real device that has been through the same, to be looked at and closed.

        ``hear`` is told what it prints, and when. Raises ``UnlikeError``.
        """
        return self.lives.again(self.node_id, self.state, self.times or [self._loop.time()], self.tokens, hear)

    def by(self, when: float) -> State:
        """Where it was at a time of the loop."""
        state = self.state
        for _ in range(len(self.times) - max(bisect_right(self.times, when), 1)):
            state = state.before or state
        return state

    def rest(self) -> None:
        """Be no real device until it is needed again."""
        if self.walker is not None:
            self.walker.close()
            self.walker = None

    # --------------------------------------------------------------------------------------------------------- inside

    def _follow(self, known: State, happening: Happening, token: str) -> None:
        at = 0
        answers: list[Answer] = []
        while at < len(known.step.said):
            said, expected = known.step.said[at]
            answer = self._outside.say(self, said)
            answers.append(answer)
            if answer != expected:
                other = known.otherwise.get((at, answer))
                if other is None:
                    self._part(answers, happening, token)
                    return
                known = other
            at += 1
        self.state = known

    def _part(self, answers: Sequence[Answer], happening: Happening, token: str) -> None:
        """It has been answered as nobody before: it goes its own way in the middle of a step."""
        tokens = self.tokens[:-1] if token else self.tokens
        walker = self.walker = self.lives.again(self.node_id, self.state, self.times[:-1], tokens)
        given = iter(answers)

        def say(said: Said) -> Answer:
            for answer in given:
                return answer
            return self._outside.say(self, said)

        if token:
            walker.tell(token)
        happened = key_of(happening, self.node_id)[0] if isinstance(happening, Heard) else happening
        self.state = learn(self.state, happened, walker.step(self.times[-1], happening, say))

    def _walk(self, walker: Walker, happened: Happened, happening: Happening, token: str) -> None:
        if token:
            walker.tell(token)
        step = walker.step(self.times[-1], happening, lambda said: self._outside.say(self, said))
        self.state = learn(self.state, happened, step)

    def _wait(self) -> None:
        """Set the alarm to the first of its timers."""
        due = min((self.times[moment] + delay for moment, delay in self.state.step.timers), default=float("inf"))
        if due == self.due and self._alarm is not None:
            return
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self.due = due
        if due < float("inf"):
            self._alarm = self._loop.call_at(due, self._outside.let, self, None)
