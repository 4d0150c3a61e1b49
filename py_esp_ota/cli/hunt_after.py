"""What ``esp-ota hunt`` does with a world in which a promise is broken: make it small, say where a board was lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TypedDict

from py_esp_ota.hunt.play import play
from py_esp_ota.hunt.result import Report, Run
from py_esp_ota.hunt.shrink_world import shrink_world
from py_esp_ota.hunt.turn import Lost, where_lost
from py_esp_ota.mutants import MUTANTS

_LOOKED = 3  # findings of a campaign


class LostDict(TypedDict):
    """What became of a board, in JSON."""

    board: int
    recovers: bool
    way: list[str]
    proven: bool
    reason: str | None
    function: str | None
    file: str | None
    shown: str
    event: int | None
    what: str | None
    functions: list[str]
    note: str | None
    monotone: bool | None


@dataclass(frozen=True, slots=True)
class After:
    """What is to be done: ``shrinks`` makes the world small first, ``bisects`` asks after its boards."""

    shrinks: bool = False
    bisects: bool = False

    def smaller(self, ended: Run) -> Run:
        """The world to show: a small one in which the same is broken, if that is wanted."""
        if not self.shrinks or ended.breach is None:
            return ended
        return play(shrink_world(ended.world).case)

    def __bool__(self) -> bool:
        return self.shrinks or self.bisects

    def first(self, report: Report) -> list[Run]:
        """The first findings of a campaign, to be looked into if that is wanted."""
        found = sorted(report.findings.items())[:_LOOKED] if self else []
        return [self.smaller(play(finding.world)) for _, finding in found]

    def dicts(self, lost: list[Lost]) -> dict[str, list[LostDict]]:
        """What is added to a report in JSON."""
        return {"lost": [_dict(one) for one in lost]} if self.bisects else {}

    def lost(self, ended: Run) -> list[Lost]:
        """What became of the boards that the breach may be about, if that is wanted."""
        if not self.bisects or ended.breach is None:
            return []
        board = ended.breach.board
        return [where_lost(ended.world, one) for one in (range(ended.world.boards) if board is None else [board])]


def lost_lines(found: list[Lost]) -> Iterator[str]:
    """The same in words."""
    for lost in found:
        yield from (f"  {line}" for line in str(lost).splitlines())


def _dict(lost: Lost) -> LostDict:
    """The same as JSON-ready values."""
    said, turn = lost.prognosis, lost.turn
    reason = said.reason
    return {
        "board": lost.board,
        "recovers": said.recovers,
        "way": list(said.way),
        "proven": said.proven,
        "reason": reason.name if reason else None,
        "function": reason.function if reason else None,
        "file": reason.file if reason else None,
        "shown": said.shown,
        "event": turn.index if turn else None,
        "what": turn.what if turn else None,
        "functions": list(turn.event.functions) if turn else [],
        "note": turn.event.note if turn else None,
        "monotone": turn.monotone if turn else None,
    }


def switched_on(mutant: str | None) -> AbstractContextManager[None]:
    """A bug of our own, or none."""
    return MUTANTS[mutant].on() if mutant else nullcontext()
