"""What a campaign keeps for the next one: for each pair of marks the shortest world with both, and the findings.

Both are text, a line each: a key, a tab, and the world. What two campaigns kept merges line by line, in any order; of
two worlds for one key the shorter one stays, and of two that are as long the first by its text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations

from py_esp_ota.hunt.result import Finding, Run
from py_esp_ota.hunt.world import World, read_world

_Lines = Mapping[str, str]
_TAB = "\t"


@dataclass(frozen=True, slots=True)
class Corpus:
    """Worlds by pair of marks, and by the rule of what they break. ``+`` is commutative and associative."""

    marks: _Lines = field(default_factory=dict)
    findings: _Lines = field(default_factory=dict)

    @classmethod
    def of(cls, runs: Iterable[Run]) -> Corpus:
        """What some worlds are worth keeping for."""
        marks: dict[str, str] = {}
        findings: dict[str, str] = {}
        for run in runs:
            line = line_of(run.world)
            for pair in combinations(sorted(run.marks), 2):
                _keep(marks, "+".join(pair), line)
            if run.breach is not None:
                _keep(findings, run.breach.rule, line)
        return cls(marks, findings)

    def __add__(self, other: Corpus) -> Corpus:
        return Corpus(_merged(self.marks, other.marks), _merged(self.findings, other.findings))

    def with_findings(self, findings: Mapping[str, Finding]) -> Corpus:
        """With what a report has found."""
        found = {rule: line_of(finding.world) for rule, finding in findings.items()}
        return Corpus(self.marks, _merged(self.findings, found))

    def lines(self) -> list[str]:
        """Every world in it, once: the findings first, for they are to be tried again."""
        return [*dict.fromkeys([*self.findings.values(), *self.marks.values()])]


def line_of(world: World) -> str:
    """The line of a world, without the seed it came from: that says nothing once drawing has changed."""
    return " ".join(word for word in str(world).split() if not word.startswith("seed="))


def to_text(lines: _Lines) -> str:
    """One half of a corpus, as a file has it."""
    return "".join(f"{key}{_TAB}{line}\n" for key, line in sorted(lines.items()))


def from_text(text: str) -> dict[str, str]:
    """The same read again. Raises ``ValueError`` naming the line."""
    found: dict[str, str] = {}
    for number, row in enumerate(text.splitlines(), 1):
        key, tab, line = row.partition(_TAB)
        if not tab:
            raise ValueError(f"line {number}: expected a key, a tab and a world")
        try:
            read_world(line)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
        found[key] = line
    return found


def _keep(lines: dict[str, str], key: str, line: str) -> None:
    lines[key] = min(lines.get(key, line), line, key=_order)


def _merged(one: _Lines, two: _Lines) -> dict[str, str]:
    merged = dict(one)
    for key, line in two.items():
        _keep(merged, key, line)
    return merged


def _order(line: str) -> tuple[int, str]:
    return len(line), line
