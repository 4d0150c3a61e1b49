"""One thing that was found: its name, how much it weighs, who decides it upstream, and the facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypedDict

#: ``refused``: the update ends there. ``risk``: it runs, and this is what may go wrong. ``unknown``: the files do not
#: say it. ``note``: as it should be.
Severity = Literal["refused", "risk", "unknown", "note"]

#: The worst first.
SEVERITIES: tuple[Severity, ...] = ("refused", "risk", "unknown", "note")

Fact = str | int | bool | None


class FindingDict(TypedDict):
    """A finding as JSON."""

    id: str
    severity: Severity
    function: str | None
    text: str
    facts: dict[str, Fact]


@dataclass(frozen=True, slots=True)
class Finding:
    """``function`` is the upstream function or tool that decides it, ``""`` where none does."""

    id: str
    severity: Severity
    function: str
    text: str
    facts: Mapping[str, Fact] = field(default_factory=dict)

    def to_dict(self) -> FindingDict:
        """As JSON-ready values."""
        return {
            "id": self.id,
            "severity": self.severity,
            "function": self.function or None,
            "text": self.text,
            "facts": dict(self.facts),
        }


def by_weight(findings: list[Finding]) -> list[Finding]:
    """The worst first, otherwise as they were found."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
