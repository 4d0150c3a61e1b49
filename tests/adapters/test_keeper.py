"""A child process ends when we do, however we end; one that was left over is found by the lock it holds."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
import time

import pytest
from broker_bench import run_real

from py_esp_ota.adapters import keeper
from py_esp_ota.adapters.file_lock import FileLock, LockedError
from py_esp_ota.adapters.keeper import end_left_over, keep

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX")

#: It forgets the first two requests to end, as one that is just starting may, and saves something at the third.
CHILD = """
import signal, sys, time
asked = 0
def ask(*_):
    global asked
    asked += 1
signal.signal(signal.SIGTERM, ask)
print("running", file=sys.stderr, flush=True)
while asked < 3:
    time.sleep(0.01)
open(sys.argv[1], "w").write("saved")
"""

#: Keeps the child until somebody kills it; says the shell's and the child's process id.
PARENT = """
import asyncio, sys
from pathlib import Path
from py_esp_ota.adapters.keeper import keep

async def story():
    kept = await keep([sys.executable, "-c", sys.argv[1], sys.argv[2]], Path(sys.argv[3]))
    assert await kept.line() == "running"
    print(kept._process.pid, kept.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(story())
"""


def gone(pid):
    """Whether a process has ended; it may wait for its burial."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.strip()[:1] in {"", "Z"}


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def started(tmp_path):
    """A parent, the shell and the child, all of them running."""
    words = [sys.executable, "-c", PARENT, CHILD, str(tmp_path / "saved"), str(tmp_path / "lock")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as parent:
        shell, child = map(int, parent.stdout.readline().split())
        yield parent, shell, child
        parent.kill()
    for pid in (shell, child):
        if not gone(pid):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_child_saves_and_ends_however_its_parent_ends(started, tmp_path, number):
    parent, shell, child = started
    assert not gone(child)
    parent.send_signal(number)
    parent.wait()
    until(lambda: gone(child) and gone(shell))
    assert (tmp_path / "saved").read_text() == "saved"


def test_one_that_was_left_over_is_ended_by_the_next_start_and_named(started, tmp_path):
    parent, shell, child = started
    os.kill(shell, signal.SIGKILL)
    parent.kill()
    parent.wait()
    until(lambda: gone(shell))
    assert not gone(child)
    assert asyncio.run(end_left_over(tmp_path / "lock")) == child
    assert gone(child)
    assert (tmp_path / "saved").read_text() == "saved"
    assert asyncio.run(end_left_over(tmp_path / "lock")) is None


def test_one_that_ends_already_is_waited_for_and_not_named(started, tmp_path):
    parent, _shell, child = started
    parent.kill()
    assert asyncio.run(end_left_over(tmp_path / "lock")) is None
    assert gone(child)


def test_who_does_not_end_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(keeper, "_PATIENCE", 0.2)
    with FileLock(tmp_path / "lock") as held:
        held.say("nobody")
        with pytest.raises(LockedError) as caught:
            asyncio.run(end_left_over(tmp_path / "lock"))
    assert caught.value.words == "nobody"


def test_a_child_whose_shell_is_killed_ends_too(tmp_path):
    async def story():
        kept = await keep([sys.executable, "-c", CHILD, str(tmp_path / "saved")], tmp_path / "lock")
        assert await kept.line() == "running"
        pid = kept.pid
        kept._process.kill()
        assert await kept.line() is None  # the log ends with the child
        await kept.end()
        return pid

    assert gone(run_real(story()))
    assert (tmp_path / "saved").read_text() == "saved"


def test_a_shell_that_stands_still_does_not_hold_up_the_end(tmp_path, monkeypatch):
    monkeypatch.setattr(keeper, "_PATIENCE", 0.5)

    async def story():
        kept = await keep([sys.executable, "-c", CHILD, str(tmp_path / "saved")], tmp_path / "lock")
        assert await kept.line() == "running"
        os.kill(kept._process.pid, signal.SIGSTOP)
        await kept.end()
        return kept.pid

    assert gone(run_real(story()))


def test_a_child_that_ends_by_itself_takes_its_shell_along(tmp_path):
    async def story():
        kept = await keep(["/bin/sh", "-c", "echo bye >&2"], tmp_path / "lock")
        lines = [await kept.line(), await kept.line()]
        await asyncio.wait([kept._end])
        return lines

    assert run_real(story()) == ["bye", None]


def test_a_child_may_open_as_many_files_as_is_allowed(tmp_path):
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def story():
        kept = await keep(["/bin/sh", "-c", "ulimit -S -n >&2; ulimit -H -n >&2"], tmp_path / "lock")
        limits = await kept.line(), await kept.line()
        await kept.end()
        return limits

    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        soft, hard = run_real(story())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert soft == hard != "256"


def test_a_lock_holds_on_a_full_disk_as_well(tmp_path, monkeypatch):
    def full(*_words):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with FileLock(tmp_path / "lock") as held:
        held.say("me")
        with pytest.raises(LockedError):
            FileLock(tmp_path / "lock")


def test_a_lock_tells_who_comes_too_late_what_its_holder_said(tmp_path):
    with FileLock(tmp_path / "lock") as held:
        held.say("first")
        held.say("me")
        with pytest.raises(LockedError) as caught:
            FileLock(tmp_path / "lock")
        assert caught.value.words == "me"
    with FileLock(tmp_path / "lock"):
        assert (tmp_path / "lock").read_text() == ""
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
