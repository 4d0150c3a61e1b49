"""How a job is rolled out: phases, the gate between two of them, what stops it, how fast. Values and their words.

A plan is written as JSON; thresholds and phases are short texts, ``10`` for nodes and ``10%`` for a share::

    {"phases": ["10", "25%", "rest"],
     "gate": {"success": "90%", "hold": 600, "within": 3600, "confirm": false},
     "abort": {"failed": "10", "rolled_back": "2%", "no_answer": "20%", "least": 5},
     "answer_within": 300, "node_timeout": 3600, "rate": 100, "start": 1790000000}

Everything may be left out; then all nodes have their turn at once and nothing stops the job. No I/O and no clock.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

REST = "rest"
GROUP = "group:"
MAX_PHASES = 20
RATE_LIMIT = 100_000
SECONDS_LIMIT = 10 * 365 * 86_400

_AMOUNT = re.compile(r"([0-9]{1,9})|([0-9]{1,3}(?:\.[0-9]{1,3})?)%")
_WHOLE = 100.0
_CLOSE = 1e-6  # nodes


@dataclass(frozen=True, slots=True)
class Amount:
    """So many nodes, or such a share of them."""

    nodes: int = 0
    percent: float | None = None

    @classmethod
    def parse(cls, text: str, what: str) -> Self:
        """``10`` or ``2.5%``. Raises ``ValueError`` with a sentence that begins with ``what``."""
        found = _AMOUNT.fullmatch(text.strip())
        if not found:
            raise ValueError(f"{what}: {text[:40]!r} is neither a number of nodes, as 10, nor a share, as 10%")
        nodes, percent = found.groups()
        if percent is not None and float(percent) > _WHOLE:
            raise ValueError(f"{what}: {text} is more than all")
        return cls(int(nodes or 0), None if percent is None else float(percent))

    def of(self, total: int) -> int:
        """How many of ``total`` nodes that is, rounded up."""
        if self.percent is None:
            return self.nodes
        return math.ceil(round(self.exactly(total), 6))

    def exactly(self, total: int) -> float:
        """The same before it is rounded."""
        return self.nodes if self.percent is None else total * self.percent / _WHOLE

    @property
    def none(self) -> bool:
        """Whether it is nothing at all."""
        return not self.nodes and not self.percent

    def __str__(self) -> str:
        return str(self.nodes) if self.percent is None else f"{self.percent:g}%"


@dataclass(frozen=True, slots=True)
class Gate:
    """What a phase must have come to before the next one begins."""

    success: Amount = Amount(percent=90.0)  # of the phase's nodes
    hold: int = 0  # seconds for which it is watched after that
    within: int = 0  # seconds from the begin of the phase after which the job pauses; 0 is never
    confirm: bool = False  # an admin opens it


@dataclass(frozen=True, slots=True)
class Abort:
    """What ends the job by itself. ``None`` is never; shares are those of the nodes that have had their turn."""

    failed: Amount | None = None  # nodes that ended without the update, for whatever reason
    rolled_back: Amount | None = None
    no_answer: Amount | None = None  # nodes that have the URL and said nothing for ``Plan.answer_within``
    least: int = 1  # shares count once so many nodes have ended, or said nothing


@dataclass(frozen=True, slots=True)
class Plan:
    """How a job is rolled out."""

    phases: tuple[str, ...] = ()  # "10", "10%", "group:<id>", "rest"
    gate: Gate = field(default_factory=Gate)
    abort: Abort = field(default_factory=Abort)
    answer_within: int = 0  # seconds; 0 is as long as it takes
    node_timeout: int = 0  # seconds from the URL to the node's result; 0 is as long as the job
    rate: int = 0  # nodes a minute; 0 is all at once
    start: int = 0  # seconds since 1970; 0 is now

    def to_json(self) -> dict[str, Any]:
        """The document, with everything in it."""
        document = asdict(self)
        document["phases"] = list(self.phases)
        document["gate"]["success"] = str(self.gate.success)
        for key in ("failed", "rolled_back", "no_answer"):
            amount: Amount | None = getattr(self.abort, key)
            document["abort"][key] = "" if amount is None else str(amount)
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Plan:
        """The plan that is written. Raises ``ValueError`` with one sentence that names what is wrong."""
        _known(document, cls.__dataclass_fields__, "plan")
        gate, abort = _object(document, "gate"), _object(document, "abort")
        _known(gate, Gate.__dataclass_fields__, "plan.gate")
        _known(abort, Abort.__dataclass_fields__, "plan.abort")
        plan = cls(
            phases=_phases(document.get("phases", ())),
            gate=Gate(
                success=Amount.parse(_text(gate, "success", "90%", "plan.gate"), "plan.gate.success"),
                hold=_number(gate, "hold", 0, SECONDS_LIMIT, "plan.gate"),
                within=_number(gate, "within", 0, SECONDS_LIMIT, "plan.gate"),
                confirm=_flag(gate, "confirm", "plan.gate"),
            ),
            abort=Abort(
                **{key: _threshold(abort, key) for key in ("failed", "rolled_back", "no_answer")},
                least=_number(abort, "least", 1, SECONDS_LIMIT, "plan.abort"),
            ),
            answer_within=_number(document, "answer_within", 0, SECONDS_LIMIT, "plan"),
            node_timeout=_number(document, "node_timeout", 0, SECONDS_LIMIT, "plan"),
            rate=_number(document, "rate", 0, RATE_LIMIT, "plan"),
            start=_number(document, "start", 0, 2**32, "plan"),
        )
        problem = plan.problem()
        if problem:
            raise ValueError(problem)
        return plan

    def problem(self) -> str:
        """What makes no sense in it, as one sentence; empty when it does."""
        endless = len(self.phases) > 1 and self.gate.success.none and not (self.gate.hold or self.gate.confirm)
        problems = {
            "plan.abort.no_answer needs answer_within: after how many seconds is no answer one?": (
                self.abort.no_answer is not None and not self.answer_within
            ),
            "plan.gate: a gate of 0 without hold or confirm lets every phase begin at once": endless,
            f"plan.phases: at most {MAX_PHASES}, not {len(self.phases)}": len(self.phases) > MAX_PHASES,
            f"plan.phases: {REST} is the last one": REST in self.phases[:-1],
        }
        return next((sentence for sentence, applies in problems.items() if applies), "")


AT_ONCE = Plan()
"""Every node has its turn when the job is made."""


def sizes_of(phases: Sequence[str], total: int, of_groups: Mapping[str, int]) -> tuple[int, ...]:
    """How many of ``total`` nodes each phase takes; one phase of all when there are none.

    ``of_groups`` says by group id how many nodes stand in front of the others because a phase names their group.

    Raises:
        ValueError: the phases do not add up; one sentence with the numbers.
    """
    if not phases:
        return (total,)
    sizes: list[int] = []
    exact = 0.0
    for number, phase in enumerate(phases, 1):
        left = total - sum(sizes)
        amount = _amount(phase, number, left, of_groups)
        size, exact = amount.of(total), exact + amount.exactly(total)
        # Shares are rounded up, so that those which make 100 % may be a node or two more than there are.
        if amount.percent is not None and exact <= total + _CLOSE:
            size = min(size, left)
        if size == 0:
            raise ValueError(f"plan.phases: phase {number} ({phase}) is left without a node, the job has {total}")
        if size > left:
            raise ValueError(
                f"plan.phases: phase {number} takes {size} nodes, and {left} of the job's {total} are left for it"
            )
        sizes.append(size)
    if sum(sizes) < total:
        raise ValueError(f"plan.phases: they take {sum(sizes)} of the job's {total} nodes; end with {REST}")
    return tuple(sizes)


def _amount(phase: str, number: int, left: int, of_groups: Mapping[str, int]) -> Amount:
    if phase == REST:
        return Amount(left)
    if phase.startswith(GROUP):
        return Amount(of_groups[phase.removeprefix(GROUP)])
    return Amount.parse(phase, f"plan.phases: phase {number}")


# --------------------------------------------------------------------------------------------------------------- words


def _known(document: Mapping[str, Any], names: Mapping[str, object], where: str) -> None:
    odd = sorted(str(key)[:40] for key in document if key not in names)
    if odd:
        raise ValueError(f"{where}: {odd[0]} is none of {', '.join(names)}")


def _object(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key, {})
    if not isinstance(value, Mapping):
        raise ValueError(f"plan.{key} is an object")  # noqa: TRY004 - what a user wrote, not what a program passed
    return value


def _phases(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(each, str | int) for each in value):
        raise ValueError('plan.phases is a list, as ["10", "25%", "rest"]')
    phases = tuple(str(each).strip() for each in value)
    for number, phase in enumerate(phases, 1):
        if phase != REST and not phase.startswith(GROUP):
            Amount.parse(phase, f"plan.phases: phase {number}")
    return phases


def _text(document: Mapping[str, Any], key: str, default: str, where: str) -> str:
    value = document.get(key, default)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"{where}.{key}: a number of nodes, as 10, or a share, as 10%")  # noqa: TRY004 - the same
    return str(value)


def _threshold(document: Mapping[str, Any], key: str) -> Amount | None:
    text = _text(document, key, "", "plan.abort")
    if not text:
        return None
    amount = Amount.parse(text, f"plan.abort.{key}")
    if amount.none:
        raise ValueError(f"plan.abort.{key}: 0 would stop the job before anything happened; 1 is the first node")
    return amount


def _number(document: Mapping[str, Any], key: str, low: int, high: int, where: str) -> int:
    value = document.get(key, low)
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{where}.{key} is a whole number from {low} to {high}")
    return value


def _flag(document: Mapping[str, Any], key: str, where: str) -> bool:
    value = document.get(key, False)
    if not isinstance(value, bool):
        raise ValueError(f"{where}.{key} is true or false")  # noqa: TRY004 - what a user wrote
    return value
