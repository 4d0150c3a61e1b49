"""Tasks that should go on until they are cancelled, and what is said when one does not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from py_esp_ota.errors import MqttError

_log = logging.getLogger(__name__)

OnEnd = Callable[[str], None]
"""Called with one sentence when something ended by itself that others cannot do without."""


def watch(task: asyncio.Future[Any], what: str, on_end: OnEnd | None) -> Callable[[], object]:
    """Tell ``on_end``, or the log, when a task ends that nobody cancelled; calling the result ends the watch."""

    def ended(task: asyncio.Future[Any]) -> None:
        if not task.cancelled():
            (on_end or _log.error)(f"{what} ended: {_why(task.exception())}")

    task.add_done_callback(ended)
    return partial(task.remove_done_callback, ended)


def _why(error: BaseException | None) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    match error:
        case None:
            return "it returned"
        case MqttError() | OSError():
            return str(error)
    _log.debug("where it was", exc_info=error)
    return f"{type(error).__name__}: {error}"
