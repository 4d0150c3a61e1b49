"""A described flash made as small as it can be while it still shows what it shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from flash_text import Text

#: What a number may become, the plainest first.
_PLAINER = (0, 1, 0x20, 0x100)
_NUMBER = re.compile(r"0x[0-9a-f]+|\d+")


def shrunk(text: Text, shows: Callable[[Text], bool], *, tries: int = 2000) -> Text:
    """The smallest of the texts on the way that still ``shows`` it: lines go, then words, then numbers get plainer.

    ``shows`` is asked ``tries`` times at most. A text that cannot be built shows nothing.
    """
    left = tries

    def holds(candidate: Text) -> bool:
        nonlocal left
        left -= 1
        try:
            return shows(candidate)
        except (ValueError, IndexError, KeyError, TypeError):
            return False

    smaller = True
    while smaller and left > 0:
        smaller = False
        for candidate in _smaller(text):
            if left <= 0:
                break
            if holds(candidate):
                text, smaller = candidate, True
                break
    return text


def _smaller(text: Text) -> Iterator[Text]:
    for index in reversed(range(len(text))):
        if index or not text[index].startswith("chip"):
            yield (*text[:index], *text[index + 1 :])
    for index in range(len(text)):
        for line in _smaller_line(text[index]):
            yield (*text[:index], line, *text[index + 1 :])


def _smaller_line(line: str) -> Iterator[str]:
    words = line.split()
    # A row of the table and its otadata have a fixed number of words.
    if words[0] in {"chip", "table", "app"}:
        for index in reversed(range(1 if words[0] != "app" else 3, len(words))):
            yield " ".join((*words[:index], *words[index + 1 :]))
    if words[0] == "otadata":
        for index in (2, 3):
            if index < len(words) and words[index] != "-":
                yield " ".join((*words[:index], "-", *words[index + 1 :]))
                yield " ".join((*words[:index], words[index].partition(":")[0], *words[index + 1 :]))
    if words[0] == "app" and words[2] != "plain":
        yield f"app {words[1]} plain 0 0x280"
    for match in _NUMBER.finditer(line):
        value = int(match.group(), 0)
        for plainer in _PLAINER:
            if plainer < value:
                yield line[: match.start()] + (hex(plainer) if plainer > 9 else str(plainer)) + line[match.end() :]
