"""Tests of the clock that other tests go by."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from steady import SteadyLoop


def run(story):
    with asyncio.Runner(loop_factory=SteadyLoop) as runner:
        return runner.run(story)


def test_nobody_is_late_because_the_machine_was_elsewhere():
    async def story():
        async with asyncio.timeout(0.3):
            asyncio.get_running_loop().call_soon(time.sleep, 0.8)
            for _ in range(4):
                await asyncio.sleep(0.02)
        return True

    assert run(story())


def test_a_process_that_is_stopped_misses_nothing():
    program = (
        "import asyncio, os, signal, sys, threading, time; sys.path.insert(0, sys.argv[1])\n"
        "from steady import SteadyLoop\n"
        "async def story():\n"
        "    begun, real = asyncio.get_running_loop().time(), time.monotonic()\n"
        "    threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGSTOP)).start()\n"
        "    await asyncio.sleep(0.8)\n"
        "    print(asyncio.get_running_loop().time() - begun, time.monotonic() - real)\n"
        "asyncio.Runner(loop_factory=SteadyLoop).run(story())\n"
    )
    command = [sys.executable, "-c", program, str(Path(__file__).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        time.sleep(1.0)
        process.send_signal(signal.SIGCONT)
        ours, real = map(float, process.stdout.readline().split())
    assert 0.8 <= ours < 1.0 <= real


def test_its_seconds_are_real_ones():
    async def story():
        begun = time.monotonic()
        await asyncio.sleep(0.2)
        return time.monotonic() - begun

    assert run(story()) >= 0.2
