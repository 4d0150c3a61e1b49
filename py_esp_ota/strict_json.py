"""JSON as the cloud reads it: text that every reader understands alike, and no deeper than anybody can follow.

Python's own reader takes UTF-16, ``NaN`` and numbers of any length, and text of a thousand brackets ends it with a
``RecursionError``. What it lets through is stored, and whoever reads it next falls over it.
"""

from __future__ import annotations

import json
import math
import re
from itertools import accumulate
from typing import Any, NoReturn

DEPTH_LIMIT = 64
"""Objects and arrays inside each other. The deepest document of a node or client that we know has five."""

_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_NO_BRACKET = re.compile(r"[^\[\]{}]++")
_STEP = {"[": 1, "{": 1, "]": -1, "}": -1}
_LONG = re.compile(r"[0-9]{300}")  # a double holds integers of up to 309 digits, Python would read 4300


class JsonError(ValueError):
    """Text that is not read; ``pos`` is the character where it stops being JSON, if it ever does."""

    def __init__(self, problem: str, pos: int | None = None) -> None:
        super().__init__(problem)
        self.pos = pos


def read_json(payload: bytes | str) -> Any:
    """The value of a JSON text (RFC 8259) in UTF-8. Of members with one name the last one counts.

    Linear in time and memory: the depth is counted before anything is built. Half a surrogate pair, which JSON can
    spell and no text contains, is left to those who store or show it.

    Raises:
        JsonError: no UTF-8, no JSON, deeper than ``DEPTH_LIMIT``, a number that no double holds.
    """
    try:
        text = payload if isinstance(payload, str) else payload.decode()
    except UnicodeDecodeError as error:
        raise JsonError("not UTF-8", error.start) from None
    if too_deep(text):
        raise JsonError(f"nested deeper than {DEPTH_LIMIT} levels")
    try:
        return (_LONG_READER if _LONG.search(text) else _READER).decode(text)
    except json.JSONDecodeError as error:
        raise JsonError("not JSON", error.pos) from None


def too_deep(text: str) -> bool:
    """Whether the brackets outside of strings stand deeper than ``DEPTH_LIMIT`` in each other."""
    if text.count("[") + text.count("{") <= DEPTH_LIMIT:
        return False
    brackets = _NO_BRACKET.sub("", _STRING.sub("", text))
    return any(depth > DEPTH_LIMIT for depth in accumulate(map(_STEP.__getitem__, brackets)))


def _integer(digits: str) -> int:
    _float(digits)
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise JsonError("a number that no double holds")
    return number


def _constant(name: str) -> NoReturn:
    raise JsonError(f"{name} is no JSON number")


# Made once: what nodes say in a second is thousands of small texts.
_READER = json.JSONDecoder(parse_float=_float, parse_constant=_constant)
_LONG_READER = json.JSONDecoder(parse_int=_integer, parse_float=_float, parse_constant=_constant)
