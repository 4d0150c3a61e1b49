"""A copy of an SQLite database beside it, whole or not there at all."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path


def keep_copy(source: sqlite3.Connection, revision: str) -> Path:
    """Copy the database, as its readers see it, to ``<name>.revision-<revision>``; where that is.

    An earlier copy of the same revision gives way: this one descends from it. Only the owner may read it, and it is on
    the disk when this returns.

    Raises:
        OSError: it cannot be written; then nothing is left of it.
    """
    file = Path(source.execute("PRAGMA database_list").fetchone()[2])
    kept = file.with_name(f"{file.name}.revision-{revision}")
    partial = kept.with_name(f"{kept.name}.partial")
    partial.unlink(missing_ok=True)
    try:
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with closing(sqlite3.connect(partial)) as copy:
            source.backup(copy)
        _sync(partial)
        partial.replace(kept)
    except sqlite3.Error as error:
        raise OSError(str(error)) from error
    finally:
        partial.unlink(missing_ok=True)
    if os.name == "posix":  # elsewhere a folder cannot be opened, and its names are kept without being asked
        _sync(file.parent)
    return kept


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
