"""``esp-ota`` as a process of its own, without the start of a Python: forked from one that has imported the verbs.

What begins behind the imports is as ever: arguments, streams and signals of a process, and how it ends. For how it
begins there is ``python -m py_esp_ota``.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import resource
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

ROOMS = ("field", "silicon", "sweep", "view")
"""What verbs import when they are called."""


class Keeper:
    """The process that has imported everything; each call is a child of it."""

    def __init__(self):
        self._line, other = socket.socketpair()
        with other:
            words = [sys.executable, __file__, str(other.fileno())]
            self._process = subprocess.Popen(words, pass_fds=[other.fileno()], stdin=subprocess.DEVNULL)

    def close(self):
        self._line.close()
        self._process.wait(20)

    def start(self, words, stdout=None, memory=None):
        """Call ``esp-ota``; its output goes into ``stdout``, a path, or is kept. ``memory`` is its address space."""
        return Forked(self._line, words, stdout, memory)

    def run(self, words, memory=None):
        """The same, to its end: what ``subprocess.run`` says, in text."""
        words = [str(word) for word in words]
        process = self.start(words, memory=memory)
        out, err = (said.decode() for said in process.communicate(120))
        return subprocess.CompletedProcess(words, process.returncode, out, err)


class Forked:
    """One call: what ``subprocess.Popen`` has of it, and no more."""

    def __init__(self, line, words, stdout, memory):
        self._said = []
        theirs = [os.open("/dev/null", os.O_RDONLY)]
        for path in (stdout, None):
            if path is None:
                ours, end = os.pipe()
                self._said.append(ours)
            else:
                end = os.open(path, os.O_WRONLY)
            theirs.append(end)
        answers, end = os.pipe()  # of this call alone: one that fails is not the next one's
        theirs.append(end)
        self._answers = os.fdopen(answers)
        socket.send_fds(line, [json.dumps([words, str(Path.cwd()), memory]).encode() + b"\n"], theirs)
        for end in theirs:
            os.close(end)
        self.pid = int(self._answers.readline())
        self.returncode = None

    def send_signal(self, which):
        os.kill(self.pid, which)

    def communicate(self, timeout):
        """What it said, stream by stream, when it is over. Raises ``TimeoutExpired``."""
        said = dict.fromkeys(self._said, b"")
        waiting = set(said)
        while waiting:
            ready = select.select(waiting, [], [], timeout)[0]
            if not ready:
                raise subprocess.TimeoutExpired("esp-ota", timeout)
            for end in ready:
                data = os.read(end, 1 << 16)
                said[end] += data
                if not data:
                    waiting.discard(end)
        for end in said:
            os.close(end)
        with self._answers:
            self.returncode = os.waitstatus_to_exitcode(int(self._answers.readline()))
        return tuple(said.values())


def keep(line):
    """Fork a child for each call that comes, and tell its number and how it ended."""
    from py_esp_ota.__main__ import main
    from py_esp_ota.cli import _VERBS
    from py_esp_ota.cli import main as verbs

    for verb in _VERBS:
        verbs.get_command(None, verb)
    for room in ROOMS:
        package = importlib.import_module(f"py_esp_ota.{room}")
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    gc.collect()
    gc.freeze()
    while True:
        asked, ends, _, _ = socket.recv_fds(line, 1 << 16, 4)
        if not asked:
            return
        *ends, answers = ends
        words, folder, memory = json.loads(asked)
        child = os.fork()
        if child == 0:
            line.close()
            os.close(answers)
            for number, (end, name) in enumerate(zip(ends, ("stdin", "stdout", "stderr"), strict=True)):
                os.dup2(end, number)
                os.close(end)
                stream = open(number, "w" if number else "r", 1 if number == 2 else -1, "utf-8", closefd=False)  # noqa: SIM115
                setattr(sys, name, stream)
                setattr(sys, f"__{name}__", stream)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.chdir(folder)
            if memory is not None:
                resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
            sys.argv = ["esp-ota", *words]
            try:
                main()
            except SystemExit as end:
                sys.stdout.flush()
                os._exit(end.code or 0)
        for end in ends:
            os.close(end)
        with os.fdopen(answers, "w", 1) as told:
            print(child, file=told)
            print(os.waitpid(child, 0)[1], file=told)


if __name__ == "__main__":
    keep(socket.socket(fileno=int(sys.argv[1])))
