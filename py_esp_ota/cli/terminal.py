"""The user's side of a chip's console: what is printed is shown, what is typed is read without waiting for it."""

from __future__ import annotations

import os
import re
import select
import sys
import time
from types import TracebackType
from typing import Self

import click

from py_esp_ota.cli.output import stdout_is_taken
from py_esp_ota.posix import lacks_posix
from py_esp_ota.view.visible import uncoloured, visible

_LEAVE = "\x1d"  # Ctrl-], as in idf.py monitor
_LONGEST = 4096
_HALF_A_COLOUR = re.compile(r"\x1b(\[[0-9;]*)?\Z")


class Terminal:
    """The terminal, raw while somebody can type into it. Without one, nothing is read.

    A session of somebody who types and looks is the chip's own: it gets every byte, as a serial cable brings it. A
    console that goes elsewhere is text: colours are left out, what else prints nothing is shown as an escape.
    """

    def __init__(self, *, typing: bool) -> None:
        """``typing``: whether what is typed is wanted at all."""
        self._typing = typing and sys.stdin is not None and sys.stdin.isatty()
        self._session = self._typing and sys.stdout.isatty()
        self._half = ""
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
        if self._half:
            self._print(visible(self._half))
        if self._settings is not None:
            import termios

            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._settings)  # type: ignore[arg-type]

    def show(self, text: str, *, echo: bool) -> None:
        """More of the console."""
        if text:
            self.shown.append(text)
            if echo:
                self._print(text.replace("\n", "\r\n") if self._session else self._plain(text))

    def _plain(self, text: str) -> str:
        text = self._half + text
        half = _HALF_A_COLOUR.search(text)
        self._half = half[0] if half else ""
        return visible(uncoloured(text.removesuffix(self._half)).replace("\r", ""), keep="\n\t")

    def _print(self, text: str) -> None:
        click.echo(text, nl=False, err=stdout_is_taken())

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
