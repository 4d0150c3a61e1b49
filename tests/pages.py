"""What a reader does with a page: its commands in a shell, exactly as printed, and its Python, block by block."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)
_NAMED = re.compile(r"# (\w+\.(?:py|toml))\n")
_DONE = "-- done, with exit code"
#: Programs that would change more than a folder are asked whether they would do it.
_STAND_INS = {
    "make": f'exec /usr/bin/env PATH="${{PATH#*:}}" make -n -C {ROOT} "$@" >/dev/null',
    "pip": f'exec {sys.executable} {Path(__file__).parent / "stand_in_pip.py"} "$@"',
}


@dataclass(frozen=True)
class Block:
    """A fenced block, and the text that is shown as its output."""

    language: str
    text: str
    output: str

    @property
    def file(self) -> str | None:
        """The file that this block is, when its first line names one."""
        named = _NAMED.match(self.text) if self.language in {"python", "toml"} else None
        return named and named[1]

    def commands(self):
        """Each command as printed, the exit code that is noted behind it (0), and the lines shown below it."""
        for shown in re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:]:
            command, *lines = shown.splitlines()
            while command.endswith("\\"):
                command += "\n" + lines.pop(0).removeprefix("> ")
            note = re.search(r"  # exit (\d+)$", command)
            yield command, int(note[1]) if note else 0, lines


def blocks(text):
    return [Block(*found) for found in _BLOCK.findall(text)]


def pattern(lines):
    """What matches an output: ``...`` alone is any lines, in a line any text."""
    return "".join(
        "(?:.*\n)*" if line == "..." else re.escape(line).replace(re.escape("..."), ".*") + "\n" for line in lines
    )


class Shell:
    """A bash that stays open for a whole page, as a reader's terminal does."""

    def __init__(self, folder, room, scripts):
        """``folder`` is where the reader is; ``room``, another one, is for what the reader does not see.

        ``scripts`` is the ``bin`` of what the reader has installed.
        """
        for name, line in _STAND_INS.items():
            (room / name).write_text(f"#!/bin/sh\n{line}\n")
            (room / name).chmod(0o755)
        (room / "home").mkdir()
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYT")} | {
            "PATH": f"{room}:{scripts}:{os.environ['PATH']}",
            "HOME": str(room / "home"),
            "XDG_CACHE_HOME": str(cache),
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }
        self._step = room / "step"
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="surrogateescape",
            start_new_session=True,
        )
        self._send("trap : INT")  # Ctrl-C is for what runs, not for the shell itself

    def _send(self, line):
        self._bash.stdin.write(line + "\n")
        self._bash.stdin.flush()

    def run(self, command, *, ctrl_c_at=None):
        """Exit code and output of a command; Ctrl-C is pressed when ``ctrl_c_at`` is printed."""
        self._step.write_text(command + "\n")
        self._send(f". '{self._step}' </dev/null; printf '\\n%s %d\\n' '{_DONE}' $?")
        output = ""
        for line in self._bash.stdout:
            if line.startswith(_DONE):
                output = output[:-1]  # the line break before the mark
                return int(line.removeprefix(_DONE)), output if output.endswith("\n") or not output else output + "\n"
            output += line
            if ctrl_c_at is not None and ctrl_c_at in line:
                time.sleep(0.5)  # nobody is faster
                os.killpg(self._bash.pid, signal.SIGINT)
                ctrl_c_at = None
        raise AssertionError(f"{command!r} ended the shell: {output}")

    def close(self):
        """End the shell and whatever a page left running, which gets the time to end what it started itself."""
        self._bash.stdin.close()
        for number, patience_s in ((signal.SIGCONT, 2), (signal.SIGTERM, 10), (signal.SIGKILL, 10)):
            until = time.monotonic() + patience_s
            with suppress(ProcessLookupError):
                os.killpg(self._bash.pid, number)
                while time.monotonic() < until:
                    self._bash.poll()
                    os.killpg(self._bash.pid, 0)  # raises when nobody is left
                    time.sleep(0.02)
        self._bash.wait()
        self._bash.stdout.close()


@contextmanager
def shell(folder, room, scripts):
    opened = Shell(folder, room, scripts)
    try:
        yield opened
    finally:
        opened.close()


def python(block, opened):
    """What a block prints that somebody copies into a file of its own and runs in the current folder."""
    Path("block.py").write_text(block.text)
    code, output = opened.run("python block.py")
    assert code == 0, output
    return output


def needs_ports(text):
    """Skip the test when a program of somebody else has one of the ports that a page names."""
    for port in map(int, re.findall(r"--\w*-?port (\d+)", text)):
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            pytest.skip(f"port {port} of 127.0.0.1 is in use")
