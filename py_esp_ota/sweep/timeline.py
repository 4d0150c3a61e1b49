"""When each flash operation of a story happens, and for how long a cut there does harm.

A story has no clock: its time is reckoned from its recording. Before an operation pass the bytes that come over the
link, when it programs them into an app partition, and the images that were judged since the operation before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypedDict

from py_esp_ota._core import FlashOp, PartitionTable
from py_esp_ota.adapters.link import Link
from py_esp_ota.flash_timing import FlashTiming

#: When a cut falls, by how it cuts: in the wait before its operation, in the operation, in the wait behind it.
_BEFORE, _IN, _BEHIND = range(3)
_APP = 0
_ELSEWHERE = "outside the partitions"


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a device is: its flash, and the link that images come over; without one they are there at once."""

    flash: FlashTiming
    link: Link | None = None


@dataclass(frozen=True, slots=True)
class Phase:
    """What a part of a story takes, in seconds: typically, and at worst."""

    name: str
    operations: int
    seconds: float
    worst: float


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time in which a cut does the same harm.

    It begins before or in operation ``first``, ends before or in ``last``, begins ``at`` seconds from the start of the
    story and lasts ``seconds``, typically; ``worst`` is how long at worst.
    """

    first: int
    last: int
    at: float
    seconds: float
    worst: float


class PhaseDict(TypedDict):
    """A phase, in JSON."""

    name: str
    operations: int
    seconds: float
    worst_seconds: float


class WindowDict(TypedDict):
    """A window of one broken promise, in JSON."""

    outcome: str
    why: str
    first: int
    last: int
    at_s: float
    seconds: float
    worst_seconds: float


class TimeDict(TypedDict):
    """How long a story takes, in JSON."""

    flash: str
    sheet: str
    worst_from: str
    link_bytes_per_second: float | None
    round_trip_s: float
    seconds: float
    worst_seconds: float
    phases: list[PhaseDict]
    windows: list[WindowDict]


@dataclass(frozen=True, slots=True)
class Timeline:
    """The time of one telling. ``waits`` and ``works`` are the seconds before and in each operation.

    ``rest`` is what passes behind the last one. The same at worst in ``worst_works``: waits do not differ.
    """

    pace: Pace
    waits: tuple[float, ...]
    works: tuple[float, ...]
    worst_works: tuple[float, ...]
    rest: float
    phases: tuple[Phase, ...]

    @property
    def seconds(self) -> float:
        """From the first boot to the last."""
        return sum(self.waits) + sum(self.works) + self.rest

    @property
    def worst(self) -> float:
        """The same when every command takes as long as it may."""
        return sum(self.waits) + sum(self.worst_works) + self.rest

    def windows(self, cuts: Iterable[tuple[int, str]]) -> tuple[Window, ...]:
        """When these cuts can happen: each an operation, and how it is cut (``""``, ``":after"`` or a tear)."""
        slots = sorted({operation * 2 + _slot(model) for operation, model in cuts})
        usual, longest = self._spans(self.works), self._spans(self.worst_works)
        starts = [0.0, *accumulate(usual)]
        found: list[Window] = []
        for first, last in _runs(slots):
            took, at_worst = sum(usual[first : last + 1]), sum(longest[first : last + 1])
            found.append(Window(first // 2, last // 2, starts[first], took, at_worst))
        return tuple(found)

    def _spans(self, works: Sequence[float]) -> list[float]:
        """Wait and work of each operation in turn, then what passes behind the last one."""
        return [*(span for pair in zip(self.waits, works, strict=True) for span in pair), self.rest]

    def to_dict(self, windows: Iterable[tuple[str, str, Window]]) -> TimeDict:
        """The timeline as JSON-ready values, with windows: each an outcome, a reason, and when."""
        flash, link = self.pace.flash, self.pace.link
        return {
            "flash": flash.name,
            "sheet": flash.sheet,
            "worst_from": "sheet" if flash.maximum else "driver",
            "link_bytes_per_second": link.bytes_per_second if link else None,
            "round_trip_s": link.round_trip if link else 0.0,
            "seconds": round(self.seconds, 6),
            "worst_seconds": round(self.worst, 6),
            "phases": [
                {
                    "name": phase.name,
                    "operations": phase.operations,
                    "seconds": round(phase.seconds, 6),
                    "worst_seconds": round(phase.worst, 6),
                }
                for phase in self.phases
            ],
            "windows": [
                {
                    "outcome": outcome,
                    "why": why,
                    "first": window.first,
                    "last": window.last,
                    "at_s": round(window.at, 6),
                    "seconds": round(window.seconds, 6),
                    "worst_seconds": round(window.worst, 6),
                }
                for outcome, why, window in windows
            ],
        }


def timeline(
    operations: Sequence[FlashOp], judged: Iterable[tuple[int, int]], table: PartitionTable, pace: Pace
) -> Timeline:
    """The time of a recording. ``judged``: after how many operations an image of how many bytes was looked through."""
    label = _labels(table)
    places = [label(operation.address) for operation in operations]
    arrives = [
        operation.length if operation.kind == "program" and is_app else 0
        for operation, (_name, is_app) in zip(operations, places, strict=True)
    ]
    downloads = [_download(size, pace.link) for size in arrives]
    first = next((number for number, size in enumerate(arrives) if size), None)
    if first is not None and pace.link is not None:
        downloads[first] += pace.link.round_trip
    looks = [0.0] * (len(operations) + 1)
    for number, size in judged:
        looks[number] += pace.flash.seconds(reads=size)
    works, longest = pace.flash.durations(operations), pace.flash.durations(operations, worst=True)
    parts: defaultdict[str, list[float]] = defaultdict(lambda: [0, 0.0, 0.0])
    if pace.link is not None and any(downloads):
        parts["download"] = [0, sum(downloads), sum(downloads)]
    for (name, _is_app), took, at_worst in zip(places, works, longest, strict=True):
        part = parts[f"write {name}"]
        part[0], part[1], part[2] = part[0] + 1, part[1] + took, part[2] + at_worst
    parts["look through images"] = [0, sum(looks), sum(looks)]
    return Timeline(
        pace,
        waits=tuple(map(sum, zip(downloads, looks[:-1], strict=True))),
        works=works,
        worst_works=longest,
        rest=looks[-1],
        phases=tuple(Phase(name, int(count), *seconds) for name, (count, *seconds) in parts.items()),
    )


def _download(size: int, link: Link | None) -> float:
    return size / link.bytes_per_second if link else 0.0


def _labels(table: PartitionTable) -> Callable[[int], tuple[str, bool]]:
    """In which partition an address is, and whether that is an app's."""
    rows = sorted((row.offset, row.offset + row.size, row.label, row.type == _APP) for row in table)

    def label(address: int) -> tuple[str, bool]:
        for start, end, name, is_app in rows:
            if start <= address < end:
                return name, is_app
        return _ELSEWHERE, False

    return label


def _slot(model: str) -> int:
    """Which of the spans of ``_spans`` a cut falls into, counted from the wait before its operation."""
    if model == "":
        return _BEFORE
    return _BEHIND if model == ":after" else _IN


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of each stretch without a gap."""
    start = 0
    for at in range(1, len(numbers) + 1):
        if at == len(numbers) or numbers[at] != numbers[at - 1] + 1:
            yield numbers[start], numbers[at - 1]
            start = at
