"""A line of a log by the format string that printed it: upstream's own words are the patterns.

What a format holds before its first hole is compared as it is; only where that agrees a pattern is made and asked. So
two thousand lines cost no more than a look at each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

Value = int | str
Values = Mapping[str, Value]

_HOLE = re.compile(r"%[-0]?\d*([sdux])")
_HOLES = {"s": r"(.*?)", "d": r"(-?\d+)", "u": r"(\d+)", "x": r"(?:0x)?([0-9a-fA-F]+)"}
_BASES = {"d": 10, "u": 10, "x": 16}


class Said(NamedTuple):
    """One line that upstream prints.

    ``kind`` is the name of the fact, ``by`` the function that prints it, ``format`` its text with the holes of printf,
    ``names`` what stands in them. ``within``: other words may stand before it in its line.
    """

    kind: str
    by: str
    format: str
    names: str = ""
    within: bool = False

    @property
    def start(self) -> str:
        """What the line begins with, before the first hole."""
        return self.format.partition("%")[0]

    def read(self, text: str) -> Values | None:
        """What stands in the holes of a line that has ``start`` where it belongs.

        Nothing when the line was cut there, ``None`` for a line that goes on otherwise.
        """
        start = self.start
        place = text.find(start) if self.within else 0
        if not self.names:
            return {}
        found = _pattern(self.format).match(text, place)
        if found is None:
            return {} if start and len(text) <= place + len(start) + _CUT else None
        values = zip(self.names.split(), _HOLE.findall(self.format), found.groups(), strict=False)
        return {name: _value(hole, word) for name, hole, word in values}


#: So much of a line that was cut in its first hole may still be there.
_CUT = 8


def _value(hole: str, word: str) -> Value:
    return int(word, _BASES[hole]) if hole in _BASES else word.strip(" .")


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """The pattern of a format string; how many blanks there are is not asked, for pages that show logs lose them."""
    made, last = "", 0
    for hole in _HOLE.finditer(text):
        made += re.escape(text[last : hole.start()]) + _HOLES[hole[1]]
        last = hole.end()
    made += re.escape(text[last:])
    if made.endswith(_HOLES["s"]):
        made += r"$"
    return re.compile(re.sub(r"(?:\\ )+", r"\\s+", made))


#: The lines of each tag; ``""`` is what stands without one, and ``"*"`` what any part of an app may print.
Lines = Mapping[str, tuple[Said, ...]]
