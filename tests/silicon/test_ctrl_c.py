"""Ctrl-C while machine code runs: it ends the run, wherever the signal falls, and is not lost in a callback."""

from __future__ import annotations

import signal
import struct
import subprocess
import sys
import threading
import time

import pytest

from py_esp_ota import firmware
from py_esp_ota._core import Flash, PartitionTable
from py_esp_ota.chip import Chip
from py_esp_ota.firmware import layout_of, merge
from py_esp_ota.silicon import Machine

#: Programs that never end, by what they do: nothing, and load a random number, which calls Python each time.
LOOPS = {
    "alone": struct.pack("<4I", 0x0000006F, 0, 0, 0),  # j .
    "in callbacks": struct.pack("<4I", 0x60026537, 0x0B052583, 0xFFDFF06F, 0),  # lui a0; lw a1, 0xb0(a0); j -4
}


def looping(what: str) -> bytes:
    code = layout_of("esp32c3").iram
    loader = firmware.image([(code, LOOPS[what])], entry_addr=code)
    return merge({0: loader, 0x8000: PartitionTable.builtin("two_ota").to_bytes()})


def interrupted(program: str, after: float) -> tuple[int, str]:
    """The exit code, and what was said."""
    words = [sys.executable, "-c", program]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            ready = process.stdout.readline()
            time.sleep(after)
            process.send_signal(signal.SIGINT)
            return process.wait(60), ready + process.stdout.read()
        finally:
            process.kill()  # who ignores Ctrl-C runs on for ever


@pytest.mark.parametrize("what", LOOPS)
@pytest.mark.parametrize("after", [0.05, 0.2])
def test_a_run_ends_with_ctrl_c(what, after, tmp_path):
    (tmp_path / "flash").write_bytes(looping(what))
    program = (
        "import sys; from py_esp_ota.silicon import Machine; from py_esp_ota._core import Flash; "
        "from py_esp_ota.chip import Chip; machine = Machine('esp32c3'); print('ready', flush=True)\n"
        f"flash = open({str(tmp_path / 'flash')!r}, 'rb').read()\n"
        "try:\n    while True: machine.run(Chip('esp32c3', flash=Flash.from_bytes(flash)), budget=10**8)\n"
        "except KeyboardInterrupt: sys.exit(130)\n"
    )
    assert interrupted(program, after) == (130, "ready\n")


def test_whoever_handled_it_before_gets_it(monkeypatch):
    """asyncio and pytest have handlers of their own, which must not be lost."""
    came = []
    before = signal.signal(signal.SIGINT, lambda *_: came.append("mine"))
    try:
        machine = Machine("esp32c3", engine="core")
        chip = Chip("esp32c3", flash=Flash.from_bytes(looping("alone")))
        timer = threading.Timer(0.1, signal.raise_signal, [signal.SIGINT])
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            machine.run(chip, budget=10**11)
        timer.join()
        assert came == ["mine"]
        assert signal.getsignal(signal.SIGINT) not in {before, signal.default_int_handler}
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_runs_it_too():
    ended = []
    chip = Chip("esp32c3", flash=Flash.from_bytes(looping("alone")))
    thread = threading.Thread(target=lambda: ended.append(Machine("esp32c3").run(chip, budget=1000).outcome))
    thread.start()
    thread.join(30)
    assert ended == ["HANG"]
