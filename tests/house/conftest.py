"""The wheel and the sdist that are built here, and a Python with each way to install the wheel."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

import pytest
from pages import shell
from venvs import BIN, ROOT, Venv, run
from warm import Keeper


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
    return Venv(once("everything", lambda folder: Venv(folder).make_of_ours(f"{wheel}[all]")))


@pytest.fixture(scope="session")
def scripts(request):
    """Where ``esp-ota`` and ``python`` are: in a venv with the wheel and without the repository.

    ``ESP_OTA_SCRIPTS`` names the ``bin`` of another installation.
    """
    named = os.environ.get("ESP_OTA_SCRIPTS")
    return Path(named) if named else request.getfixturevalue("everything").folder / "bin"


@pytest.fixture(scope="session")
def keeper(scripts, tmp_path_factory):
    """What makes the calls of a quick reader."""
    keeper = Keeper(tmp_path_factory.mktemp("warm"), scripts)
    yield keeper
    keeper.close()


@pytest.fixture
def rooms(tmp_path, monkeypatch):
    """An empty folder, which is the current one, and another."""
    rooms = tmp_path / "here", tmp_path / "room"
    for room in rooms:
        room.mkdir()
    monkeypatch.chdir(rooms[0])
    return rooms


@pytest.fixture
def reader(rooms, scripts):
    """An empty folder, and a shell in it."""
    with shell(*rooms, scripts) as opened:
        yield opened


@pytest.fixture(scope="session")
def programs(scripts, request):
    """The PATH of ``scripts``; no call is a new Python, but where ``make as-printed`` asks for it."""
    if "ESP_OTA_NEW_PYTHONS" in os.environ:
        return str(scripts)
    return f"{request.getfixturevalue('keeper').folder}:{scripts}"


@pytest.fixture
def quick_reader(rooms, programs):
    """An empty folder, and a shell in it; no ``esp-ota``, ``pytest`` or ``python FILE`` is a new Python."""
    with shell(*rooms, programs) as opened:
        yield opened
