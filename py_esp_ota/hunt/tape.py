"""What happened to one board's flash and fuses, event by event: operations, burns, and the cuts between its lives.

::

    tape = Tape(device.chip)
    with tape.witness():      # slow: which upstream function did it
        ...                   # the run; tape.cut() after each loss of power, before it comes back
    taped = tape.stop()
    taped.state(7)            # flash and fuses after seven events, to be forked and lived on from
"""

from __future__ import annotations

import re
import sys
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Literal

from py_esp_ota._core import EFuse, Flash, FlashOp, Recording
from py_esp_ota.chip import Chip

_UPSTREAM = ("py_esp_ota.idf.", "py_esp_ota.rainmaker.")
_NAMED = re.compile(r"``(\w+)``")


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: an ``operation`` of the flash, a ``burn`` of the fuses, or a ``cut``.

    A cut is what it left of the operation that it fell into. ``number`` is that of the operation, counted from the
    moment the tape was begun; of the others that of the next one. ``functions`` are upstream's names of those at work,
    the innermost first; ``note`` is the latest that was noted before.
    """

    kind: Literal["operation", "burn", "cut"]
    number: int
    operation: FlashOp | None = None
    functions: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Life:
    """From one power-on to the next. ``burns`` are the fuses after so many operations, the first before any."""

    recording: Recording
    operations: tuple[FlashOp, ...]
    burns: tuple[tuple[int, EFuse], ...]


class Tape:
    """A recording that goes on over losses of power. One at a time for each chip."""

    def __init__(self, chip: Chip) -> None:
        self._chip = chip
        self._lives: list[_Life] = []
        self._notes: list[tuple[int, str]] = []
        self._at_work: list[tuple[int, tuple[str, ...]]] = []
        self._before = 0
        self._over = False
        self._begin()

    @property
    def count(self) -> int:
        """Operations so far."""
        return self._before + self._chip.flash.operations - self._start

    def note(self, text: str) -> None:
        """What the board says, or what is done to it, at this moment."""
        if self._over:
            return
        self._notes.append((self.count, text))

    def cut(self) -> None:
        """The power went, and is to come back now."""
        if not self._over:
            self._end()
            self._begin()

    def end(self) -> None:
        """Nothing of what comes is recorded any more."""
        if not self._over:
            self._end()
            self._over = True

    def stop(self) -> Taped:
        """The finished tape. Raises ``ValueError`` when somebody else has recorded on this flash meanwhile."""
        self.end()
        return Taped(tuple(self._lives), tuple(self._notes), tuple(self._at_work))

    @contextmanager
    def witness(self) -> Iterator[None]:
        """Note which functions of upstream are at work at each operation. Everything is several times slower."""
        before, seen = sys.getprofile(), self.count

        def look(frame: FrameType, event: str, _arg: object) -> None:
            nonlocal seen
            if event in {"c_return", "c_exception"} and not self._over and self.count != seen:
                seen = self.count
                self._at_work.append((seen, _functions(frame)))

        sys.setprofile(look)
        try:
            yield
        finally:
            sys.setprofile(before)

    def _begin(self) -> None:
        flash, efuse = self._chip.flash, self._chip.efuse
        self._start = flash.operations
        self._burns = [(0, efuse.copy())]
        efuse.on_burn(lambda: self._burns.append((flash.operations - self._start, efuse.copy())))
        flash.record(True)

    def _end(self) -> None:
        flash, efuse = self._chip.flash, self._chip.efuse
        recording = Recording.of(flash)
        if recording is None:
            raise ValueError("somebody else has ended the recording of this flash")
        flash.record(False)
        efuse.on_burn(None)
        operations = tuple(recording.ops())
        self._lives.append(_Life(recording, operations, tuple(self._burns)))
        self._before += len(operations)


@dataclass(frozen=True, slots=True)
class Taped:
    """A finished tape."""

    _lives: tuple[_Life, ...]
    _notes: tuple[tuple[int, str], ...]
    _at_work: tuple[tuple[int, tuple[str, ...]], ...]

    def events(self) -> list[Event]:
        """Everything in order."""
        found: list[Event] = []
        before = 0
        for number, life in enumerate(self._lives):
            if number:
                found.append(self._event("cut", before))
            burns = [count for count, _ in life.burns[1:]]
            for operation in life.operations:
                found += (self._event("burn", before + at) for at in burns if at == operation.index)
                found.append(self._event("operation", before + operation.index, operation))
            found += (self._event("burn", before + at) for at in burns if at == len(life.operations))
            before += len(life.operations)
        return found

    def _event(self, kind: Literal["operation", "burn", "cut"], number: int, operation: FlashOp | None = None) -> Event:
        # The witness looks behind a call, which may be of many operations; a note is made before what it is about.
        work = next((names for count, names in self._at_work if count > number), ()) if kind == "operation" else ()
        noted = bisect_right([count for count, _ in self._notes], number)
        return Event(kind, number, operation, work, self._notes[noted - 1][1] if noted else "")

    @property
    def last(self) -> State:
        """The board at the end."""
        return self.state(len(self.events()))

    def state(self, count: int) -> State:
        """The board after so many events, without power."""
        left = count
        for number, life in enumerate(self._lives):
            last = len(life.operations) + len(life.burns) - 1
            if left <= last or number == len(self._lives) - 1:
                return State(life.recording, *_place(life, left))
            left -= last + 1  # and the cut
        raise AssertionError  # a tape has a life


@dataclass(frozen=True, slots=True)
class State:
    """A board between two events: so many ``operations`` of a recording are done, and these fuses are burnt."""

    recording: Recording
    operations: int
    efuse: EFuse

    @property
    def flash(self) -> Flash:
        """A flash of its own, without power and without a fault."""
        flash = self.recording.flash_after(self.operations)
        flash.fault = ""
        flash.power_off()
        return flash


def _place(life: _Life, left: int) -> tuple[int, EFuse]:
    """Operations done and the fuses after ``left`` operations and burns of a life: burns come before the next one."""
    done = burnt = 0
    for _ in range(left):
        if burnt + 1 < len(life.burns) and life.burns[burnt + 1][0] == done:
            burnt += 1
        else:
            done += 1
    return done, life.burns[burnt][1]


def _functions(frame: FrameType | None) -> tuple[str, ...]:
    """Upstream's names of the functions on the stack, the innermost first; our own where it is nobody's of upstream."""
    found: list[str] = []
    ours = "" if frame is None else f"{frame.f_globals.get('__name__', '')}.{frame.f_code.co_name}"
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        name = _named(frame.f_code) if module.startswith(_UPSTREAM) else ""
        if name and name not in found:
            found.append(name)
        frame = frame.f_back
    return tuple(found or [ours])


def _named(code: CodeType) -> str:
    """The function of upstream that a docstring begins with, ``""`` where it names none."""
    doc = code.co_consts[0] if code.co_consts else None
    match = _NAMED.match(doc) if isinstance(doc, str) else None
    return match[1] if match else ""
