"""What a world came to, and what many of them came to: values that merge in any order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypedDict

from py_esp_ota.hunt.marks import MARKS
from py_esp_ota.hunt.world import World

Heard = Callable[[float, int, str], None]
"""Told of each line of a console: the second, the board's number, the line."""

MARKED_BY: Final = 5000
"""In so many worlds every mark has to be reached once."""

_DETAIL: Final = re.compile(r"\b\d[\d.]*\b|'[^']*'|\bota_\d|\bfactory\b|\bjob\w+|b?\"[^\"]*\"")


@dataclass(frozen=True, slots=True)
class Breach:
    """A promise that was broken: which, on which board, ``None`` for the cloud's, after how many seconds, and how."""

    promise: str
    board: int | None
    at: float
    why: str

    @property
    def rule(self) -> str:
        """What breaches of one cause have in common: the promise, and how it was broken, without the numbers."""
        return f"{self.promise}: {_DETAIL.sub('~', self.why)}"


@dataclass(frozen=True, slots=True)
class Run:
    """One world, played to its end or to its first breach.

    ``chips_own`` are the upstream functions that broke a promise themselves; ``seconds`` is how long it took by its
    own clock.
    """

    world: World
    breach: Breach | None
    marks: frozenset[str]
    chips_own: frozenset[str]
    seconds: float


class FindingDict(TypedDict):
    """A finding, in JSON."""

    promise: str
    board: int | None
    at_s: float
    why: str
    worlds: int
    seed: int | None
    line: str


class HuntDict(TypedDict):
    """A report, in JSON."""

    worlds: int
    real_clouds: int
    seconds: int
    elapsed_s: float | None
    stopped: str
    findings: list[FindingDict]
    marks: dict[str, int]
    reached_by: dict[str, int]
    missing: list[str]
    as_the_chip: dict[str, int]


@dataclass(frozen=True, slots=True)
class Finding:
    """A breach, the shortest world that has it, and in how many worlds its rule was broken."""

    world: World
    breach: Breach
    worlds: int = 1

    @property
    def order(self) -> tuple[int, str]:
        """The world that is shown for many: the one with the fewest acts, the first of those."""
        return len(self.world.acts), str(self.world)

    def with_more(self, other: Finding) -> Finding:
        """Both as one."""
        first = min(self, other, key=lambda finding: finding.order)
        return Finding(first.world, first.breach, self.worlds + other.worlds)


@dataclass(frozen=True, slots=True)
class Report:
    """What a campaign came to. ``+`` is commutative and associative, and ``Report()`` changes nothing.

    ``findings`` are by the rule of their breach. ``marks`` says in how many worlds each was reached, ``first`` the
    lowest seed that did. ``seconds`` are those of the worlds, whole ones.
    """

    worlds: int = 0
    real_clouds: int = 0
    seconds: int = 0
    findings: Mapping[str, Finding] = field(default_factory=dict)
    marks: Mapping[str, int] = field(default_factory=dict)
    first: Mapping[str, int] = field(default_factory=dict)
    chips_own: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, runs: Iterable[Run]) -> Report:
        """The report of some worlds."""
        marks, chips_own = Counter[str](), Counter[str]()
        first: dict[str, int] = {}
        findings: dict[str, Finding] = {}
        worlds = real = seconds = 0
        for run in runs:
            worlds, seconds = worlds + 1, seconds + int(run.seconds)
            real += run.world.cloud == "real"
            marks.update(run.marks)
            chips_own.update(run.chips_own)
            if run.world.seed is not None:
                for mark in run.marks:
                    first[mark] = min(first.get(mark, run.world.seed), run.world.seed)
            if run.breach is not None:
                _put(findings, run.breach.rule, Finding(run.world, run.breach))
        return cls(worlds, real, seconds, findings, dict(marks), first, dict(chips_own))

    def __add__(self, other: Report) -> Report:
        findings = dict(self.findings)
        for rule, finding in other.findings.items():
            _put(findings, rule, finding)
        seeds = [*self.first.items(), *other.first.items()]
        return Report(
            self.worlds + other.worlds,
            self.real_clouds + other.real_clouds,
            self.seconds + other.seconds,
            findings,
            _added(self.marks, other.marks),
            {mark: min(seed for name, seed in seeds if name == mark) for mark, _ in seeds},
            _added(self.chips_own, other.chips_own),
        )

    @property
    def missing(self) -> tuple[str, ...]:
        """Marks that no world reached."""
        return tuple(mark for mark in MARKS if mark not in self.marks)

    @property
    def ok(self) -> bool:
        """Whether no promise was broken, and every mark was reached if there were enough worlds for that."""
        return not self.findings and not (self.worlds >= MARKED_BY and self.missing)

    def to_dict(self, *, elapsed_s: float | None = None, stopped: str = "") -> HuntDict:
        """The report as JSON-ready values."""
        return {
            "worlds": self.worlds,
            "real_clouds": self.real_clouds,
            "seconds": self.seconds,
            "elapsed_s": None if elapsed_s is None else round(elapsed_s, 3),
            "stopped": stopped,
            "findings": [
                {
                    "promise": finding.breach.promise,
                    "board": finding.breach.board,
                    "at_s": finding.breach.at,
                    "why": finding.breach.why,
                    "worlds": finding.worlds,
                    "seed": finding.world.seed,
                    "line": str(finding.world),
                }
                for _, finding in sorted(self.findings.items())
            ],
            "marks": dict(sorted(self.marks.items())),
            "reached_by": dict(sorted(self.first.items())),
            "missing": [*self.missing],
            "as_the_chip": dict(sorted(self.chips_own.items())),
        }


def _put(findings: dict[str, Finding], rule: str, finding: Finding) -> None:
    findings[rule] = findings[rule].with_more(finding) if rule in findings else finding


def _added(one: Mapping[str, int], two: Mapping[str, int]) -> dict[str, int]:
    return dict(Counter(one) + Counter(two))
