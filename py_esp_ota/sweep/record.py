"""One telling of a story, recorded: its flash operations, and the eFuses between them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from py_esp_ota._core import EFuse, FlashOp, Recording, Verdict
from py_esp_ota.chip import Mode
from py_esp_ota.sweep.life import Life


@dataclass(frozen=True, slots=True)
class Run:
    """A recorded run. ``burns`` are the eFuses after so many operations, in order, the first before any.

    ``confirmed_at`` is after how many operations the new image began to confirm itself; beyond all when it never did.
    ``judged``: after how many operations an image of how many bytes was looked through, in order.
    """

    recording: Recording
    operations: tuple[FlashOp, ...]
    burns: tuple[tuple[int, EFuse], ...]
    confirmed_at: int
    judged: tuple[tuple[int, int], ...] = ()

    def efuse(self, operation: int, tear: str) -> EFuse:
        """The eFuses when the power goes there: what is burnt behind an operation is not burnt ``:after`` it."""
        counts = [count for count, _ in self.burns[1:]]
        if tear == ":after":
            return self.burns[bisect_left(counts, operation + 1)][1]
        return self.burns[bisect_right(counts, operation)][1]

    def confirmed(self, operation: int) -> bool:
        """Whether the app had begun to confirm itself when the power went there."""
        return operation >= self.confirmed_at


def record(life: Life, act: Callable[[Life], None]) -> Run:
    """Tell ``act`` to a device without power, and keep what it does to flash and eFuses."""
    flash, efuse = life.flash, life.chip.efuse
    start = flash.operations
    burns = [(0, efuse.copy())]
    efuse.on_burn(lambda: burns.append((flash.operations - start, efuse.copy())))
    judge, judged = life.chip.judge, list[tuple[int, int]]()

    def noted(*where: Any, mode: Mode, **how: Any) -> Verdict:
        verdict = judge(*where, mode=mode, **how)
        if mode != "metadata":
            judged.append((flash.operations - start, verdict.image_len))
        return verdict

    life.chip.judge = noted
    flash.record(True)
    try:
        act(life)
    finally:
        efuse.on_burn(None)
        life.chip.judge = judge
        recording = Recording.of(flash)
        flash.record(False)
    if recording is None:  # only between record(True) and record(False) there is one
        raise AssertionError
    operations = tuple(recording.ops())
    confirmed_at = min(life.confirmed_at, default=start + len(operations)) - start
    return Run(recording, operations, tuple(burns), confirmed_at, tuple(judged))
