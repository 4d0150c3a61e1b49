"""One world from its first second to its end: while things go wrong, safety; when they have stopped, liveness."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from py_esp_ota.adapters.memory import run_virtual
from py_esp_ota.hunt.board import Board
from py_esp_ota.hunt.result import Heard, Run
from py_esp_ota.hunt.stage import Over, Stage
from py_esp_ota.hunt.world import World

_REST_S = 120.0  # behind the last act, still under its faults
_OWN_JOBS_S = 1800.0
_RESCUE_S = 2400.0
_RESCUES = 4
_SETTLES_S = 120.0
OnBoard = Callable[[Board], object]

BOUND_S = _OWN_JOBS_S + _RESCUES * (_RESCUE_S + _SETTLES_S) + _SETTLES_S
"""After so much fair weather everybody has to be there."""


def play(world: World, heard: Heard | None = None, on_board: OnBoard | None = None) -> Run:
    """Play a world. The same world comes to the same end, whatever was played before it.

    Args:
        world: the world.
        heard: told of each line of a console.
        on_board: told of each board before it has power.
    """
    with _quiet():
        stage = run_virtual(_play(world, heard, on_board))
    breach, chips_own = stage.breach, set(stage.chips_own)
    for doubt in stage.doubts:
        function = doubt.as_the_chip()
        if function:
            chips_own.add(function)
        else:
            breach = breach or doubt.breach
    return Run(world, breach, frozenset(stage.marks), frozenset(chips_own), stage.ended)


@contextmanager
def _quiet() -> Iterator[None]:
    """A cloud that is killed on purpose has much to say."""
    cloud = logging.getLogger("py_esp_ota.cloud")
    before = cloud.level
    cloud.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        cloud.setLevel(before)


async def _play(world: World, heard: Heard | None, on_board: OnBoard | None) -> Stage:
    stage = Stage(world, heard)
    if on_board is not None:
        for board in stage.boards:
            on_board(board)
    try:
        await stage.begin()
        await _safety(stage)
        await _liveness(stage)
        stage.note_words()
        stage.judge_end()
    except Over:
        pass
    finally:
        await stage.end()
    return stage


async def _safety(stage: Stage) -> None:
    """Phase one: things go wrong, and promises hold at every look."""
    for act in stage.world.acts:
        await stage.wait(max(act.at - stage.now, 0.0))
        stage.act(act)
        for board in stage.boards:
            stage.look(board)
    await stage.wait(_REST_S)
    for board in stage.boards:
        stage.look(board)


async def _liveness(stage: Stage) -> None:
    """Phase two: faults stop; jobs end, and who missed the target is offered it again."""
    await stage.mend()
    orders = stage.desk.orders[-1:]
    if any(stage.there(board) and not stage.over(order, board) for board in stage.boards for order in orders):
        stage.marks.add("report-lost")
    stage.cancel(but=orders[0] if orders else None)
    await stage.until(
        lambda: all(stage.there(board) or all(stage.over(order, board) for order in orders) for board in stage.boards),
        _OWN_JOBS_S,
    )
    if not _fit(stage.world, stage.goal):
        stage.goal = len(stage.world.images)
    elif all(map(stage.there, stage.boards)):
        stage.marks.add("target-by-itself")
    for number in range(_RESCUES):
        missing = [board for board in stage.boards if not stage.there(board)]
        if not missing:
            break
        stage.marks.add("reset-needed" if number else "rescue-needed")
        if number:
            for board in missing:
                stage.press(board)
            await stage.wait(_SETTLES_S)
        stage.cancel()
        await _offer(stage, missing)
    for board in stage.boards:
        stage.press(board)
    await stage.wait(_SETTLES_S)
    for board in stage.boards:
        stage.look(board)


def _fit(world: World, image: int) -> bool:
    """Whether every board can run an image, whatever it ran before."""
    made = world.images[image]
    return (
        made.quality == "g" and image > 0 and made.secure_version == max(each.secure_version for each in world.images)
    )


async def _offer(stage: Stage, missing: Sequence[Board]) -> None:
    """The goal for those who missed it, until they are there or its job is over."""
    order = stage.order(stage.goal, missing)
    if order is not None:
        await stage.until(lambda: all(stage.there(board) or stage.over(order, board) for board in missing), _RESCUE_S)
