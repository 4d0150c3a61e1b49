"""Where a job stands: its nodes counted by phase. What is decided of a job is decided on this. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from py_esp_ota.cloud.events import Event
from py_esp_ota.cloud.jobs import NodeState, NodeStatus, OtaJob, fold_job
from py_esp_ota.cloud.progress import phase_of
from py_esp_ota.cloud.reasons import ROLL_BACKS


@dataclass(frozen=True, slots=True)
class Tally:
    """The nodes of one phase, counted."""

    counts: Mapping[NodeStatus, int] = field(default_factory=Counter)
    closed: int = 0
    missed: int = 0  # closed without the update
    rolled_back: int = 0  # of those that missed it
    silent: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.counts.values())

    @property
    def updated(self) -> int:
        """Those that have it."""
        return self.counts.get(NodeStatus.SUCCESS, 0)

    def with_(self, state: NodeState, by: int = 1) -> Tally:
        """With a node in this state, or, by -1, without it."""
        counts = Counter(self.counts)
        counts[state.status] += by
        missed = by * (state.closed and state.status is not NodeStatus.SUCCESS)
        rolled_back = missed if missed and state.reason in ROLL_BACKS else 0
        return Tally(
            counts,
            self.closed + by * state.closed,
            self.missed + missed,
            self.rolled_back + rolled_back,
            self.silent + by * state.silent,
        )

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            Counter(self.counts) + Counter(other.counts),
            self.closed + other.closed,
            self.missed + other.missed,
            self.rolled_back + other.rolled_back,
            self.silent + other.silent,
        )

    def to_json(self) -> dict[str, Any]:
        """The document."""
        return {
            "counts": {status.value: self.counts[status] for status in NodeStatus if self.counts.get(status)},
            "closed": self.closed,
            "missed": self.missed,
            "rolled_back": self.rolled_back,
            "silent": self.silent,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Tally:
        """The value in a document."""
        counts = Counter({NodeStatus(status): count for status, count in document["counts"].items()})
        return cls(**{**document, "counts": counts})


def waiting(size: int) -> Tally:
    """A phase that has not begun."""
    return Tally(Counter({NodeStatus.TRIGGERED: size}))


@dataclass(frozen=True, slots=True)
class Standing:
    """A job and where it stands: one tally for each phase."""

    job: OtaJob
    tallies: tuple[Tally, ...]

    @classmethod
    def of_new(cls, job: OtaJob) -> Standing:
        """Of a job that was just made."""
        return cls(job, tuple(waiting(size) for size in job.sizes))

    @property
    def whole(self) -> Tally:
        """All phases together."""
        return sum(self.tallies[1:], self.tallies[0])

    @property
    def over(self) -> bool:
        """Whether nothing is handed out any more."""
        if self.job.over:
            return True
        return not self.job.continuous and all(tally.closed == tally.total for tally in self.tallies)

    def phase_of(self, state: NodeState) -> int:
        """In which phase a node has its turn, from 0."""
        return phase_of(self.job.sizes, state.position)

    def moved(self, before: NodeState, after: NodeState) -> Standing:
        """The standing once one node has moved."""
        if not before.closed and not after.closed and (before.status, before.silent) == (after.status, after.silent):
            return self  # one more word on the way
        return self._changed(before.position, lambda tally: tally.with_(before, -1).with_(after))

    def joined(self, state: NodeState) -> Standing:
        """The standing with one node more."""
        return self._changed(state.position, lambda tally: tally.with_(state))

    def after(self, event: Event) -> Standing:
        """The standing once something has happened to the job itself."""
        return replace(self, job=fold_job(self.job, event))

    def _changed(self, position: int, change: Any) -> Standing:
        phase = phase_of(self.job.sizes, position)
        tallies = [*self.tallies]
        tallies[phase] = change(tallies[phase])
        return Standing(self.job, tuple(tallies))
