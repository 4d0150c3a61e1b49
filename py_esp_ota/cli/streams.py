"""stdout and stderr as a verb needs them, before the first word is said."""

from __future__ import annotations

import io
import os
import sys


def prepare() -> None:
    """Letters that a stream's encoding lacks become escapes.

    A stdout that the caller closed is an error as soon as something is to go there; a closed stderr takes everything.
    Their numbers are given to nothing else: the next file to be opened must not be what is printed into.
    """
    if sys.stdout is None:
        closed = os.open(os.devnull, os.O_RDONLY)  # to write into it is the error of a closed one
        sys.stdout = open(closed, "w", encoding="utf-8")  # noqa: PTH123, SIM115 (open until the process ends)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
