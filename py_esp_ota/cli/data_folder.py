"""The folder in which ``esp-ota serve`` keeps everything: keys, passwords and firmware that only their owner reads."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from py_esp_ota.adapters.file_lock import FileLock, LockedError
from py_esp_ota.cloud.accounts import PASSWORD_MAX, PASSWORD_MIN

DATABASE = "cloud.db"
PASSWORD = "admin-password"  # noqa: S105 - the name of a file
_LOCK = "serve.lock"


class FolderTakenError(Exception):
    """Another ``esp-ota serve`` has the folder; the message says which."""


@contextmanager
def alone_in(folder: Path) -> Iterator[Callable[[str], None]]:
    """Make the folder and have it for oneself while the context is entered; the rest of it is ``open_folder``'s.

    What the context gives is told the URL at which we serve, for who comes too late.

    Raises:
        FolderTakenError: another process has it.
        OSError: the folder cannot be made.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        lock = FileLock(folder / _LOCK)
    except LockedError as error:
        who = f" ({error.words})" if error.words else ""
        raise FolderTakenError(
            f"{folder} is in use by another esp-ota serve{who}: end that one, or give this one another --data"
        ) from None
    me = f"process {os.getpid()}, since {datetime.now(UTC).astimezone():%Y-%m-%d %H:%M:%S}"
    with lock:
        lock.say(me)
        yield lambda url: lock.say(f"{me}, {url}")


def open_folder(folder: Path, *, own_database: bool = True) -> str:
    """Make the folder, or tighten one of an earlier start; the admin's password. The database may be elsewhere.

    A folder that holds something else, and nothing of ours, keeps its mode: it is somebody's, and all our files have
    modes of their own.

    Raises:
        OSError: the folder or a file in it cannot be made.
        ValueError: the password in it is none.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    inside = {file.name for file in folder.iterdir()} - {_LOCK}
    if not inside or inside & {DATABASE, PASSWORD}:
        folder.chmod(0o700)
        if ".gitignore" not in inside:
            (folder / ".gitignore").write_text("*\n")  # this file too: no repository is to have any of it
    password = _admin_password(folder / PASSWORD)
    if own_database:
        _close_database(folder / DATABASE)
    return password


def _close_database(file: Path) -> None:
    """Nobody else opens it. SQLite gives its log and the log's index the mode that the database has."""
    os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    for each in (file, *file.parent.glob(f"{file.name}-*")):
        each.chmod(0o600)


def _admin_password(file: Path) -> str:
    if not file.exists():
        _write_private(file, secrets.token_urlsafe(12) + "\n")
    file.chmod(0o600)
    remedy = "write one into it, or delete it and the next start makes one up"
    try:
        password = file.read_text("utf-8").strip()
    except UnicodeDecodeError:
        raise ValueError(f"{file} is no text; {remedy}") from None
    if not password:
        raise ValueError(f"{file} is empty: there is no admin without a password; {remedy}")
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise ValueError(f"{file}: a password has {PASSWORD_MIN} to {PASSWORD_MAX} characters; {remedy}")
    return password


def _write_private(file: Path, text: str) -> None:
    """Beside, and renamed: a start that is killed here leaves no empty file behind, and nobody reads half of it."""
    handle, partial = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # with mode 0600
    try:
        with os.fdopen(handle, "w") as writable:
            writable.write(text)
            writable.flush()
            os.fsync(handle)
        Path(partial).replace(file)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
