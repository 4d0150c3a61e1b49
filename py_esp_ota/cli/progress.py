"""A bar for a download, on a terminal, below what is printed."""

from __future__ import annotations

import click

_WIDTH = 30
_ERASE_LINE = "\r\x1b[K"


def bar(done: int, total: int) -> str:
    """``[#####     ] 42 %  110 of 255 KiB``; sizes are bytes."""
    part = min(done / total, 1.0) if total else 1.0
    filled = "#" * int(part * _WIDTH)
    return f"[{filled:<{_WIDTH}}] {part:4.0%}  {done >> 10} of {total >> 10} KiB"


class Bar:
    """The line of a terminal on stderr; nothing at all with ``shown`` false."""

    def __init__(self, *, shown: bool) -> None:
        self._shown = shown
        self._line = ""

    def tell(self, done: int, total: int) -> None:
        """So much of a download has come; the bar goes when all has."""
        line = bar(done, total) if done < total else ""
        if self._shown and line != self._line:
            self._draw(line)
        self._line = line

    def hide(self) -> None:
        """Before something else is printed."""
        if self._shown and self._line:
            self._draw("")

    def back(self) -> None:
        """After that."""
        if self._shown and self._line:
            self._draw(self._line)

    def _draw(self, line: str) -> None:
        click.echo(_ERASE_LINE + line, nl=False, err=True, color=True)
