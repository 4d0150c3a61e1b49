"""What a part of a sweep found, in a form that merges: whoever did which part, together they say the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from py_esp_ota._core import FlashOp
from py_esp_ota.sweep.result import Case, Ending, SweepReport
from py_esp_ota.sweep.timeline import Timeline

#: Where in a sweep: first or second cuts, which stretch or run of them, and the how manyeth there.
Place = tuple[int, int, int]
#: What cannot differ has one name: the state that was looked at, where it mattered. Weak cells go by their place.
Name = tuple[object, ...]


class Seen(NamedTuple):
    """One look: where it was first needed, and what came of it.

    ``boots`` is how many it took, ``possible`` in how many ways its story, told again, can be cut.
    """

    at: Place
    ending: Ending
    boots: int
    possible: int


class Cut(NamedTuple):
    """A case whose ending is known by the name of its look."""

    plan: str
    operation: int
    name: Name


@dataclass(frozen=True, slots=True)
class SweepPart:
    """Cases by their stretch, and the looks that they stand on."""

    cases: Mapping[tuple[int, int], tuple[Cut, ...]] = field(default_factory=dict)
    looks: Mapping[Name, Seen] = field(default_factory=dict)

    def in_order(self, depth: int) -> Iterator[Cut]:
        """The cases of first (0) or second (1) cuts."""
        for stretch in sorted(self.cases):
            if stretch[0] == depth:
                yield from self.cases[stretch]


def merge(one: SweepPart, other: SweepPart) -> SweepPart:
    """Both parts. A look that both have done counts once, where it was needed first."""
    looks = dict(one.looks)
    for name, seen in other.looks.items():
        known = looks.get(name)
        if known is None or seen.at < known.at:
            looks[name] = seen
    return SweepPart({**one.cases, **other.cases}, looks)


def report_of(
    part: SweepPart, story: str, operations: tuple[FlashOp, ...], *, limit: int, times: Timeline | None, stopped: str
) -> SweepReport:
    """The report, as if one process had found it all.

    Args:
        part: what was found.
        story: its name.
        operations: of the story without a cut.
        limit: second cuts at most.
        times: when the operations happen, where that is known.
        stopped: why this is not all, ``""`` when it is.
    """
    seen = sorted(part.looks.values(), key=lambda look: look.at)
    numbers = {ending: number for number, ending in enumerate(dict.fromkeys(look.ending for look in seen))}
    cuts = [*part.in_order(0), *[*part.in_order(1)][:limit]]
    cases = tuple(Case(cut.plan, cut.operation, numbers[part.looks[cut.name].ending]) for cut in cuts)
    return SweepReport(story, operations, cases, tuple(numbers), sum(look.boots for look in seen), times, stopped)
