"""What every strategy says about arguments that nothing can be drawn for: one sentence, when something is drawn."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from hypothesis.errors import InvalidArgument


def need(holds: bool, sentence: str) -> None:
    """Raise ``InvalidArgument`` with this sentence unless it holds."""
    if not holds:
        raise InvalidArgument(sentence)


def need_range(name: str, low: int, high: int, *, least: int, most: int) -> None:
    """``min_name`` and ``max_name`` are in order and within what there is."""
    for side, value in (("min", low), ("max", high)):
        need(
            isinstance(value, int) and not isinstance(value, bool),
            f"{side}_{name} is {value!r}, expected a whole number",
        )
        need(least <= value <= most, f"{side}_{name} is {value}, expected {least} to {most}")
    need(low <= high, f"min_{name} is {low} and max_{name} is {high}: nothing lies between")


def some_of(what: str, wanted: Collection[str] | None, known: Sequence[str]) -> tuple[str, ...]:
    """The wanted ones in the order of the known ones, so that the first is the simplest; all without a wish."""
    if wanted is None:
        return tuple(known)
    need(
        not isinstance(wanted, str),
        f"{what} is the text {wanted!r}, expected a collection of names, such as [{wanted!r}]",
    )
    unknown = [name for name in wanted if name not in known]
    need(not unknown, f"{what} has {', '.join(map(repr, unknown))}; known: {', '.join(known)}")
    need(len(wanted) > 0, f"{what} is empty: there is nothing to draw from")
    return tuple(name for name in known if name in wanted)


def need_flag(name: str, value: object) -> None:
    """``True``, ``False``, or ``None`` for either."""
    need(value is None or isinstance(value, bool), f"{name} is {value!r}, expected True, False, or None for either")
