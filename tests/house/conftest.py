"""The wheel and the sdist that are built here, and a Python with each way to install the wheel."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import pytest
from pages import shell
from venvs import BIN, ROOT, Venv, run


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """``once(name, make)``: a folder that one of several pytest-xdist workers fills, and all of them use."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def folder(name, make):
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            made = root / name
            if not made.exists():
                try:
                    make(made)
                except BaseException:
                    shutil.rmtree(made, ignore_errors=True)
                    raise
        return made

    return folder


@pytest.fixture(scope="session")
def dist(once):
    """A folder with the wheel and the sdist; the crates come out of target/ as they were built."""

    def build(folder):
        # Not `build --sdist`, which begins with an empty target/.
        for command in (["build", "--release", "--locked"], ["sdist"]):
            run([BIN / "maturin", *command, "--out", folder], cwd=ROOT)

    return once("dist", build)


@pytest.fixture(scope="session")
def wheel(dist):
    """The wheel."""
    (file,) = dist.glob("*.whl")
    return file


@pytest.fixture(scope="session")
def sdist(dist):
    """The sdist."""
    (file,) = dist.glob("*.tar.gz")
    return file


@pytest.fixture(scope="session")
def base(wheel, once):
    """The base install."""
    return Venv(once("base", lambda folder: Venv(folder).make(str(wheel))))


@pytest.fixture(scope="session")
def everything(wheel, once):
    """What the README and the howtos need: every extra."""
    return Venv(once("everything", lambda folder: Venv(folder).make(f"{wheel}[all]")))


@pytest.fixture(scope="session")
def scripts(request):
    """Where ``esp-ota`` and ``python`` are: in a venv with the wheel and without the repository.

    ``ESP_OTA_SCRIPTS`` names the ``bin`` of another installation.
    """
    named = os.environ.get("ESP_OTA_SCRIPTS")
    return Path(named) if named else request.getfixturevalue("everything").folder / "bin"


@pytest.fixture
def reader(tmp_path, monkeypatch, scripts):
    """An empty folder, and a shell in it."""
    (tmp_path / "room").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with shell(tmp_path / "here", tmp_path / "room", scripts) as opened:
        yield opened
