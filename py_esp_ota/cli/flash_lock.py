"""One process at a time for a flash file that somebody lives on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from py_esp_ota.adapters.file_lock import FileLock, LockedError
from py_esp_ota.cli.files import Unusable
from py_esp_ota.posix import lacks_posix


@contextmanager
def alone_on(flash: Path, who: str) -> Iterator[None]:
    """Have a flash file for oneself, as ``who``, while the context is entered; the lock is a file beside it.

    Raises ``Unusable``: another process has it, no file can be made there, or this is Windows.
    """
    if reason := lacks_posix(who):
        raise Unusable(reason)
    real = flash.resolve()
    try:
        lock = FileLock(real.with_name(f"{real.name}.lock"))
    except LockedError as error:
        raise Unusable(f"{flash} is in use by {error.words or 'another process'}: end that one first") from None
    except OSError as error:
        raise Unusable(f"{error.filename or flash}: {error.strerror}") from error
    with lock:
        lock.say(f"{who}, process {os.getpid()}, since {datetime.now(UTC).astimezone():%Y-%m-%d %H:%M:%S}")
        yield
