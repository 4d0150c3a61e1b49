"""Where a board of a world was lost: the world is played once more with a tape on that board, up to the breach."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass

from py_esp_ota._core import EFuse, Flash
from py_esp_ota.hunt.bisect import LostBefore, Turn, find_turn
from py_esp_ota.hunt.board import Board
from py_esp_ota.hunt.play import play
from py_esp_ota.hunt.rescue import Wreck
from py_esp_ota.hunt.stage import images_of
from py_esp_ota.hunt.tape import Tape
from py_esp_ota.hunt.unrecoverable import Prognosis, prove
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

    Lost is what not even the image that is good for everybody can be brought to. Raises ``ValueError`` for a board that
    the world does not have.
    """
    if not 0 <= board < world.boards:
        raise ValueError(f"there is no board {board}: the world has {world.boards}")
    taped: list[tuple[Board, Tape]] = []
    with ExitStack() as witness:

        def lay_on(one: Board) -> None:
            if one.number == board:
                one.tape = Tape(one.device.chip)
                witness.enter_context(one.tape.witness())
                taped.append((one, one.tape))

        play(world, on_board=lay_on)
    one, tape = taped[0]
    goal = images_of(world)[-1]

    def foretell(flash: Flash, efuse: EFuse) -> Prognosis:
        wreck = Wreck(flash, efuse, world.chip, one.config, goal, (goal,), one.fit, one.panics)
        return prove(wreck)

    found = tape.stop()
    turn: Turn | None = None
    with suppress(LostBefore):
        turn = find_turn(found, foretell, one.config, thorough=thorough)
    return Lost(board, foretell(found.last.flash, found.last.efuse), turn)
