"""The examples run and say what they promise."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import own_firmware
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
PROMISES = {
    "first_ota.py": ["success      OTA Upgrade finished and verified successfully", "running 1.1.0 from ota_0, VALID"],
    "fuzz_validator.py": [": accepted, although byte ", ", of a segment, is wrong"],
    "machine_code_decides.py": [
        "selftest: 1.1.0 runs, VALID; ",
        "reject: 1.0.0 runs, VALID; it reset the chip; rejected: Firmware rolled back",
        " (broken_driver), then it reset the chip; rejected: Firmware rolled back",
        "hang: 1.0.0 runs, VALID; the RTC watchdog was not fed, at 0x",
    ],
    "power_cut_anywhere.py": ["each cut before and inside: {'1.0.0': ", "without a cut: 1.1.0"],
    "test_settings.py": ["test_settings_are_old_or_new: 9 operations, 27 cuts", "1 passed"],
}


def test_every_example_is_run():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(PROMISES)


def run(path, capsys):
    """What a program prints; what pytest says about an example that is a test."""
    if path.name.startswith("test_"):
        call = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(path)]
        return subprocess.run(call, capture_output=True, text=True, check=False).stdout
    runpy.run_path(str(path), run_name="__main__")
    return capsys.readouterr().out


@pytest.mark.parametrize("name", PROMISES)
def test_an_example_keeps_its_promise(name, capsys):
    if name == "machine_code_decides.py":
        own_firmware.elf("selftest")  # skips where there is no compiler
    output = run(EXAMPLES / name, capsys)
    for promise in PROMISES[name]:
        assert promise in output
