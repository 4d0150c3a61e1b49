"""Where a board of a world was lost: the world is played once more with a tape on that board, up to the breach."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass

from py_esp_ota.hunt.bisect import LostBefore, Turn, find_turn
from py_esp_ota.hunt.excuse import foretell
from py_esp_ota.hunt.play import play
from py_esp_ota.hunt.stage import Stage
from py_esp_ota.hunt.tape import Tape
from py_esp_ota.hunt.unrecoverable import Prognosis
from py_esp_ota.hunt.world import World


@dataclass(frozen=True, slots=True)
class Lost:
    """What became of a board of a world, and where it was decided.

    ``turn`` is ``None`` for a board that recovers, and for one that was lost before anything happened to it.
    """

    board: int
    prognosis: Prognosis
    turn: Turn | None

    def __str__(self) -> str:
        lines = [f"board {self.board} {self.prognosis}"]
        if not self.prognosis.recovers:
            lines.append(str(self.turn or "lost from the first moment: whatever happens to it, it comes to this"))
        return "\n".join(lines)


def where_lost(world: World, board: int, *, thorough: bool = True) -> Lost:
    """Play ``world`` with a tape on a board, and find the event after which it was lost.

    Raises ``ValueError`` for a board that the world does not have.
    """
    if not 0 <= board < world.boards:
        raise ValueError(f"there is no board {board}: the world has {world.boards}")
    stages: list[Stage] = []
    with ExitStack() as witness:

        def begun(stage: Stage) -> None:
            one = stage.boards[board]
            one.tape = Tape(one.device.chip)
            witness.enter_context(one.tape.witness())
            stages.append(stage)

        play(world, begun=begun)
    stage = stages[0]
    one = stage.boards[board]
    if one.tape is None:
        raise AssertionError
    taped = one.tape.stop()
    fate = foretell(stage, one, taped.last.flash, taped.last.efuse)
    turn: Turn | None = None
    with suppress(LostBefore):
        turn = find_turn(taped, lambda flash, efuse: foretell(stage, one, flash, efuse), one.config, thorough=thorough)
    return Lost(board, fate, turn)
