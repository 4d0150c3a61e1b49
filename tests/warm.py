"""``esp-ota``, ``pytest`` and ``python FILE`` in a shell without a new Python: forked from one that has it all.

The programs on the shell's PATH are clients of a few milliseconds. Each hands over its words, folder, environment and
streams, passes on the signals that it gets, and ends as the call does. What begins behind the imports is as ever; how a
call begins is tested by the README's commands and in ``test_wheel.py``, and that no text uses what it has not imported
by ``test_page_types.py``.
"""

from __future__ import annotations

import ast
import atexit
import contextlib
import gc
import importlib
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from functools import partial
from pathlib import Path

CLIENT = """\
#!{python} -IS
import _signal, _socket, posix, sys
words = [{name!r}, *sys.argv[1:]]
if not ({taken}):
    posix.execv({program!r}, [{program!r}, *words[1:]])
deaf = _signal.getsignal(_signal.SIGINT) == _signal.SIG_IGN
line = _socket.socket(_socket.AF_UNIX)
line.connect({place!r})
streams = b"".join(end.to_bytes(4, sys.byteorder) for end in (0, 1, 2))
line.sendmsg([b"."], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
line.sendall(repr((words, posix.getcwd(), dict(posix.environ), deaf)).encode())
line.shutdown(_socket.SHUT_WR)
def told():
    text = b""
    while not text.endswith(b"\\n"):  # a short call has ended before its number is read
        text += line.recv(1) or b"1\\n"
    return int(text)
child = told()
for number in (_signal.SIGTERM, _signal.SIGHUP) if deaf else (_signal.SIGTERM, _signal.SIGHUP, _signal.SIGINT):
    _signal.signal(number, lambda number, _: posix.kill(child, number))
posix._exit(told())
"""
TAKEN = {"esp-ota": "True", "pytest": "True", "python": "len(words) == 2 and words[1].endswith('.py')"}
"""Programs, and which of their calls are forked; the others are made as ever."""
SECOND_CUTS = 10


class Keeper:
    """A process with everything imported that is installed where ``scripts`` is; the clients are in ``folder``."""

    def __init__(self, folder: Path, scripts: Path) -> None:
        self.folder = folder
        place = str(folder / "line")
        for name, taken in TAKEN.items():
            text = CLIENT.format(
                python=sys._base_executable, name=name, taken=taken, program=str(scripts / name), place=place
            )
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYT")}
        self._process = subprocess.Popen(
            [scripts / "python", __file__, place],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=folder,
            env=environment,
        )
        assert self._process.stdout.readline() == b"ready\n"

    def close(self) -> None:
        """Let it end, and with it what it has forked."""
        self._process.communicate(timeout=20)


def everything() -> None:
    """Import what there is of the package; what lacks an extra is left to who asks for it."""
    import py_esp_ota

    for module in pkgutil.walk_packages(py_esp_ota.__path__, "py_esp_ota.", onerror=lambda _: None):
        if not module.name.endswith("__main__") and ".migrations." not in module.name:
            with contextlib.suppress(ImportError):
                importlib.import_module(module.name)


def shallow() -> None:
    """Few second cuts on the pages of ``teach`` and ``sweep --teach``; how far pages go is asked in ``tests/view``.

    ``teach_page`` itself, as a text calls it, goes all the way.
    """
    from py_esp_ota.cli import sweep, teach
    from py_esp_ota.view.teach import Limits, page

    (limit,) = (option for option in teach.command.params if option.name == "limit")
    limit.default = SECOND_CUTS
    sweep.Limits = partial(Limits, wrecks=SECOND_CUTS)
    page._BESIDE = Limits(wrecks=SECOND_CUTS)


def unwarned() -> None:
    """Let pytest find plugins imported: their own asserts, which it would have told more of, are no page's."""
    from _pytest.assertion.rewrite import AssertionRewritingHook

    AssertionRewritingHook._warn_already_imported = lambda *_: None


def call(words: list[str], folder: str, environment: dict[bytes, bytes], *, deaf: bool) -> int:
    """What the program does; the exit code."""
    signal.signal(signal.SIGINT, signal.SIG_IGN if deaf else signal.default_int_handler)
    os.chdir(folder)
    os.environb.clear()
    os.environb.update(environment)
    gc.enable()
    sys.argv = words
    try:
        if words[0] == "esp-ota":
            from py_esp_ota.__main__ import main

            main()
        elif words[0] == "pytest":
            import pytest

            sys.exit(pytest.console_main())
        else:
            sys.path.insert(0, folder)
            sys.argv = words[1:]
            runpy.run_path(words[1], run_name="__main__")
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        sys.stderr.write(f"{end.code}\n")
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception:  # noqa: BLE001 - told as a Python tells it
        traceback.print_exc()
        return 1
    return 0


def fork(line: socket.socket) -> int:
    """Read a call and make it in a child; its number."""
    ends = socket.recv_fds(line, 1, 3)[1]
    with line.makefile("rb") as file:
        words, folder, environment, deaf = ast.literal_eval(file.read().decode())
    child = os.fork()
    if child == 0:
        for number, (end, name) in enumerate(zip(ends, ("stdin", "stdout", "stderr"), strict=True)):
            os.dup2(end, number)
            kept = getattr(sys, name)
            buffering = 1 if name == "stderr" else -1
            stream = open(number, "w" if number else "r", buffering, kept.encoding, kept.errors, closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)
        os.closerange(3, 256)
        code = call(words, folder, environment, deaf=deaf)
        threading._shutdown()
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)
    for end in ends:
        os.close(end)
    return child


def keep(place: str) -> None:
    """Fork a child for each client that comes, until stdin ends. A client that is gone takes its child along."""
    everything()
    shallow()
    unwarned()
    gc.collect()
    gc.freeze()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen(16)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    poll.register(0, 0)
    lives: dict[int, tuple[int, socket.socket]] = {}  # by what tells of their end
    while True:
        for ready, _ in poll.poll():
            if ready == 0:
                for child, _ in lives.values():
                    os.kill(child, signal.SIGKILL)
                return
            if ready == listener.fileno():
                line = listener.accept()[0]
                child = fork(line)
                line.sendall(b"%d\n" % child)
                end = os.pidfd_open(child)
                lives[end] = child, line
                poll.register(end, select.POLLIN)
                poll.register(line, 0)  # that is, when the client is gone
            elif ready in lives:
                child, line = lives.pop(ready)
                code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                poll.unregister(ready)
                os.close(ready)
                with contextlib.suppress(KeyError):
                    poll.unregister(line)
                with line, contextlib.suppress(OSError):
                    line.sendall(b"%d\n" % (code if code >= 0 else 128 - code))
            else:
                poll.unregister(ready)
                for child, line in lives.values():
                    if line.fileno() == ready:
                        os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    del sys.path[0]
    keep(sys.argv[1])
