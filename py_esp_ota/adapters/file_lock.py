"""A lock on a file: who holds it is alive, however it may end."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self


class LockedError(Exception):
    """Somebody else holds the lock; ``words`` are what it wrote into the file, perhaps nothing."""

    def __init__(self, file: Path, words: str) -> None:
        super().__init__(f"{file} is locked")
        self.words = words


class FileLock:
    """``flock`` on a file of one's own, which stays when the lock is gone.

    The kernel lets go of it when the last process ends that has it, also after a ``kill -9``. A child process that is
    given ``fileno()`` has it too.

    Args:
        file: made when missing, for its owner alone.

    Raises:
        LockedError: somebody else holds it.
        OSError: the file cannot be made, or its file system knows no locks.
    """

    def __init__(self, file: Path) -> None:
        import fcntl  # noqa: PLC0415 - there is none on Windows, and nobody who comes so far

        self._handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            words = os.pread(self._handle, 4096, 0).decode(errors="replace").strip()
            os.close(self._handle)
            raise LockedError(file, words) from None
        except OSError as error:
            os.close(self._handle)
            raise OSError(error.errno, error.strerror, str(file)) from error
        os.ftruncate(self._handle, 0)  # what is in it is of an earlier holder

    def fileno(self) -> int:
        """For a child process that is to hold it too."""
        return self._handle

    def say(self, words: str) -> None:
        """Tell who comes too late."""
        os.ftruncate(self._handle, 0)
        with suppress(OSError):  # a full disk locks, too
            os.pwrite(self._handle, words.encode(), 0)

    def close(self) -> None:
        """Let go of it; children that have it hold it on."""
        os.close(self._handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
