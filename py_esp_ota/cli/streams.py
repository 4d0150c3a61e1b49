"""stdout and stderr as a verb needs them, before the first word is said."""

from __future__ import annotations

import io
import os
import sys


def prepare() -> None:
    """Letters that a stream's encoding lacks become escapes; a stream that the caller closed takes everything."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 (open until the process ends)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
