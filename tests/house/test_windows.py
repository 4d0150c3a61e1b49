"""Where there is no POSIX: every module can be imported, and what needs POSIX says so in one sentence."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from importlib.util import find_spec
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from py_esp_ota import (
    Chip,
    Flash,
    socket_world,  # noqa: F401 - uvicorn asks what the platform is when it is imported
)
from py_esp_ota.adapters.emulators import EspEmu, Qemu
from py_esp_ota.adapters.mosquitto import open_mosquitto
from py_esp_ota.cli import main
from py_esp_ota.cli.terminal import Terminal
from py_esp_ota.errors import MqttError
from py_esp_ota.firmware import Firmware

#: Modules and functions of the standard library that Python on Windows does not have.
NO_MODULES = ("fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty")
NO_NAMES = {
    "os": (
        *("chown", "fchmod", "fchown", "fork", "forkpty", "getegid", "geteuid", "getgid", "getuid", "initgroups"),
        *("killpg", "mkfifo", "openpty", "setsid", "setuid", "O_NOFOLLOW", "O_NONBLOCK"),
    ),
    "signal": ("SIGALRM", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGUSR1", "alarm", "setitimer"),
    "socket": ("AF_UNIX",),
}

#: Imports everything of ours as if it were there. The libraries of others are as they are on this computer.
IMPORT_ALL = f"""
import builtins, importlib, pkgutil, sys
import py_esp_ota

import_ = builtins.__import__

def windows(name, globals=None, locals=None, fromlist=(), level=0):
    ours = (globals or {{}}).get("__name__", "").startswith(("py_esp_ota", "_py_esp_ota"))
    if ours and not level:
        if name.partition(".")[0] in {NO_MODULES!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        for wanted in set(fromlist or ()) & set({NO_NAMES!r}.get(name, ())):
            raise ImportError(f"cannot import name {{wanted!r}} from {{name!r}}")
    module = import_(name, globals, locals, fromlist, level)
    return Windows(module, {NO_NAMES!r}[name]) if ours and not level and name in {NO_NAMES!r} else module

class Windows:
    def __init__(self, module, missing):
        self.module, self.missing = module, missing
    def __getattr__(self, name):
        if name in self.missing:
            raise AttributeError(name)
        return getattr(self.module, name)

builtins.__import__ = windows
names = [found.name for found in pkgutil.walk_packages(py_esp_ota.__path__, "py_esp_ota.")]
for name in ["_py_esp_ota_pytest", *names]:
    if name != "py_esp_ota.__main__":
        importlib.import_module(name)
print(len(names))
"""


def test_every_module_can_be_imported():
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 150


@pytest.mark.parametrize("line", ["import termios", "from os import fork", "import os; os.geteuid()", "import pwd"])
def test_the_test_would_notice(line, tmp_path):
    (tmp_path / "_py_esp_ota_posix.py").write_text(line + "\n")
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n" + IMPORT_ALL
    program = re.sub("^names = .*", "names = []", program, flags=re.MULTILINE)
    program = program.replace('"_py_esp_ota_pytest"', '"_py_esp_ota_posix"')
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Error: " in done.stderr.splitlines()[-1]


@pytest.fixture
def windows(monkeypatch):
    """A Windows that libraries do not notice: they look once, when they are imported."""
    for verb in ("demo", "serve", "sign"):
        main.get_command(None, verb)
    monkeypatch.setattr(sys, "platform", "win32")


def told(*words):
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    return done.exit_code, done.output


def test_serve_says_so_before_it_writes_anything(windows, tmp_path):
    data = tmp_path / "data"
    said = "Error: esp-ota serve needs Linux or macOS; on Windows, use WSL\n"
    assert told("serve", "--data", str(data)) == (2, said)
    assert not data.exists()


@pytest.mark.sockets
def test_a_demo_over_sockets_says_so(windows, tmp_path):
    for version in ("1.0.0", "1.1.0"):
        (tmp_path / f"{version}.bin").write_bytes(Firmware("lamp", version).to_bytes())
    said = "Error: a broker on real sockets needs Linux or macOS; on Windows, use WSL\n"
    code, output = told("demo", "--sockets", "--json", str(tmp_path / "1.0.0.bin"), str(tmp_path / "1.1.0.bin"))
    assert (code, output.startswith(said)) == (2, True), output


def test_mosquitto_says_so(windows, tmp_path):
    async def start():
        async with open_mosquitto(tmp_path, ca=None, program=tmp_path / "mosquitto.exe"):
            pass

    with pytest.raises(MqttError, match=r"^mosquitto as a child process needs Linux or macOS; on Windows, use WSL$"):
        asyncio.run(start())


@pytest.mark.parametrize("emulator", [Qemu, EspEmu])
def test_emulators_say_so(windows, emulator):
    said = f"{emulator.name} as a child process needs Linux or macOS; on Windows, use WSL"
    assert emulator().unavailable("esp32c3") == said
    with pytest.raises(ValueError, match=f"^{said}$"):
        emulator().boot(Chip("esp32c3", flash=Flash(0x400000)))


def test_the_console_of_run_is_shown_and_says_that_nobody_can_type(windows, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True))
    with Terminal(typing=True) as terminal:
        terminal.show("hello\n", echo=True)
        assert terminal.read(0.0) == ""
    found = capsys.readouterr()
    assert found.out.replace("\r", "") == "hello\n"
    assert found.err == "typing into the chip needs Linux or macOS; on Windows, use WSL\n"


@pytest.mark.skipif(find_spec("cryptography") is None, reason="needs the extra sign")
def test_a_new_key_says_who_may_read_it(windows, tmp_path):
    code, output = told("sign", "--generate-key", "ecdsa256", str(tmp_path / "key.pem"))
    assert code == 0
    assert "On Windows its folder says who may read it" in output
