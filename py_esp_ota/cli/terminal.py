"""The user's side of a chip's console: what is printed is shown, what is typed is read without waiting for it."""

from __future__ import annotations

import os
import select
import sys
import time
from types import TracebackType
from typing import Self

import click

from py_esp_ota.posix import lacks_posix

_LEAVE = "\x1d"  # Ctrl-], as in idf.py monitor
_LONGEST = 4096


class Terminal:
    """The terminal, raw while somebody can type into it. Without one, nothing is read."""

    def __init__(self, *, typing: bool) -> None:
        """``typing``: whether what is typed is wanted at all."""
        self._typing = typing and sys.stdin.isatty()
        self._settings: list[object] | None = None
        self._started = time.monotonic()
        #: All that was shown.
        self.shown: list[str] = []
        #: Whether the user wants to leave.
        self.left = False

    def __enter__(self) -> Self:
        if self._typing and (reason := lacks_posix("typing into the chip")):
            click.echo(reason, err=True)
            self._typing = False
        if self._typing:
            import termios
            import tty

            self._settings = termios.tcgetattr(sys.stdin)
            tty.setraw(sys.stdin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._settings is not None:
            import termios

            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._settings)  # type: ignore[arg-type]

    def show(self, text: str, *, echo: bool) -> None:
        """More of the console."""
        if text:
            self.shown.append(text)
            if echo:
                click.echo(text.replace("\n", "\r\n") if self._typing else text.replace("\r", ""), nl=False)

    def read(self, seconds: float) -> str:
        """What was typed by now. With a terminal the chip, which is at ``seconds``, is held back to the user's time."""
        if not self._typing:
            return ""
        ahead = seconds - (time.monotonic() - self._started)
        if not select.select([sys.stdin], [], [], max(ahead, 0))[0]:
            return ""
        typed = os.read(sys.stdin.fileno(), _LONGEST).decode("utf-8", "replace")
        self.left = _LEAVE in typed
        return typed.split(_LEAVE, 1)[0]
