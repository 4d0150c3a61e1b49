"""What a sweep found: cases, and the endings they came to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal, NamedTuple, TypedDict

from py_esp_ota import html
from py_esp_ota._core import FlashOp
from py_esp_ota.sweep.timeline import TimeDict, Timeline, Window

#: ``old`` and ``new``: that image runs, whole and verified. ``as_the_chip``: a broken promise that ESP-IDF breaks too.
Outcome = Literal["old", "new", "as_the_chip", "violation"]
OUTCOMES: tuple[Outcome, ...] = ("old", "new", "as_the_chip", "violation")


_SHOWN = 10  # broken promises in a notebook


@dataclass(frozen=True, slots=True)
class Ending:
    """How the device settled. One look serves every case that cannot differ from it.

    ``why`` says which promise is broken and which upstream function breaks it; ``""`` when none is. ``partition`` and
    ``version`` are what runs, ``None`` when nothing does. ``otadata`` is both entries as the cut left them, spelled
    ``seq/STATE``, ``-`` for a blank one, ``!`` behind it when the CRC is wrong. ``log`` is the console of the boots
    after the cut, ``boots`` their number.
    """

    outcome: Outcome
    why: str
    partition: str | None
    version: str | None
    state: str
    otadata: tuple[str, ...]
    log: tuple[str, ...]
    boots: int

    def __repr__(self) -> str:
        runs = f"{self.version or 'an app'} runs from {self.partition}" if self.partition else "nothing boots"
        facts = ", ".join(filter(None, (runs, self.state, " ".join(self.otadata))))
        return f"<Ending {self.outcome}: {facts}{f'; {self.why}' if self.why else ''}>"


class Case(NamedTuple):
    """One power cut, or several: the line that replays it, the first operation it falls on, and its ending's index."""

    plan: str
    operation: int
    ending: int

    @property
    def model(self) -> str:
        """How it cuts that operation: ``""`` before it, ``":after"`` behind it, or a tear."""
        return self.plan.split("+", maxsplit=1)[0].removeprefix(f"cut@{self.operation}")


class ViolationDict(TypedDict):
    """One broken promise, in JSON."""

    plan: str
    why: str


class SweepDict(TypedDict):
    """The JSON of ``esp-ota sweep --json``."""

    story: str
    operations: int
    cases: int
    outcomes: dict[str, int]
    violations: list[ViolationDict]
    as_the_chip: list[ViolationDict]
    boots: int
    elapsed_s: float
    time: TimeDict | None
    stopped: str | None


@dataclass(frozen=True, slots=True, repr=False)
class SweepReport:
    """A story, cut everywhere.

    ``operations`` are the flash operations of the story without a cut; ``cases`` lie along them in order. ``boots``
    counts the boots that were really run: the other cases were shown to end like one of them. ``timeline`` says when
    each operation happens, where the pace is known. ``stopped`` says why not all cuts are in it, ``""`` when all are.
    """

    story: str
    operations: tuple[FlashOp, ...]
    cases: tuple[Case, ...]
    endings: tuple[Ending, ...]
    boots: int
    timeline: Timeline | None = None
    stopped: str = ""

    @property
    def outcomes(self) -> dict[str, int]:
        """How many cases came to each outcome; every outcome is named."""
        counted = Counter(case.ending for case in self.cases)
        total: dict[str, int] = dict.fromkeys(OUTCOMES, 0)
        for ending, count in counted.items():
            total[self.endings[ending].outcome] += count
        return total

    @property
    def ok(self) -> bool:
        """Whether no promise is broken, but for what the chip breaks."""
        return not any(True for _ in self.findings("violation"))

    def findings(self, outcome: Outcome) -> Iterator[tuple[Case, Ending]]:
        """The cases of one outcome, in order."""
        for case in self.cases:
            ending = self.endings[case.ending]
            if ending.outcome == outcome:
                yield case, ending

    def __repr__(self) -> str:
        counted = ", ".join(f"{count} {outcome}" for outcome, count in self.outcomes.items() if count)
        return f"<SweepReport {self.story}, {len(self.cases)} cuts: {counted}>"

    def _repr_html_(self) -> str:
        """The outcomes and the first broken promises, for a notebook."""
        counted = [(outcome, str(count)) for outcome, count in self.outcomes.items() if count]
        title = f"{self.story}: {len(self.operations)} flash operations, {len(self.cases)} cuts"
        broken = [(case.plan, ending.why) for case, ending in islice(self.findings("violation"), _SHOWN)]
        return html.table(title, ("Outcome", "Cuts"), counted) + (
            html.table("Broken promises", ("Cut", "Why"), broken) if broken else ""
        )

    def windows(self) -> Iterator[tuple[Outcome, str, Window]]:
        """When a cut breaks a promise: the worst outcome first, each reason with its stretches of time."""
        for outcome in ("violation", "as_the_chip"):
            cuts: dict[str, list[tuple[int, str]]] = {}
            for case, ending in self.findings(outcome) if self.timeline else ():
                cuts.setdefault(ending.why, []).append((case.operation, case.model))
            for why, places in cuts.items():
                for window in self.timeline.windows(places) if self.timeline else ():
                    yield outcome, why, window

    def to_dict(self, elapsed_s: float) -> SweepDict:
        """The report as JSON-ready values; how long it took is the caller's to know."""
        return {
            "story": self.story,
            "operations": len(self.operations),
            "cases": len(self.cases),
            "outcomes": self.outcomes,
            "violations": [{"plan": case.plan, "why": ending.why} for case, ending in self.findings("violation")],
            "as_the_chip": [{"plan": case.plan, "why": ending.why} for case, ending in self.findings("as_the_chip")],
            "boots": self.boots,
            "elapsed_s": elapsed_s,
            "time": self.timeline.to_dict(self.windows()) if self.timeline else None,
            "stopped": self.stopped or None,
        }
