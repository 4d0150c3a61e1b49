"""A child process that ends when we do, however we end, and gently: it has time to save what it has.

Between us and the child stands a shell that waits at a pipe. The pipe ends when we close it, and when we are killed,
too; then the shell asks the child to end, again and again, and after a while ends it. That needs nothing of the system
but a shell; what the kernel offers (``PR_SET_PDEATHSIG``) is Linux's alone, and one signal, which a child that is just
starting may forget. The child and its shell hold a lock with the child's number in it: one that was left over all the
same, because its shell was killed as well, is found by that.
"""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, Process, SubprocessStreamProtocol
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from py_esp_ota.adapters.file_lock import FileLock, LockedError

_PAUSE = 0.2  # seconds between two requests to end
_PATIENCE = 15.0  # seconds until it is killed: it may have a lot to save
_LEFT_ALONE = 1.0  # seconds in which the shell of an earlier start may be ending its child already
_SIGNALLED = 128
_LINE_LIMIT = 1 << 16  # bytes
_SOON = 0.01  # seconds: a process that has ended lets go of its files a moment later

# The lock comes as the shell's stdout. What only waits holds neither the lock nor the pipe. The child may open as many
# files, and so connections, as it is allowed to: what a login gives by itself is often 1,024.
_SCRIPT = f"""\
exec 3<&0 4>&1 >/dev/null
ulimit -S -n "$(ulimit -H -n)" 2>/dev/null
"$@" </dev/null 3<&- &
child=$!
echo $child >&4
exec 2>/dev/null
{{
    read -r _ <&3
    left={round(_PATIENCE / _PAUSE)}
    while kill -TERM $child && [ $left -gt 0 ]; do sleep {_PAUSE} 3<&- 4>&-; left=$((left - 1)); done
    kill -KILL $child
}} &
watcher=$!
trap '' HUP INT TERM
wait $child
code=$?
kill -KILL $watcher
exit $code
"""


class _Shell(SubprocessStreamProtocol):
    """Tells that the shell has ended; ``Process.wait`` would wait until the child has closed the log, too."""

    def __init__(self) -> None:
        super().__init__(limit=_LINE_LIMIT, loop=asyncio.get_running_loop())
        self.exited = asyncio.Event()

    def process_exited(self) -> None:
        super().process_exited()
        self.exited.set()


class Kept:
    """A running child.

    Args:
        process: the shell around it.
        exited: set when the shell ends.
        lock: the file with the child's number.
    """

    def __init__(self, process: Process, exited: asyncio.Event, lock: Path) -> None:
        self._process = process
        self._exited = exited
        self._lock = lock
        self._end = asyncio.create_task(self._all_ended(), name="the end of a child process")

    @property
    def pid(self) -> int:
        """The child's own process id, once it has said something; 0 when a full disk did not take it."""
        words = self._lock.read_text().strip()
        return int(words) if words.isdecimal() else 0

    @property
    def ended(self) -> bool:
        """Whether it and its shell are gone."""
        return self._end.done()

    @property
    def ended_by(self) -> signal.Signals | None:
        """What ended the child, when a signal did; it is the shell's exit code, and 128."""
        code = self._process.returncode
        known = None if code is None else code - _SIGNALLED
        return signal.Signals(known) if known in set(signal.Signals) else None

    async def line(self) -> str | None:
        """The next line it prints to stderr, ``None`` when there is none any more."""
        if self._process.stderr is None:
            return None
        try:
            line = await self._process.stderr.readline()
        except ValueError:  # longer than a line may be, and dropped
            return ""
        return line.decode(errors="replace").strip() if line else None

    async def end(self) -> None:
        """End it, gently first."""
        if self._process.stdin:
            self._process.stdin.close()
        await asyncio.wait([self._end], timeout=_PATIENCE + 1)
        if not self.ended:  # somebody has stopped the shell
            self._process.kill()
            await asyncio.wait([self._end])

    async def _all_ended(self) -> None:
        """Wait for the shell; a child whose shell was killed ends, too."""
        await self._exited.wait()
        await asyncio.sleep(_SOON)
        with suppress(LockedError):
            await _end_holder(self._lock, left_alone=_SOON)


async def keep(command: Sequence[str | Path], lock: Path) -> Kept:
    """Start a command that ends with us. Ask ``end_left_over`` before.

    Raises:
        LockedError: the one of an earlier start is not gone.
        OSError: it cannot be started.
    """
    loop = asyncio.get_running_loop()
    words = ("/bin/sh", "-c", _SCRIPT, "sh", *command)
    with FileLock(lock) as held:
        # Its own session: a Ctrl-C in the terminal must not end it before those who use it.
        transport, shell = await loop.subprocess_exec(
            _Shell, *words, stdin=PIPE, stdout=held.fileno(), stderr=PIPE, start_new_session=True
        )
    return Kept(Process(transport, shell, loop), shell.exited, lock)


async def end_left_over(lock: Path) -> int | None:
    """End the child of an earlier start whose shell does not end it; its process id, ``None`` when there was none.

    It is certainly ours: nobody else is given the lock that it holds.

    Raises:
        LockedError: it does not end.
        OSError: it is not for us to end, or the file cannot be made.
    """
    return await _end_holder(lock, left_alone=_LEFT_ALONE)


async def _end_holder(lock: Path, *, left_alone: float) -> int | None:
    clock = asyncio.get_running_loop().time
    began, asked = clock(), None
    while True:
        try:
            FileLock(lock).close()
        except LockedError as locked:
            waited = clock() - began
            if waited > 2 * _PATIENCE:
                raise
            if waited >= left_alone and locked.words.isdecimal():
                asked = int(locked.words)
                with suppress(ProcessLookupError):
                    os.kill(asked, signal.SIGTERM if waited < _PATIENCE else signal.SIGKILL)
        else:
            return asked
        await asyncio.sleep(_PAUSE if waited >= left_alone else _SOON)
