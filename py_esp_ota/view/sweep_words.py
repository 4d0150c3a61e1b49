"""Words that every picture of a sweep shares."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from py_esp_ota._core import FlashOp
from py_esp_ota.sweep.result import Case, Ending, Outcome, SweepReport

#: What each outcome means, for people.
MEANING: dict[Outcome, str] = {
    "old": "the old image runs, whole and verified",
    "new": "the new image runs, whole and verified",
    "as_the_chip": "a promise is broken, and ESP-IDF breaks it too",
    "violation": "a promise is broken",
}

#: The outcomes that need an explanation, the worst first.
FINDINGS: tuple[Outcome, ...] = ("violation", "as_the_chip")

#: How many of the plans that come to one ending are named at one place.
_NAMED = 20

_NOT_A_WORD = re.compile(r"[^a-z0-9]+")


def operation_words(operation: FlashOp) -> str:
    """``erase 0x00d000``, or a range for a program: ``program 0x010000..0x0100ff``."""
    start = f"{operation.kind} 0x{operation.address:06x}"
    return start if operation.kind == "erase" else f"{start}..0x{operation.address + operation.length - 1:06x}"


def model_of(case: Case) -> str:
    """How a case cuts its operation: the plan behind ``cut@N``, ``""`` for a cut before it.

    A plan that begins otherwise is its own model.
    """
    model = case.plan.removeprefix(f"cut@{case.operation}")
    return model if model == "" or model[0] in ":+" else case.plan


def runs(ending: Ending) -> str:
    """What runs in the end: ``1.1.0 from ota_0, VALID``."""
    if ending.partition is None:
        return "nothing boots"
    version = ending.version or "an app without a description"
    return f"{version} from {ending.partition}" + (f", {ending.state}" if ending.state else "")


def broken_promise(why: str) -> str:
    """A short name for a broken promise that stays the same between runs, as a slug.

    From what the chip does when that follows the promise behind a semicolon, else from the promise.
    """
    clause = re.split(r"[:(]|\. ", why.partition("; ")[2] or why, maxsplit=1)[0]
    words = [word for word in _NOT_A_WORD.split(clause.lower()) if word and not word.isdigit()]
    return "-".join(words[:8]) or "broken-promise"


@dataclass(frozen=True, slots=True)
class Finding:
    """Cases of one operation that break the same promise."""

    outcome: Outcome
    operation: int
    ending: Ending
    plans: tuple[str, ...]


def findings(report: SweepReport, outcome: Outcome) -> Iterator[Finding]:
    """The findings of one outcome along the operations, cases of one operation with one reason together."""
    grouped: dict[tuple[int, str], tuple[Ending, list[str]]] = {}
    for case, ending in report.findings(outcome):
        grouped.setdefault((case.operation, ending.why), (ending, []))[1].append(case.plan)
    for (operation, _why), (ending, plans) in grouped.items():
        yield Finding(outcome, operation, ending, tuple(plans))


def first_plans(plans: Sequence[str]) -> list[str]:
    """Plans to name: the first few, and how many more there are."""
    shown = list(plans[:_NAMED])
    return shown if len(shown) == len(plans) else [*shown, f"and {len(plans) - len(shown):,} more"]


def operation_at(report: SweepReport, index: int) -> str:
    """The words for an operation by its number; a cut behind the last one has none."""
    if index < len(report.operations):
        return operation_words(report.operations[index])
    return "behind the last operation"


def ending_lines(ending: Ending) -> list[str]:
    """An ending as lines of plain text: what runs, both otadata entries, the console."""
    return [
        f"ends with: {runs(ending)}",
        f"otadata: {'  '.join(ending.otadata)}",
        f"console of {ending.boots} boot{'s' if ending.boots != 1 else ''}:",
        *ending.log,
    ]
