"""Share work out, and merge what comes back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from py_esp_ota.work.crew import Crew, Executor, Lost
from py_esp_ota.work.packed import WorkError
from py_esp_ota.work.work import Work

R = TypeVar("R")
#: Told after each shard: how many are done, and the report of all of them so far.
Told = Callable[[int, R], None]

#: Why work was stopped by the user.
INTERRUPTION = "it was interrupted"
#: So many workers may die over one shard. The first may have been in the way of something else.
_LIVES = 3


@dataclass(frozen=True, slots=True)
class Outcome(Generic[R]):
    """What came of work: the report of ``done`` shards; ``stopped`` says why it is not of all, ``""`` when it is."""

    report: R
    done: int
    stopped: str = ""

    @property
    def whole(self) -> bool:
        """Whether every shard is in it."""
        return not self.stopped


def run(work: Work[Any, R], shards: Iterable[int], executor: Executor, *, told: Told[R] | None = None) -> Outcome[R]:
    """Do the work of all ``shards``, each once.

    A worker that dies has done nothing: its shard is done again. When a shard is the death of three, or the user
    interrupts, or the whole crew is gone, what was done until then is the report, which is not whole then.

    Args:
        work: what is done.
        shards: their numbers, no two alike; they are taken as workers become free, and may be without end.
        executor: who does it.
        told: told after each shard.

    Raises:
        WorkError: there is no crew at all, or the work cannot go to it.
        Exception: what the work raises, of the first shard that does.
    """
    sharing = _Sharing(work, told)
    try:
        with executor.open(work) as crew:
            sharing.all_of(iter(shards), crew)
    except KeyboardInterrupt:
        return sharing.outcome(INTERRUPTION)
    except _Gone as gone:
        return sharing.outcome(str(gone))
    return sharing.outcome()


class _Gone(Exception):
    """Nobody is there to go on."""


class _Sharing(Generic[R]):
    def __init__(self, work: Work[Any, R], told: Told[R] | None) -> None:
        self._work = work
        self._told = told
        self._report = work.nothing
        self._done = 0
        self._deaths: Counter[int] = Counter()

    def outcome(self, stopped: str = "") -> Outcome[R]:
        return Outcome(self._report, self._done, stopped)

    def all_of(self, shards: Iterable[int], crew: Crew) -> None:
        waiting = iter(shards)
        given = 0
        failed: dict[int, Exception] = {}
        order: dict[int, int] = {}
        while True:
            while given < crew.size and not failed and (shard := next(waiting, None)) is not None:
                order[shard] = len(order)
                crew.give(shard)
                given += 1
            if not given:
                break
            found = self._next(crew)
            if isinstance(found, Lost):
                self._count_death(found)
                crew.give(found.shard)
                continue
            given -= 1
            place = order[found.shard]
            if found.error is not None:
                failed[place] = found.error
            else:
                self._add(found.report)
        if failed:  # shards were begun in order, and all that were begun are done: no earlier one can fail
            raise failed[min(failed)]

    def _next(self, crew: Crew) -> Any:
        try:
            return crew.next()
        except WorkError as error:
            raise _Gone(str(error)) from error

    def _add(self, report: R) -> None:
        self._report = self._work.merge(self._report, report)
        self._done += 1
        if self._told:
            self._told(self._done, self._report)

    def _count_death(self, lost: Lost) -> None:
        self._deaths[lost.shard] += 1
        if self._deaths[lost.shard] == _LIVES:
            raise _Gone(f"shard {lost.shard} was the end of {_LIVES} workers, the last of which {lost.how}")
