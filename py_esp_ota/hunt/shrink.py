"""A failing case, made as short as it can be while it still fails in the same way.

``ddmin`` is Zeller and Hildebrandt's (2002): leave out halves, then quarters, until no single part can be left out.
What stays is then made plainer: each number smaller, each ``:word`` and ``*K`` away, each option as it is by default.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from py_esp_ota.faults import Fault, FlashFault, Plan, parse

T = TypeVar("T")
C = TypeVar("C", bound=Hashable)

#: Tries, where nobody says how many.
BUDGET = 2000


class _Enough(Exception):
    """The budget is spent."""


@dataclass(frozen=True, slots=True)
class Shrunk(Generic[C]):
    """What is left of a case. ``minimal``: no smaller one fails in the same way; else the budget was spent before."""

    case: C
    tries: int
    minimal: bool


@dataclass(frozen=True, slots=True)
class Line:
    """A fault line and options that are not as they are by default, in their order."""

    plan: Plan
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        said = [f"{name}={value}" for name, value in self.options]
        return " ".join([*said, str(self.plan)] if self.plan.parts else said)


def ddmin(parts: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> list[T]:
    """The parts that it takes: leaving out any one of those that are left, it fails no more. All of ``parts`` fail."""
    left, pieces = list(parts), 2
    if left and fails([]):
        return []
    while len(left) > 1:
        size = -(-len(left) // pieces)
        starts = range(0, len(left), size)
        smaller = next(
            (
                (kept, count)
                for kept, count in (
                    *((left[at : at + size], 2) for at in starts if len(starts) > 1),
                    *((left[:at] + left[at + size :], max(pieces - 1, 2)) for at in starts if len(starts) > 2),
                )
                if fails(kept)
            ),
            None,
        )
        if smaller is not None:
            left, pieces = smaller
        elif pieces >= len(left):
            break
        else:
            pieces = min(2 * pieces, len(left))
    return left


def shrink(
    case: C,
    fails: Callable[[C], bool],
    smaller: Callable[[C], Iterator[C]],
    *,
    budget: int = BUDGET,
) -> Shrunk[C]:
    """Take the first of a case's smaller ones that fails, again and again.

    Args:
        case: fails.
        fails: whether a case fails in the same way.
        smaller: the smaller ones of a case, the smallest first; there is no way round from one back to itself.
        budget: how often ``fails`` is asked at most. The same case is asked once.
    """
    known: dict[C, bool] = {}

    def asked(one: C) -> bool:
        if one not in known:
            if len(known) >= budget:
                raise _Enough
            known[one] = fails(one)
        return known[one]

    minimal = False
    try:
        while not minimal:
            better = next((one for one in smaller(case) if asked(one)), None)
            minimal = better is None
            case = case if better is None else better
    except _Enough:
        pass
    return Shrunk(case, len(known), minimal)


def shortest(
    line: Line, fails: Callable[[Line], bool], *, defaults: Mapping[str, str] | None = None, budget: int = BUDGET
) -> Shrunk[Line]:
    """The shortest line that fails in the same way as ``line`` does.

    Args:
        line: fails.
        fails: whether a line fails in the same way.
        defaults: options that may not be left out, and their plainest values.
        budget: how many lines are tried at most.
    """
    plain = dict(defaults or {})
    tried = 0

    def counted(one: Line) -> bool:
        nonlocal tried
        if tried >= budget:
            raise _Enough
        tried += 1
        return fails(one)

    try:
        parts = ddmin(line.plan.parts, lambda kept: counted(replace(line, plan=Plan(tuple(kept)))))
        line = replace(line, plan=Plan(tuple(parts)))
        options = ddmin(line.options, lambda kept: counted(replace(line, options=_with(kept, line, plain))))
        line = replace(line, options=_with(options, line, plain))
    except _Enough:
        return Shrunk(line, tried, minimal=False)
    rest = shrink(line, fails, _plainer_lines, budget=budget - tried)
    return Shrunk(rest.case, tried + rest.tries, rest.minimal)


def _with(kept: Sequence[tuple[str, str]], line: Line, plain: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """These options as they are, the others left out, or plain where they may not be."""
    names = {name for name, _ in kept}
    return tuple(
        (name, value if name in names else plain[name])
        for name, value in line.options
        if name in names or name in plain
    )


def _plainer_lines(line: Line) -> Iterator[Line]:
    for plan in plainer(line.plan):
        yield replace(line, plan=plan)


def plainer(plan: Plan) -> Iterator[Plan]:
    """Plans with one thing less, or one number smaller; those that do not parse are left out."""
    parts = plan.parts
    for index in range(len(parts)):
        yield Plan(parts[:index] + parts[index + 1 :])
    for index, part in enumerate(parts):
        for text in _plainer_texts(str(part)):
            try:
                made: tuple[Fault | FlashFault, ...] = parse(text).parts
            except ValueError:
                continue
            yield Plan(parts[:index] + made + parts[index + 1 :])


def _plainer_texts(text: str) -> Iterator[str]:
    """``cut@37:torn`` without ``:torn``, then with smaller numbers for 37; the same of each ``:word`` and ``*K``."""
    body, star, times = text.partition("*")
    word, at, rest = body.partition("@")
    args = rest.split(":") if at else []
    if star:
        yield body
        yield from (f"{body}*{number}" for number in _smaller(times))
    if len(args) > 1 or (args and not star):
        kept = args[:-1]
        yield word + ("@" + ":".join(kept) if kept else "") + star + times
    for index, arg in enumerate(args):
        for number in _smaller(arg):
            yield f"{word}@{':'.join([*args[:index], str(number), *args[index + 1 :]])}{star}{times}"


def _smaller(text: str) -> Iterator[int]:
    """0, then ever closer: a half, three quarters, ... of it, at last one less."""
    if not text.isdecimal() or text == "0":
        return
    number = int(text)
    step = number
    while step:
        yield number - step
        step //= 2
