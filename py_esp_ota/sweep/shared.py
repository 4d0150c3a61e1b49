"""A sweep by many workers, with the report of one.

First cuts are shared out by stretches of the story, second cuts by the first cut that they follow. A state that two
workers look at has one name, and is counted once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial

from py_esp_ota._core import EFuse, Flash, Sectors
from py_esp_ota.sweep.cuts import tears_of
from py_esp_ota.sweep.engine import Progress, drawn, every_cut
from py_esp_ota.sweep.life import Past
from py_esp_ota.sweep.look import Look
from py_esp_ota.sweep.order import STRETCHES, First, Order, Stage
from py_esp_ota.sweep.part import Cut, Name, Place, Seen, SweepPart, merge, report_of
from py_esp_ota.sweep.result import SweepReport
from py_esp_ota.sweep.timeline import Pace, timeline
from py_esp_ota.work import Executor, Outcome, Work, run

_FIRST, _SECOND = 0, 1


def shared_sweep(
    order: Order,
    executor: Executor,
    *,
    limit: int = 100_000,
    pace: Pace | None = None,
    progress: Progress | None = None,
) -> SweepReport:
    """``sweep`` of what is ordered, by whoever does it: the report is the same, byte for byte, as from one process.

    When the user interrupts, or workers die again and again, the report is of what was done, and says so.

    Args:
        order: what is swept. Its ``firsts`` are not known yet.
        executor: who does it.
        limit: cases of depth 2 at most.
        pace: as ``sweep`` takes it.
        progress: told of shards done and in all.

    Raises:
        StoryError: as ``sweep``.
        WorkError: nobody is there to do it, or it cannot go there.
    """
    with order.bug():
        stage = order.stage
    order.share.require(stage.terms.story, len(stage.run.operations))
    found = _do(Work(first_cuts, order, merge, SweepPart()), STRETCHES, executor, progress)
    part = found.report
    if order.depth > 1 and found.whole:
        second = _second(order, part, limit)
        # What is there already adds nothing to itself: it may stand for the report of no shard.
        found = _do(Work(second_cuts, second, merge, part), len(second.firsts), executor, progress)
        part = found.report
    operations = stage.run.operations
    times = timeline(operations, stage.run.judged, stage.terms.scene.table, pace) if pace else None
    name = order.told.story.name
    return report_of(part, name, operations, limit=limit, times=times, stopped=found.stopped)


def _do(work: Work[Order, SweepPart], shards: int, executor: Executor, progress: Progress | None) -> Outcome[SweepPart]:
    found = run(work, range(shards), executor, told=lambda done, _report: progress and progress(done, shards))
    if found.whole:
        return found
    return replace(found, stopped=f"{found.stopped}; {found.done} of {shards} parts of it are in this report")


def _second(order: Order, part: SweepPart, limit: int) -> Order:
    """What is ordered after the first cuts: of each look the first case, where there is anything to cut behind it."""
    firsts: dict[Name, First] = {}
    for cut in part.in_order(_FIRST):
        firsts.setdefault(cut.name, First(cut.plan, cut.operation))
    ways = {name: part.looks[name].possible for name in firsts}
    chance = min(1.0, limit / max(sum(ways.values()), 1))
    return replace(order, firsts=tuple(first for name, first in firsts.items() if ways[name]), drawn=chance)


# ------------------------------------------------------------------------------------------------------ by the workers


def first_cuts(order: Order, number: int) -> SweepPart:
    """The cuts of one stretch of the story."""
    with order.bug():
        stage = order.stage
        span = stage.stretch(number)
        if span[0] == span[1]:
            return SweepPart()
        notes = _Notes(order, stage, (_FIRST, number))
        has, deep = order.share.has, order.depth > 1
        found = every_cut(notes, stage.run, order.tears, has, keep_run=deep, span=span)
        return notes.part(Cut(case.plan, case.operation, look.name) for case, look in found)


def second_cuts(order: Order, number: int) -> SweepPart:
    """The cuts of the recovery after one first cut: all of them, or those that are drawn."""
    with order.bug():
        stage, first = order.stage, order.firsts[number]
        tear = first.plan.removeprefix(f"cut@{first.operation}")
        state = stage.run.recording.cut(first.plan), stage.run.efuse(first.operation, tear)
        look = stage.looker.look(*state, Past(stage.run.confirmed(first.operation)))
        again, past = stage.looker.retell(look), Past(look.past.confirmed, look.nvs_flaw)
        notes = _Notes(order, stage, (_SECOND, number))
        chosen = partial(drawn, share=order.drawn, salt=order.seed * 1_000_003 + number)
        found = every_cut(notes, again, order.tears, chosen, prefix=f"{first.plan}+", past=past)
        return notes.part(Cut(case.plan, first.operation, look.name) for case, look in found)


@dataclass(frozen=True, slots=True)
class _Noted:
    """A look with its name."""

    needed: Sectors
    ending: int
    name: Name


class _Notes:
    """The looks of this process, noted for one shard as if it were alone: where it needed each first."""

    def __init__(self, order: Order, stage: Stage, stretch: tuple[int, int]) -> None:
        self._order = order
        self._stage = stage
        self._stretch = stretch
        self._count = 0
        self._seen: dict[Name, Seen] = {}

    def look(self, flash: Flash, efuse: EFuse, past: Past, *, keep_run: bool = False) -> _Noted:
        """As ``Looker.look``."""
        look = self._stage.looker.look(flash, efuse, past, keep_run=keep_run)
        if id(look) not in self._stage.known:
            self._stage.known[id(look)] = _name(look), self._possible(look)
        name, possible = self._stage.known[id(look)]
        at: Place = (*self._stretch, self._count)
        self._count += 1
        named = ("weak", at) if name is None else name  # like no other
        ending = self._stage.looker.endings[look.ending]
        self._seen.setdefault(named, Seen(at, ending, look.boots, possible))
        return _Noted(look.needed, look.ending, named)

    def part(self, cuts: Iterable[Cut]) -> SweepPart:
        """What the shard found; ``cuts`` are looked at here."""
        return SweepPart({self._stretch: tuple(cuts)}, self._seen)

    def _possible(self, look: Look) -> int:
        """In how many ways its story can be cut, where it was recorded."""
        run = self._stage.looker.runs.pop(id(look), None)
        return sum(len(tears_of(operation, self._order.tears)) for operation in run.operations) if run else 0


def _name(look: Look) -> Name | None:
    """The same in every process, for all states that the look stands for; ``None`` when it stands for its own alone."""
    content = look.flash.fingerprint(look.needed)
    return None if content is None else (content, look.efuse.to_json(), look.past)
