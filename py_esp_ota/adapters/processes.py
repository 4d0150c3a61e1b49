"""Work in processes of this machine, each with a pipe there and a pipe back."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from py_esp_ota.work import Done, Lost, Next, Packed, Work, WorkError
from py_esp_ota.work.packed import opened

_WORDS = (sys.executable, "-P", "-m", "py_esp_ota.adapters.worker")
_PATIENCE = 0.5  # seconds between looks for a Ctrl-C, which Windows does not bring to who waits
_KILLED = "was killed by signal"


@dataclass(frozen=True, slots=True)
class Processes:
    """``jobs`` processes beside this one; as many as it may use cores when it is ``None``."""

    jobs: int | None = None

    @contextmanager
    def open(self, work: Work[Any, Any], /) -> Iterator[_Children]:
        """They end with the block, whatever they are at. Raises ``WorkError`` when none can be started."""
        children = _Children(Packed.of(work), self.jobs or cores())
        try:
            children.start()
            yield children
        finally:
            children.end()


def cores() -> int:
    """How many cores this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Children:
    def __init__(self, packed: Packed, size: int) -> None:
        self.size = size
        self._first = pickle.dumps(sys.path) + pickle.dumps(packed, pickle.HIGHEST_PROTOCOL)
        self._heard: SimpleQueue[tuple[_Child, bytes | None]] = SimpleQueue()
        self._free: deque[_Child] = deque()
        self._busy: dict[_Child, int] = {}

    def start(self) -> None:
        self._free.extend(self._child() for _ in range(self.size))

    def give(self, shard: int) -> None:
        child = self._free.popleft()
        self._busy[child] = shard
        child.ask(shard)

    def next(self) -> Next:
        child, answer = self._wait()
        shard = self._busy.pop(child)
        if answer is None:
            how = child.last_words()
            self._free.append(self._child())
            return Lost(shard, how)
        self._free.append(child)
        try:
            return Done(shard, opened(answer))
        except Exception as error:  # noqa: BLE001 - what the work raised there
            return Done(shard, error=error)

    def end(self) -> None:
        for child in (*self._free, *self._busy):
            child.end()

    def _child(self) -> _Child:
        try:
            return _Child(self._first, self._heard)
        except OSError as error:
            raise WorkError(f"no worker can be started: {error.strerror}") from error

    def _wait(self) -> tuple[_Child, bytes | None]:
        while True:
            with suppress(Empty):
                child, answer = self._heard.get(timeout=_PATIENCE)
                if child in self._busy:
                    return child, answer
                self._free.remove(child)  # it died while it had nothing to do
                child.end()
                self._free.append(self._child())


class _Child:
    """One process, and a thread that listens to it."""

    def __init__(self, first: bytes, heard: SimpleQueue[tuple[_Child, bytes | None]]) -> None:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(_WORDS, stdin=pipe, stdout=pipe, start_new_session=True)  # noqa: S603 - ourselves
        self._heard = heard
        self._ear = Thread(target=self._listen, daemon=True)
        self._ear.start()
        self._say(first)

    def ask(self, shard: int) -> None:
        self._say(b"%d\n" % shard)

    def last_words(self) -> str:
        """How it ended; nothing is left of it."""
        code = self._process.wait()
        self.end()
        return f"{_KILLED} {-code}" if code < 0 else f"ended with {code}"

    def end(self) -> None:
        """It ends, whatever it is at."""
        self._process.kill()
        self._process.wait()
        self._ear.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _say(self, words: bytes) -> None:
        if self._process.stdin is None:
            raise AssertionError("it is a pipe")
        with suppress(OSError):  # it is dead, which is heard elsewhere
            self._process.stdin.write(words)
            self._process.stdin.flush()

    def _listen(self) -> None:
        if self._process.stdout is None:
            raise AssertionError("it is a pipe")
        try:
            while True:
                self._heard.put((self, pickle.load(self._process.stdout)))  # noqa: S301 - our own child
        except (EOFError, OSError, ValueError, pickle.UnpicklingError):
            self._heard.put((self, None))
