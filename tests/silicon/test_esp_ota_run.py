"""``esp-ota run``: a real app's console, answers to its prompts, its resets; and what cannot be run."""

from __future__ import annotations

import json
import os
import pty
import select
import sys
import time

import pytest
from board import Board, app
from builds import C3, bootloader
from click.testing import CliRunner
from micropython import merged

from py_esp_ota.cli import main
from py_esp_ota.firmware import Firmware, merge
from py_esp_ota.firmware import bootloader as forged


@pytest.fixture
def micropython(tmp_path):
    file = tmp_path / "micropython.bin"
    file.write_bytes(merged())
    return file


def run(*words):
    return CliRunner().invoke(main, ["run", *map(str, words)])


INTERRUPT = ("--answer", "[loader][main mode]", r"\x03")


def test_the_console_is_shown_up_to_the_text(micropython):
    done = run(micropython, *INTERRUPT, "--exit-on", ">>> ")
    assert done.exit_code == 0, done.output
    assert "Performing initial setup\n" in done.stdout
    assert done.stdout.endswith('Type "help()" for more information.\n>>> ')
    assert "1 boots" in done.stderr


def test_prompts_are_answered_one_after_the_other(micropython):
    ask = ("--answer", ">>> ", r"print(6 * 7)\r")
    done = run(micropython, *INTERRUPT, *ask, "--exit-on", "42")
    assert done.exit_code == 0, done.output
    assert ">>> print(6 * 7)\n42" in done.stdout


def test_a_reset_boots_again_and_json_tells_all(micropython):
    reset = ("--answer", ">>> ", r"import machine; machine.reset()\r")
    done = run(micropython, *INTERRUPT, *reset, "--timeout", 1, "--json")
    told = json.loads(done.stdout)
    assert (told["ok"], told["slots"], told["trap"]) == (True, [0x10000, 0x10000], None)
    assert told["resets"] == [{"reason": "SW_CPU", "number": 12}]
    assert told["seconds"] == pytest.approx(1, abs=1e-3)
    assert told["console"].count("[loader][main mode] Start micrOS (default)") == 2


def test_a_text_that_never_comes_is_exit_1(micropython):
    done = run(micropython, "--timeout", 0.02, "--exit-on", "no such text")
    assert done.exit_code == 1
    assert (done.stdout.splitlines()[0], done.stdout.splitlines()[-1]) == (
        "ESP-ROM:esp32c3-api1-20210207", "entry 0x403cbf10",
    )  # fmt: skip
    assert "0.050 s by the chip's clock, 1 boots; 'no such text' was not printed" in done.stderr


def test_files_change_only_when_asked(micropython):
    before = micropython.read_bytes()
    assert run(micropython, "--timeout", 0.3).exit_code == 0
    assert micropython.read_bytes() == before
    assert run(micropython, "--timeout", 0.3, "--write").exit_code == 0
    assert micropython.read_bytes()[: len(before)] == before
    again = run(micropython, "--timeout", 0.3)
    assert "Performing initial setup" not in again.stdout


def test_an_app_that_is_filler_ends_in_a_report(tmp_path):
    board = Board("two_ota", "1/VALID")
    board.chip.flash.program(0, bootloader(C3[0]))
    board.flash_app("ota_0", app("ota_0"))
    file = tmp_path / "flash.bin"
    file.write_bytes(board.chip.flash.to_bytes())
    started = time.monotonic()
    done = run(file, "--timeout", 12)
    assert time.monotonic() - started < 60
    assert "Loaded app from partition at offset 0x110000" in done.stdout
    assert "it ended: " in done.stderr or "resets: " in done.stderr


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            ("esp32s3", "--engine", "unicorn"),
            "esp32s3 has Xtensa cores, which Unicorn does not run; the engine core does",
        ),
        (("esp32s3", "--rom", "none"), "machine code runs on the esp32s3 with its real ROM alone"),
        (("esp32p4",), "no machine for 'esp32p4'"),
    ],
)
def test_chips_that_do_not_run_here_are_refused_in_one_line(tmp_path, words, reason):
    file = tmp_path / "flash.bin"
    file.write_bytes(merge({0x10000: Firmware("lamp", "1.0", chip=words[0]).to_bytes()}))
    done = run(file, "--chip", *words)
    assert (done.exit_code, reason in done.output) == (2, True), done.output


def test_a_bootloader_without_code_is_told(tmp_path):
    file = tmp_path / "flash.bin"
    file.write_bytes(merge({0: forged(), 0x10000: app("factory")}))
    done = run(file)
    assert done.exit_code == 1
    assert "0 boots" in done.stderr or "it ended: " in done.stderr


def test_an_answer_that_is_half_an_escape_is_refused(micropython):
    done = run(micropython, "--answer", ">>> ", r"\x0")
    assert (done.exit_code, "ends in the middle of an escape" in done.output) == (2, True)


def test_on_a_terminal_keys_go_to_the_chip_and_control_bracket_leaves(micropython):
    """In a child with a terminal of its own: Ctrl-C goes to the app, Ctrl-] ends esp-ota."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "py_esp_ota", "run", str(micropython), "--timeout", "60"])
    seen = b""

    def read_until(text: bytes, keys: bytes = b"") -> None:
        nonlocal seen
        deadline = time.monotonic() + 60
        while text not in seen and time.monotonic() < deadline:
            if keys:
                os.write(terminal, keys)
            if select.select([terminal], [], [], 0.01)[0]:
                try:
                    seen += os.read(terminal, 4096)
                except OSError:  # the child is gone
                    break
        assert text in seen, seen

    read_until(b"Performing")
    read_until(b">>> ", keys=b"\x03")
    time.sleep(0.2)
    while select.select([terminal], [], [], 0.3)[0]:
        os.read(terminal, 4096)  # what the last of those keys made the prompt say
    seen = b""
    os.write(terminal, b"print(6 * 7)\r")
    read_until(b"\n42")
    os.write(terminal, b"\x1d")
    read_until(b"by the chip's clock")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
