"""What devices of one kind do: a tree of steps, each with what happened before it on the edge to it.

Devices that are made alike and hear alike do alike, each at its own times. So the first that comes to a step is a real
one (``Walker``), and what it says there is written down; who hears the same afterwards says the same. Exact in that the
times of all timers are kept as who set them and how long they run, that a step in which a device looked at the clock is
never followed, and that anybody's past can be played again on a real device, which must say the same at each step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from py_esp_ota.lives.breed import Breed
from py_esp_ota.lives.walker import Step, Walker
from py_esp_ota.lives.words import Alarm, Answer, Answered, Happening, Key, Lost, Off, On, Said, heard_of

_SAME = 1e-6  # seconds: two times are the same


Happened: TypeAlias = On | Off | Key | Answered | Lost | Alarm
"""What happened, in the words of the kind."""


class UnlikeError(Exception):
    """A device that was played again said something else: a mistake of this package."""


NOTHING = Step((), (), frozenset(), connected=False, powered=False, boots=0, read=0, runs="", by_the_clock=False)
"""What a device has done before anything happened to it."""


@dataclass(eq=False, slots=True)
class State:
    """Where a life can be: after a step."""

    step: Step
    happened: Happened  # what led here
    before: State | None = None
    depth: int = 0
    after: dict[Happened, State] = field(default_factory=dict)
    otherwise: dict[tuple[int, Answer], State] = field(default_factory=dict)
    """The same step where what was said as number so-and-so of it was answered in another way."""

    @property
    def went_dark(self) -> bool:
        """Whether the device lost its power in this step, and nobody pulled the plug."""
        was_on = self.before is not None and self.before.step.powered
        return not self.step.powered and (
            isinstance(self.happened, On) or (was_on and not isinstance(self.happened, Off))
        )

    def path(self) -> list[State]:
        """All states from the first step to this one."""
        found, at = [], self
        while at.before is not None:
            found.append(at)
            at = at.before
        return found[::-1]


def learn(before: State, happened: Happened, step: Step) -> State:
    """The state that a step leads to, new or known. Raises ``UnlikeError``: it is known, and was another."""
    known = before.after.get(happened)
    if known is None:
        known = before.after[happened] = State(step, happened, before, before.depth + 1)
        return known
    for number, (said, answer) in enumerate(step.said):
        if number >= len(known.step.said) or known.step.said[number][0] != said:
            break
        if known.step.said[number][1] != answer:
            other = known.otherwise.get((number, answer))
            if other is None:
                other = known.otherwise[number, answer] = State(step, happened, before, before.depth + 1)
                return other
            known = other
    check(known, step)
    return known


def check(known: State, step: Step) -> None:
    """Raises ``UnlikeError``: a device did not do at a step what another one did there."""
    told = known.step
    if step.said != told.said:
        mine, its = (next((pair for pair in side if pair not in other), None) for side, other in (
            (step.said, told.said), (told.said, step.said)))  # fmt: skip
        raise UnlikeError(f"step {known.depth} after {known.happened!r}: said {mine!r}, not {its!r}")
    alike = len(step.timers) == len(told.timers) and all(
        mine[0] == its[0] and abs(mine[1] - its[1]) < _SAME for mine, its in zip(step.timers, told.timers, strict=True)
    )
    if not alike:
        raise UnlikeError(f"step {known.depth} after {known.happened!r}: waits for {step.timers}, not {told.timers}")
    if (step.topics, step.powered, step.boots, step.runs) != (told.topics, told.powered, told.boots, told.runs):
        raise UnlikeError(f"step {known.depth} after {known.happened!r}: ends as {step}, not as {told}")


class Lives:
    """All that devices of one breed do.

    Args:
        breed: what they are made of.
        epoch: Unix seconds at time 0.
    """

    def __init__(self, breed: Breed, *, epoch: float) -> None:
        self._breed = breed
        self.epoch = epoch
        self.first = State(NOTHING, On())

    def again(
        self,
        node_id: str,
        at: State,
        times: Sequence[float],
        tokens: Sequence[str],
        hear: Callable[[float, str], None] | None = None,
    ) -> Walker:
        """A real device that has been through the same.

        Args:
            node_id: its name.
            at: where it is.
            times: of each of its steps, the first is its beginning.
            tokens: that it was told.
            hear: is told what it prints, and when.

        Raises:
            UnlikeError: it is another one by now.
        """
        walker = Walker(self._breed, node_id, start=times[0], epoch=self.epoch, hear=hear)
        left = iter(tokens)
        try:
            for state, when in zip(at.path(), times[1:], strict=True):
                check(state, walker.step(when, _happening(state, node_id, left, walker), _as_before(state)))
        except BaseException:
            walker.close()
            raise
        return walker


def _happening(state: State, node_id: str, tokens: Iterator[str], walker: Walker) -> Happening:
    """What led to a state, as this device met with it."""
    happened = state.happened
    if not isinstance(happened, Key):
        return happened
    token = next(tokens) if happened.token else ""
    if token:
        walker.tell(token)
    return heard_of(happened, node_id, token)


def _as_before(state: State) -> Callable[[Said], Answer]:
    answers = (answer for _, answer in state.step.said)
    return lambda _said: next(answers, None)
