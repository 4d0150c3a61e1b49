"""A module of this package in a process of its own: one document in, lines out.

The document stands behind a line with its length, and the pipe that brought it stays open: it ends when whoever
started the process is gone, however that ended, and then the process ends, too. It gives way to everybody else, and
may have only so much memory and time.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

_LINE_LIMIT = 64 << 20  # bytes: its last line is its result
_LENGTH_LIMIT = 20  # digits
_SHOWN = 300  # characters of what it complains
_NICE = 10
_NO_MEMORY = "memory allocation of"  # Rust's last words: it aborts


class ChildError(Exception):
    """The process ended without a result; one sentence says how."""


def _said(complaint: str) -> str:
    """The line of a complaint that says what was wrong."""
    lines = complaint.strip().splitlines()
    return next((line for line in lines if line.startswith(_NO_MEMORY)), lines[-1] if lines else "")[:_SHOWN]


async def run_child(module: str, document: bytes, on_line: Callable[[bytes], None]) -> None:
    """Run ``python -m module`` with ``document`` on its standard input; ``on_line`` gets each line that it writes.

    It is killed when the caller is cancelled.

    Raises:
        ChildError: it ended badly.
        OSError: it cannot be started.
    """
    words = (sys.executable, "-P", "-m", module)  # -P: not what happens to lie in the folder that we are in
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(
        *words,
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        limit=_LINE_LIMIT,
        start_new_session=True,  # a Ctrl-C in the terminal is for us
    )
    source, lines, errors = child.stdin, child.stdout, child.stderr
    if source is None or lines is None or errors is None:
        raise AssertionError("they are pipes")
    complaint = asyncio.create_task(errors.read())
    try:
        with suppress(BrokenPipeError, ConnectionResetError):  # it says why it does not read on
            source.write(b"%d\n" % len(document) + document)
            await source.drain()
        async for line in lines:
            on_line(line)
        code = await child.wait()
        if code:
            said = _said((await complaint).decode(errors="replace"))
            raise ChildError(f"it ended with {code}" + (f": {said}" if said else ""))
    finally:
        complaint.cancel()
        if child.returncode is None:
            child.kill()
            await child.wait()


def be_a_child(source: BinaryIO, *, memory: int, seconds: int) -> bytes:
    """In such a process: the document. From here on the process gives way, is limited, and ends with its starter.

    Args:
        source: its standard input.
        memory: bytes of address space that it may have.
        seconds: of processor time.

    Raises:
        ValueError: this is no such process.
    """
    length = source.readline(_LENGTH_LIMIT).strip()
    if not length.isdigit():
        raise ValueError("this module is started by a server, with a document")
    _limit(memory, seconds)
    document = source.read(int(length))
    # By its number: a thread that waits in the file itself would hold it when the interpreter ends.
    threading.Thread(target=_end_with, args=(source.fileno(),), name="ends with the server", daemon=True).start()
    return document


def _end_with(pipe: int) -> None:
    os.read(pipe, 1)
    os._exit(1)


def _limit(memory: int, seconds: int) -> None:
    if sys.platform == "win32":
        return
    import resource  # noqa: PLC0415 - POSIX has it

    os.nice(_NICE)
    for what, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, seconds)):
        _, hard = resource.getrlimit(what)
        limit = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with suppress(OSError, ValueError):  # macOS knows the first one by name only
            resource.setrlimit(what, (limit, hard))
