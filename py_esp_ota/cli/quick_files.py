"""What the quick ways to a verb share: one plain file in, one text out, and no parser of command lines."""

from __future__ import annotations

import os
import stat
import sys

_LARGEST = 128 << 20


def plain_file(name: str) -> bytes | None:
    """The bytes of a regular file of a possible size; ``None`` for anything that needs a sentence."""
    try:
        found = os.stat(name)  # noqa: PTH116 (pathlib is one of the imports we save)
        if not stat.S_ISREG(found.st_mode) or not 0 < found.st_size <= _LARGEST:
            return None
        with open(name, "rb") as file:  # noqa: PTH123
            return file.read()
    except (OSError, ValueError):
        return None


def printed(text: str, code: int) -> int | None:
    """Print and give back ``code``, or that of a stdout that takes it not. What may not be encodable is not printed."""
    if sys.stdout is None or not text.isascii():
        return None
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except OSError as error:
        from py_esp_ota.cli.ending import lost

        return lost(error)
    return code
