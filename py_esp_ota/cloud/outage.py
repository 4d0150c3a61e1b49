"""A database that fails for a while: what is no mistake of ours, and how long to wait before trying again."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, NotSupportedError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from py_esp_ota.cloud.database import reason

RETRY_S = 1.0
RETRY_LIMIT_S = 30.0

_MISTAKES = (DataError, IntegrityError, NotSupportedError, ProgrammingError)


def outage(error: Exception) -> str:
    """Why the database failed, when it is not a mistake in what it was asked and may work later; else empty."""
    if isinstance(error, DBAPIError) and not isinstance(error, _MISTAKES):
        return reason(error)
    return str(error) if isinstance(error, PoolTimeoutError) else ""


def pauses() -> Iterator[float]:
    """Seconds before each new try, longer and longer."""
    pause = RETRY_S
    while True:
        yield pause
        pause = min(pause * 2, RETRY_LIMIT_S)
