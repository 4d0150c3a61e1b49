"""Work as bytes on their way to a worker, and what comes back."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, NamedTuple

from py_esp_ota.work.work import Work


class WorkError(Exception):
    """Work that cannot be done, or not there; one sentence says why."""


class Stranger(NamedTuple):
    """What a worker is made of: reports of other code are other reports."""

    py_esp_ota: str
    python: str

    @classmethod
    def myself(cls) -> Stranger:
        """This process."""
        return cls(version("py_esp_ota"), ".".join(map(str, sys.version_info[:2])))

    def refuse(self, where: str) -> None:
        """Raises ``WorkError`` when it is not like this process."""
        ours = Stranger.myself()
        if self != ours:
            theirs = f"py_esp_ota {self.py_esp_ota} on Python {self.python}"
            here = f"py_esp_ota {ours.py_esp_ota} on Python {ours.python}"
            raise WorkError(f"{where} has {theirs}, here is {here}: both need the same")


@dataclass(frozen=True, slots=True)
class Packed:
    """The function and the data of a work, for a worker."""

    data: bytes

    @classmethod
    def of(cls, work: Work[Any, Any]) -> Packed:
        """Raises ``WorkError`` for work that cannot go to another process."""
        if work.do.__module__ == "__main__":
            raise WorkError(
                f"{work.do.__qualname__} stands in the program itself: a worker finds functions of modules only"
            )
        try:
            return cls(pickle.dumps((work.do, work.data), pickle.HIGHEST_PROTOCOL))
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise WorkError(f"{work.do.__qualname__} cannot go to another process: {error}") from error

    def worker(self) -> Callable[[int], bytes]:
        """In the worker: a shard's number in, its answer out, to be opened by ``opened``."""
        do, data = pickle.loads(self.data)  # noqa: S301 - from the process that started this one

        def answer(shard: int) -> bytes:
            try:
                return pickle.dumps((True, do(data, shard)), pickle.HIGHEST_PROTOCOL)
            except Exception as error:  # noqa: BLE001 - it is raised where somebody waits for it
                return _failed(error, shard)

        return answer


def opened(answer: bytes) -> Any:
    """The report that a worker sent. Raises what the work raised there."""
    good, found = pickle.loads(answer)  # noqa: S301 - from a worker that we have started
    if not good:
        raise found
    return found


def _failed(error: Exception, shard: int) -> bytes:
    """An error of a shard as it can be raised elsewhere: itself, or what it said."""
    try:
        answer = pickle.dumps((False, error), pickle.HIGHEST_PROTOCOL)
        pickle.loads(answer)  # noqa: S301 - our own words: not every error can be made anew
    except Exception:  # noqa: BLE001 - whatever its own code raises
        return pickle.dumps((False, WorkError(f"shard {shard}: {type(error).__name__}: {error}")))
    return answer
