"""What a fleet comes to: how each device ended, and whatever can be told from that. Values, no I/O.

Results of parts of a fleet are put together with ``+``, in any order and any grouping: a result is the set of what
became of its devices, and everything else is counted anew from them.
"""

from __future__ import annotations

import shlex
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from heapq import nlargest
from operator import attrgetter
from typing import Any

from py_esp_ota.cloud.jobs import NodeStatus

SLOWEST = 10
"""Devices that are told to be the slowest."""

_SAMPLES = 48
_TAIL = 20  # halves of halves of the devices that end last
_NAMED = 5  # devices named where many are meant


@dataclass(frozen=True, slots=True)
class SoFar:
    """How far a fleet is while it is played."""

    devices: int
    updated: int
    missed: int
    at_it: int  # they have been told, and have not come to their end
    seconds: int  # of the job that have been played

    @property
    def closed(self) -> int:
        """Those that have come to their end."""
        return self.updated + self.missed


Told = Callable[[SoFar], None]
"""Called now and then with how far it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberResult:
    """What became of one device. Seconds count from the job's first moment."""

    node_id: str
    kind: str
    status: str  # the cloud's word, or the node's
    additional_info: str
    reason: str  # one of ``cloud.reasons``, empty where nothing went wrong
    closed: bool  # it has come to its end
    turn: int | None  # when the job came to it; None when it did not
    seconds: int | None  # when its last word came; None before the first
    boots: int
    bytes: int  # downloaded, whatever became of it
    met: str  # of its weather, as a fault plan; empty when it was fine

    @property
    def updated(self) -> bool:
        """Whether it has the update."""
        return self.status == NodeStatus.SUCCESS

    @property
    def missed(self) -> bool:
        """Whether it has ended without."""
        return self.closed and not self.updated

    @property
    def took(self) -> int:
        """Seconds from its turn to its end; 0 for one that has not come there."""
        return self.seconds - self.turn if self.closed and self.seconds is not None and self.turn is not None else 0


@dataclass(frozen=True, slots=True)
class Replay:
    """How a device of a fleet is played again alone: the call that played all of them."""

    words: tuple[str, ...]
    names: Mapping[str, str] = field(default_factory=dict)  # what the fleet calls those that a cloud calls otherwise

    def line(self, member: MemberResult) -> str:
        """The line for a shell."""
        turn = ("--turn", str(member.turn)) if member.turn else ()
        return shlex.join([*self.words, "--alone", self.names.get(member.node_id, member.node_id), *turn])


@dataclass(frozen=True, slots=True)
class Group:
    """Devices that ended alike."""

    status: str
    info: str
    reason: str
    devices: int
    named: Sequence[str]  # the first few

    def has(self, member: MemberResult) -> bool:
        """Whether a device is in it."""
        return (member.status, member.additional_info, member.reason) == (self.status, self.info, self.reason)


@dataclass(frozen=True, kw_only=True)
class FleetResult:
    """What became of a fleet, or of a part of it.

    Attributes:
        seed: of its population.
        members: in the order of their names.
        whole: whether it was played to its end.
        seconds: of the job that were played.
        checked: devices that were played again the long way, and did the same.
    """

    seed: int
    members: tuple[MemberResult, ...]
    whole: bool = True
    seconds: int = 0
    checked: tuple[str, ...] = ()

    def __add__(self, other: FleetResult) -> FleetResult:
        """Both parts together. Raises ``ValueError``: they are of two fleets, or tell two things of one device."""
        if self.seed != other.seed:
            raise ValueError(f"results of two fleets: one has seed {self.seed}, the other {other.seed}")
        few, many = sorted((self.members, other.members), key=len)  # a part comes to very many
        more = {member.node_id: member for member in few}
        for member in many:
            if member.node_id in more and more.pop(member.node_id) != member:
                raise ValueError(f"two results tell different things of {member.node_id}")
        return FleetResult(
            seed=self.seed,
            members=tuple(sorted([*many, *more.values()], key=attrgetter("node_id"))),
            whole=self.whole and other.whole,
            seconds=max(self.seconds, other.seconds),
            checked=tuple(sorted({*self.checked, *other.checked})),
        )

    @property
    def ok(self) -> bool:
        """Whether it was played to its end and every device has the update."""
        return self.whole and self.updated == len(self.members)

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """Devices by their last status."""
        return Counter(member.status for member in self.members)

    @property
    def updated(self) -> int:
        """Devices that have the update."""
        return self.counts.get(NodeStatus.SUCCESS, 0)

    @cached_property
    def missed(self) -> int:
        """Devices that have ended without."""
        return sum(member.missed for member in self.members)

    @property
    def waiting(self) -> int:
        """Devices that have not come to their end."""
        return len(self.members) - self.updated - self.missed

    @cached_property
    def bytes(self) -> int:
        """All that was downloaded."""
        return sum(member.bytes for member in self.members)

    @cached_property
    def groups(self) -> Sequence[Group]:
        """The devices that do not have it, the largest group first."""
        alike: dict[tuple[str, str, str], list[str]] = {}
        for member in self.members:
            if not member.updated:
                alike.setdefault((member.status, member.additional_info, member.reason), []).append(member.node_id)
        found = [Group(*key, len(nodes), tuple(nodes[:_NAMED])) for key, nodes in alike.items()]
        return sorted(found, key=lambda group: (-group.devices, group.status, group.info))

    @cached_property
    def kinds(self) -> Mapping[str, tuple[int, int, int]]:
        """By kind: devices, updated, missed."""
        alike: dict[str, list[MemberResult]] = {}
        for member in self.members:
            alike.setdefault(member.kind, []).append(member)
        return {
            kind: (len(some), sum(each.updated for each in some), sum(each.missed for each in some))
            for kind, some in sorted(alike.items())
        }

    @cached_property
    def slowest(self) -> Sequence[MemberResult]:
        """Of those that came to their end, the ones that took longest."""
        return nlargest(SLOWEST, (member for member in self.members if member.took), key=attrgetter("took", "node_id"))

    @cached_property
    def progress(self) -> Sequence[tuple[int, int, int, int]]:
        """The course of it: second, devices told, updated, missed.

        At moments that are equally far apart, and at others between which as many devices come to their end.
        """
        turns = sorted(member.turn for member in self.members if member.turn is not None)
        ends = [
            (member.seconds, member.updated) for member in self.members if member.closed and member.seconds is not None
        ]
        good = sorted(at for at, updated in ends if updated)
        bad = sorted(at for at, updated in ends if not updated)
        over = sorted(at for at, _ in ends)
        last = max([*turns[-1:], *over[-1:]], default=0)
        moments = {round(last * step / _SAMPLES) for step in range(_SAMPLES + 1)}
        shares = [step / _SAMPLES for step in range(_SAMPLES + 1)] + [1 - 0.5**step for step in range(_TAIL)]
        moments |= {over[int((len(over) - 1) * share)] for share in shares if over}
        return [(at, bisect_right(turns, at), bisect_right(good, at), bisect_right(bad, at)) for at in sorted(moments)]

    def to_json(self, replay: Replay) -> dict[str, Any]:
        """The document. ``replay`` gives each device the line that plays it alone."""
        return {
            "ok": self.ok,
            "whole": self.whole,
            "devices": len(self.members),
            "seed": self.seed,
            "seconds": self.seconds,
            "updated": self.updated,
            "missed": self.missed,
            "waiting": self.waiting,
            "bytes": self.bytes,
            "checked": list(self.checked),
            "counts": [{"status": status, "devices": count} for status, count in sorted(self.counts.items())],
            "groups": [asdict(group) for group in self.groups],
            "kinds": [
                {"kind": kind, "devices": devices, "updated": updated, "missed": missed}
                for kind, (devices, updated, missed) in self.kinds.items()
            ],
            "progress": [list(sample) for sample in self.progress],
            "slowest": [member.node_id for member in self.slowest],
            "members": [asdict(member) | {"replay": replay.line(member)} for member in self.members],
        }
