"""The examples run and say what they promise."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
PROMISES = {
    "first_ota.py": ["success      OTA Upgrade finished and verified successfully", "running 1.1.0 from ota_0, VALID"],
    "power_cut_anywhere.py": ["each cut before and inside: {'1.0.0': ", "without a cut: 1.1.0"],
}


def test_every_example_is_run():
    assert {path.name for path in EXAMPLES.glob("*.py")} == set(PROMISES)


@pytest.mark.parametrize("name", PROMISES)
def test_an_example_keeps_its_promise(name, capsys):
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    output = capsys.readouterr().out
    for promise in PROMISES[name]:
        assert promise in output
