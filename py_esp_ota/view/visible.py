"""Text that came out of a file or a device, made fit for a terminal."""

from __future__ import annotations

import re

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def visible(text: str, *, keep: str = "") -> str:
    r"""``text`` with an escape like ``\x1b`` for each character that prints nothing of its own, but those in ``keep``.

    These are all control characters, C1 and line breaks among them, those that turn the direction of writing
    (U+202E), and surrogates. What remains can move no cursor, forge no line and hide no word.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def uncoloured(text: str) -> str:
    """A line of a chip's console without its colours, which ESP-IDF's log puts around each of its lines."""
    return _COLOUR.sub("", text)
