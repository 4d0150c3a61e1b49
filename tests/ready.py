"""``esp-ota`` as a process of its own that need not import anything any more: that is most of what it costs.

One process for all tests has imported what `serve` and `node` need, and starts no thread. For each call it forks, and
the child goes the whole way of the command line: its own process id, signals, files and end. Where the start itself is
the test, `python` is started.
"""

from __future__ import annotations

import atexit
import gc
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path

_IMPORTED = (
    "py_esp_ota.cli.node",
    "py_esp_ota.cli.serve",
    "py_esp_ota.cli.serving",
    "py_esp_ota.cli.streams",
    "py_esp_ota.server",
)


class Process:
    """What ``subprocess.Popen`` would give, as far as tests ask; ``stdout`` is text, and standard error is in it."""

    def __init__(self, *words: object, stdout: int | None = None) -> None:
        """Start it; ``stdout`` is where it prints, or None for a pipe."""
        self.returncode: int | None = None
        self.stdout = None
        printed = stdout
        if stdout is None:
            readable, printed = os.pipe()
            self.stdout = os.fdopen(readable)
        self._told, tell = os.pipe()
        self._lock = threading.Lock()
        asked = {"words": [str(word) for word in words], "folder": str(Path.cwd()), "environ": dict(os.environ)}
        socket.send_fds(_starter(), [json.dumps(asked).encode()], [printed, tell])
        os.close(tell)
        if stdout is None:
            os.close(printed)
        self.pid = int(os.read(self._told, 16))

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, or minus the signal that ended it; ``TimeoutExpired``."""
        with self._lock:
            if self.returncode is None:
                if not select.select([self._told], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired("esp-ota", timeout)
                self.returncode = int(os.read(self._told, 16))
                os.close(self._told)
            return self.returncode

    def poll(self) -> int | None:
        """Its exit code, or None while it lives."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number: int) -> None:
        """To who lives; nothing to who ends meanwhile, of which only the one that waits for it knows yet."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """``kill -9``."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """All that it still prints, once it has ended; ``TimeoutExpired``."""
        printed = []
        reader = threading.Thread(target=lambda: printed.append(self.stdout.read()), daemon=True)
        reader.start()
        reader.join(timeout)
        if reader.is_alive():
            raise subprocess.TimeoutExpired("esp-ota", timeout)
        self.wait(timeout)
        self.stdout.close()
        return printed[0], None


@cache
def _starter() -> socket.socket:
    """The line to the process that forks; it ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, __file__, str(theirs.fileno())]
    process = subprocess.Popen(
        command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
    )
    theirs.close()

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


# ------------------------------------------------------------------------------------------------------- in the process


def _fork_for_each(line: socket.socket) -> list[str] | None:
    """The words of a call, in a child that is to answer it; None where nobody asks any more."""
    while True:
        asked, files, *_ = socket.recv_fds(line, 1 << 20, 2)
        with suppress(ChildProcessError):  # what they cost is counted as ours
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not asked:
            return None
        if os.fork() == 0:
            return _child(line, json.loads(asked), *files)
        for file in files:
            os.close(file)


def _child(line: socket.socket, asked: dict, printed: int, tell: int) -> list[str]:
    """Fork once more: one tells how the other one ends, the other one is the process that was asked for."""
    line.close()
    if pid := os.fork():
        os.write(tell, b"%16d" % pid)
        os.close(printed)
        _, status = os.waitpid(pid, 0)
        os.write(tell, b"%16d" % os.waitstatus_to_exitcode(status))
        os._exit(0)
    os.close(tell)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(printed, number)
        setattr(sys, name, io.TextIOWrapper(io.FileIO(number, "w", closefd=False), write_through=True))
    os.close(printed)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environ"])
    return asked["words"]


if __name__ == "__main__":
    from importlib import import_module

    from py_esp_ota.__main__ import main

    for name in _IMPORTED:
        import_module(name)
    gc.freeze()  # a child need not copy what it only looks at
    if words := _fork_for_each(socket.socket(fileno=int(sys.argv[1]))):
        sys.argv = ["-c", *words]
        main()
