"""Every power cut of an order: does it boot, and does it finish?

The story is ``steps.carry_on``; the cuts are those of ``py_esp_ota.sweep``. A cut device boots, and the app that boots
goes on until the migration is done. A case where nothing boots is a *brick*; the window is where these lie.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypedDict

from py_esp_ota._core import EFuse, Flash, FlashOp
from py_esp_ota.chip import Chip
from py_esp_ota.errors import EspError, Restart
from py_esp_ota.field.migrate.board import Board
from py_esp_ota.field.migrate.facts import Facts, Refusal
from py_esp_ota.field.migrate.orders import Order
from py_esp_ota.field.migrate.steps import SECTOR, Stuck, carry_on
from py_esp_ota.flash_timing import FlashTiming
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.sweep.cuts import tears_of
from py_esp_ota.sweep.engine import every_cut
from py_esp_ota.sweep.life import Life, Past
from py_esp_ota.sweep.look import Look
from py_esp_ota.sweep.record import record
from py_esp_ota.sweep.result import Case, Ending, SweepReport

#: A look may stand for those right behind it; to compare with all of them costs more than to look again.
_LATEST = 4


class WindowDict(TypedDict):
    """Operations in a row that must not be cut, as JSON."""

    first: int
    last: int
    address: int
    typical_ms: float
    maximum_ms: float


@dataclass(frozen=True, slots=True)
class Window:
    """Operations in a row, a cut of each of which can leave a device that does not boot; seconds that they take."""

    first: int
    last: int
    address: int
    typical: float
    maximum: float

    def to_dict(self) -> WindowDict:
        """As JSON-ready values."""
        return {
            "first": self.first,
            "last": self.last,
            "address": self.address,
            "typical_ms": round(self.typical * 1000, 3),
            "maximum_ms": round(self.maximum * 1000, 3),
        }


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of all cuts of an order.

    ``bricks`` are the cases where nothing boots, ``stuck`` those that boot and do not come to the end. ``result`` is
    the flash in the end, ``seconds`` what the flash takes for all of it.
    """

    order: Order
    report: SweepReport
    windows: tuple[Window, ...]
    bricks: int
    stuck: int
    seconds: float
    result: Flash
    efuse: EFuse
    brick: Ending | None
    failure: tuple[str, str] | None

    @property
    def at_risk(self) -> float:
        """How long the device must not lose power, typically, in seconds."""
        return sum(window.typical for window in self.windows)

    @property
    def safe(self) -> bool:
        """Whether it boots after every cut, and finishes."""
        return not self.bricks and not self.stuck


def verdict(facts: Facts, order: Order, timing: FlashTiming) -> Verdict:
    """Cut an order everywhere. Raises ``Refusal`` when it does not come to its end without a cut."""
    builds = _builds(facts, order)
    board = _board(facts, order, builds, facts.dump.flash, facts.dump.efuse)
    try:
        run = record(board, _story(board, order))
    except (Stuck, EspError) as error:
        raise Refusal(f"{order.name} does not come to its end: {error}") from error
    except Restart as error:
        raise Refusal(f"{order.name} does not come to its end: the app ends: {error}") from error
    unfinished = _unfinished(board, order)
    if unfinished:
        raise Refusal(f"{order.name} does not come to its end: {unfinished}")
    looker = _Looker(facts, order, builds)
    cases = [case for case, _ in every_cut(looker, run, "torn", lambda _: True)] if run.operations else []
    report = SweepReport(f"migrate: {order.name}", run.operations, tuple(cases), tuple(looker.endings), looker.boots)
    bricked = [case for case in cases if _bricks(report, case)]
    failed = [
        case for case in cases if not _bricks(report, case) and report.endings[case.ending].outcome == "violation"
    ]
    durations = [timing.durations(run.operations, worst=worst) for worst in (False, True)]
    first = failed[0] if failed else None
    return Verdict(
        order=order,
        report=report,
        windows=_windows(run.operations, sorted({case.operation for case in bricked}), durations),
        bricks=len(bricked),
        stuck=len(failed),
        seconds=sum(durations[0]),
        result=board.flash,
        efuse=board.chip.efuse,
        brick=report.endings[bricked[0].ending] if bricked else None,
        failure=None if first is None else (first.plan, report.endings[first.ending].why),
    )


def twice(facts: Facts, order: Order, *, share: int, offset: int = 0) -> SweepReport:
    """The cuts of what is left to do after a first cut, whose plan stands before theirs.

    Every ``share``-th operation is cut first and second, from ``offset`` on; 1 is all of them, and takes minutes.
    """
    builds = _builds(facts, order)
    board = _board(facts, order, builds, facts.dump.flash, facts.dump.efuse)
    run = record(board, _story(board, order))
    looker = _Looker(facts, order, builds)
    cases: list[Case] = []
    for operation in run.operations[offset::share]:
        for tear in tears_of(operation, "torn"):
            first = f"cut@{operation.index}{tear}"
            left = _board(facts, order, builds, run.recording.cut(first), run.efuse(operation.index, tear))
            rest = record(left, _story(left, order))
            if rest.operations:
                chosen = partial(_in_share, share=share, offset=offset)
                cases += [case for case, _ in every_cut(looker, rest, "torn", chosen, prefix=f"{first}+")]
    return SweepReport(f"migrate: {order.name}", run.operations, tuple(cases), tuple(looker.endings), looker.boots)


def _story(board: Board, order: Order) -> Callable[[Life], None]:
    """The migration, as what a device does from power-on to its end."""
    return lambda _: carry_on(board, order.stages)


def _in_share(operation: int, *, share: int, offset: int) -> bool:
    return operation % share == offset % share


def _bricks(report: SweepReport, case: Case) -> bool:
    return report.endings[case.ending].partition is None


def _windows(
    operations: tuple[FlashOp, ...], at_risk: list[int], durations: list[tuple[float, ...]]
) -> tuple[Window, ...]:
    """Operations in a row, each run of them one window."""
    runs: list[list[int]] = []
    for operation in at_risk:
        if runs and operation == runs[-1][-1] + 1:
            runs[-1].append(operation)
        else:
            runs.append([operation])
    return tuple(
        Window(run[0], run[-1], operations[run[0]].address, *(sum(times[at] for at in run) for times in durations))
        for run in runs
    )


def _builds(facts: Facts, order: Order) -> Mapping[int, Sdkconfig]:
    """How bootloaders and app are built, by where they look for their table."""
    config = facts.dump.config
    offsets = {config.partition_table_offset, order.app_table, *order.loaders.values()}
    return {offset: replace(config, partition_table_offset=offset) for offset in offsets}


def _board(facts: Facts, order: Order, builds: Mapping[int, Sdkconfig], flash: Flash, efuse: EFuse) -> Board:
    """A device without power. As on chips, bits of a program only ever clear."""
    fork = flash.fork()
    fork.power_off()
    chip = Chip(facts.dump.target.name, flash=fork, efuse=efuse.copy())
    loaders = {image: builds[offset] for image, offset in order.loaders.items()}
    return Board(chip, builds[facts.table_offset], loaders, builds[order.app_table])


def _unfinished(board: Board, order: Order) -> str:
    """What is not as it is to be, ``""`` when all is."""
    flash = board.flash
    if board.running.offset != order.runs:
        return f"{board.running.label} runs at 0x{board.running.offset:x}, not what lies at 0x{order.runs:x}"
    for held in order.final:
        read = flash.read if held.plain else flash.mmap
        for at in range(0, len(held.data), SECTOR):
            piece = held.data[at : at + SECTOR]
            if read(held.at + at, len(piece)) != piece:
                return f"the flash at 0x{held.at + at:x} is not what it is to be"
    return ""


@dataclass(slots=True)
class _Looker:
    """All looks of one sweep, as ``sweep.look`` has them, by the promises of a migration."""

    facts: Facts
    order: Order
    builds: Mapping[int, Sdkconfig]
    looks: list[Look] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)
    boots: int = 0
    _numbers: dict[Ending, int] = field(default_factory=dict)

    def look(self, flash: Flash, efuse: EFuse, past: Past, *, keep_run: bool = False) -> Look:
        """What comes of a device without power."""
        del keep_run
        for known in self.looks[:-_LATEST:-1]:
            if known.stands_for(flash, efuse, past):
                return known
        board = _board(self.facts, self.order, self.builds, flash, efuse)
        board.flash.watch()
        why = self._life(board)
        self.boots += len(board.boots)
        ending = _ending(board, why, self.order)
        number = self._numbers.setdefault(ending, len(self.endings))
        if number == len(self.endings):
            self.endings.append(ending)
        look = Look(flash, efuse, past, board.flash.needed(), number, "", len(board.boots))
        self.looks.append(look)
        return look

    def _life(self, board: Board) -> str:
        """Power comes, and the app goes on. Why that is no good, ``""`` when it is."""
        try:
            carry_on(board, self.order.stages)
        except (Stuck, EspError) as error:
            return str(error)
        except Restart as error:
            return f"the app ends: {error}"
        return _unfinished(board, self.order)


def _ending(board: Board, why: str, order: Order) -> Ending:
    first = board.boots[0]
    dead = next((report for report in board.boots if report.partition is None), None)
    shown = first if dead is None else dead
    new = board.table == order.final[0].data
    return Ending(
        outcome="violation" if why else "new" if new else "old",
        why=why,
        partition=shown.partition.label if shown.partition else None,
        version=shown.app_desc.version if shown.app_desc else None,
        state=shown.state,
        otadata=(),
        log=shown.log,
        boots=len(board.boots),
    )
