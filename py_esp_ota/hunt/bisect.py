"""The event after which a board was lost: its tape is forked behind each, and lives on from there without a fault.

A board that would be lost if its power went now may well save itself by going on: while the partition table is erased
to be written anew, say. So the question is not where it is lost for the first time, but from where on it always is, and
a tape on which that is not the same is told to be so. Halving would mislead there, so that every state is looked at;
one look stands for all states that cannot differ from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from py_esp_ota._core import EFuse, Flash, FlashOp, PartitionTable, Sectors, Target, read_otadata
from py_esp_ota.errors import EspError
from py_esp_ota.hunt.tape import Event, State, Taped
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.sweep.life import spell

_SECTOR = 0x1000
_APP, _DATA, _OTADATA = 0, 1, 0
_SHOWN = 3


class Fate(Protocol):
    """What becomes of a board, and on which sectors of its flash that depended."""

    @property
    def recovers(self) -> bool: ...  # noqa: D102
    @property
    def needed(self) -> Sectors: ...  # noqa: D102


class LostBefore(ValueError):
    """Nothing on the tape decides it."""


Foretell = Callable[[Flash, EFuse], Fate]


@dataclass(frozen=True, slots=True)
class Turn:
    """Where a board was lost.

    Attributes:
        index: the number of the event among all.
        event: the first event behind which the board is always lost.
        what: what it did, and where.
        monotone: before it the board was never lost. ``None``: nobody looked.
        windows: before it, the events behind which it would have been lost had its power gone there: first and last.
        looks: how many states were really played.
    """

    index: int
    event: Event
    what: str
    monotone: bool | None
    windows: tuple[tuple[int, int], ...]
    looks: int

    def __str__(self) -> str:
        by = f" by {', '.join(self.event.functions[:3])}" if self.event.functions else ""
        during = f", after {self.event.note!r}" if self.event.note else ""
        text = f"lost with event {self.index}: {self.what}{by}{during}"
        if self.monotone is False:
            text += f"; not for the first time: also behind {_ranges(self.windows)}, and each time it went on in time"
        return text


def _ranges(windows: tuple[tuple[int, int], ...]) -> str:
    said = [str(first) if first == last else f"{first} to {last}" for first, last in windows[:_SHOWN]]
    more = len(windows) - len(said)
    return ", ".join(said) + (f" and {more} times more" if more > 0 else "")


def find_turn(taped: Taped, foretell: Foretell, config: Sdkconfig, *, thorough: bool = True) -> Turn | None:
    """Where the board of a tape was lost; ``None`` when it is not.

    Args:
        taped: its tape.
        foretell: what becomes of a board, as ``prove`` says it.
        config: how it was built; for the names of places.
        thorough: look at every state; otherwise halve, and trust that what is lost stays lost.

    Raises:
        LostBefore: the board was lost before the tape began.
    """
    events, seen = taped.events(), _Seen(foretell)
    if seen.recovers(taped.state(len(events))):
        return None
    if not seen.recovers(taped.state(0)):
        raise LostBefore("the board is lost already where its tape begins")
    windows: tuple[tuple[int, int], ...] = ()
    if thorough:
        alive = [seen.recovers(taped.state(count)) for count in range(len(events) + 1)]
        last = max(count for count, lives in enumerate(alive) if lives)
        windows = _windows(alive[: last + 1])
    else:
        last = _halved(taped, seen, len(events))
    event = events[last]
    what = _told(event, taped.state(last + 1), config)
    return Turn(last, event, what, not windows if thorough else None, windows, seen.looks)


def _halved(taped: Taped, seen: _Seen, end: int) -> int:
    """The last state before the turn, if there is only one turn."""
    alive, lost = 0, end
    while lost - alive > 1:
        middle = (alive + lost) // 2
        if seen.recovers(taped.state(middle)):
            alive = middle
        else:
            lost = middle
    return alive


def _windows(alive: list[bool]) -> tuple[tuple[int, int], ...]:
    """The events behind which a board is lost for a while; state N is behind event N - 1."""
    found: list[tuple[int, int]] = []
    for count, lives in enumerate(alive):
        if lives:
            continue
        if found and found[-1][1] == count - 2:
            found[-1] = (found[-1][0], count - 1)
        else:
            found.append((count - 1, count - 1))
    return tuple(found)


@dataclass(slots=True)
class _Look:
    flash: Flash
    efuse: EFuse
    fate: Fate
    # Of one recording: up to which operation nothing was touched that the look depended on.
    state: State
    until: int


@dataclass(slots=True)
class _Seen:
    """The looks so far."""

    foretell: Foretell
    looks: int = 0
    _known: list[_Look] = field(default_factory=list)

    def recovers(self, state: State) -> bool:
        """What becomes of a board, by an earlier look when that must be the same."""
        for known in reversed(self._known):
            near = known.state.recording is state.recording and known.efuse == state.efuse
            if near and known.state.operations <= state.operations <= known.until:
                return known.fate.recovers
        flash = state.flash
        for known in reversed(self._known):
            if known.efuse == state.efuse and flash.same(known.flash, known.fate.needed):
                return known.fate.recovers
        self.looks += 1
        fate = self.foretell(flash, state.efuse)
        touched = state.recording.next_in(fate.needed, state.operations)
        until = len(state.recording) if touched is None else touched
        self._known.append(_Look(flash, state.efuse, fate, state, until))
        return fate.recovers


# ------------------------------------------------------------------------------------------------------------- in words


def _told(event: Event, after: State, config: Sdkconfig) -> str:
    if event.kind == "burn":
        return f"a burn of the eFuses: secure version {after.efuse.secure_version}"
    if event.kind == "cut" or event.operation is None:
        return f"what the power cut left of operation {event.number}"
    flash = after.flash
    flash.power_on()
    return f"operation {event.number}, {spelled(event.operation, flash, config, after.efuse.chip)}"


def spelled(operation: FlashOp, flash: Flash, config: Sdkconfig, chip: str) -> str:
    """An operation in words: ``erase of 4096 bytes at 0xd000: otadata, entry 0``; ``flash`` as it is after it."""
    where = f"{operation.kind} of {operation.length} bytes at 0x{operation.address:x}"
    return f"{where}: {_place(operation.address, flash, config, chip)}"


def _place(address: int, flash: Flash, config: Sdkconfig, chip: str) -> str:
    offset = config.partition_table_offset
    if offset <= address < offset + _SECTOR:
        return "the partition table"
    if Target(chip).bootloader_offset <= address < offset:
        return "the bootloader"
    try:
        table = PartitionTable.load(flash, offset, md5=config.partition_table_md5)
    except EspError:
        return "somewhere, as the partition table is not readable"
    row = next((row for row in table if row.offset <= address < row.offset + row.size), None)
    if row is None:
        return "outside the partitions"
    if row.type == _DATA and row.subtype == _OTADATA:
        index = min((address - row.offset) // _SECTOR, 1)
        return f"{row.label}, entry {index}, now {spell(read_otadata(flash, row.offset)[index])}"
    inside = address - row.offset
    return f"{row.label}" + (f" + 0x{inside:x}" if inside else ", its beginning" if row.type == _APP else "")
