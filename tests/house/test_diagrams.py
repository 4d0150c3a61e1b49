"""The diagrams of the documentation say what the tables of the code say today."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest

from py_esp_ota.idf.rollback import OtaImgState

sys.path.append(str(Path(__file__).parents[2] / "tools"))
from diagrams import DIAGRAMS, FOLDER, ROOT, Step, steps


@pytest.mark.parametrize("name", DIAGRAMS)
def test_a_diagram_is_of_today(name):
    assert (FOLDER / name).read_text() == DIAGRAMS[name](), "make picture draws it again"


def test_a_trial_that_nobody_ends_is_aborted():
    found = steps()
    ended = {step.after for step in found if step.before is OtaImgState.PENDING_VERIFY}
    assert ended == {OtaImgState.VALID, OtaImgState.INVALID, OtaImgState.ABORTED}
    assert Step(OtaImgState.PENDING_VERIFY, OtaImgState.ABORTED, "bootloader, at the next reset") in found
    assert not [step for step in found if step.before in {OtaImgState.INVALID, OtaImgState.ABORTED}]


def test_every_floor_is_drawn():
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    drawn = DIAGRAMS["floors.svg"]()
    names = [name.removeprefix("py_esp_ota.") for layer in layers for name in layer.replace("|", ":").split(" : ")]
    assert len(names) > 30
    assert all(name.strip() in drawn for name in names)
