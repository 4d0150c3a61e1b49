"""Who does work: an executor is a value, and opened for some work it is a crew."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from py_esp_ota.work.work import Work


@dataclass(frozen=True, slots=True)
class Done:
    """A shard is done: its report, or what it raised."""

    shard: int
    report: Any = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker died over a shard; ``how`` says how. Another one is in its place."""

    shard: int
    how: str


Next = Done | Lost


class Crew(Protocol):
    """Workers that are open for one work; each does a shard at a time."""

    @property
    def size(self) -> int:
        """How many shards it can have at once."""

    def give(self, shard: int) -> None:
        """One shard more to do; no more than ``size`` at once."""

    def next(self) -> Next:
        """Wait for the next one that ends. Raises ``WorkError`` when the crew is gone as a whole."""


class Executor(Protocol):
    """Where work is done. A value: it costs nothing until it is opened."""

    def open(self, work: Work[Any, Any], /) -> AbstractContextManager[Crew]:
        """The crew for this work; leaving the block ends it at once. Raises ``WorkError`` when there can be none."""


@dataclass(frozen=True, slots=True)
class Here:
    """This process does it, one shard after another."""

    @contextmanager
    def open(self, work: Work[Any, Any], /) -> Iterator[Crew]:
        """The crew of one."""
        yield _Myself(work)


class _Myself:
    size = 1

    def __init__(self, work: Work[Any, Any]) -> None:
        self._work = work
        self._given: deque[int] = deque()

    def give(self, shard: int) -> None:
        self._given.append(shard)

    def next(self) -> Next:
        shard = self._given.popleft()
        try:
            return Done(shard, self._work.do(self._work.data, shard))
        except Exception as error:  # noqa: BLE001 - raised by who runs the work
            return Done(shard, error=error)
