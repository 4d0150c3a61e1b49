"""A Python that has never heard of the repository, for what is installed in it."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent

#: A process that is not in the repository, nor told where it is.
run = partial(subprocess.run, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": ""})


class Venv:
    """A Python of its own, in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make(self, wheel: str) -> None:
        """As a user does: a venv, and pip."""
        run([sys.executable, "-m", "venv", "--without-pip", self.folder])
        self.pip("install", "-q", "--no-compile", wheel)  # most of it nobody imports here

    def make_of_ours(self, wheel: str) -> None:
        """The same, with links to what is installed here for the packages that the wheel needs.

        They are compiled already. pip has no index: it refuses where ``needed`` has left out what the wheel needs.
        """
        run([sys.executable, "-m", "venv", "--without-pip", self.folder])
        (site,) = self.folder.glob("[lL]ib/python*/site-packages")
        for package in needed("py_esp_ota", "all"):
            for name in {file.parts[0] for file in package.files or ()} - {"..", "__pycache__"}:
                if not (site / name).exists():  # several packages may be in one namespace
                    (site / name).symlink_to(Path(str(package.locate_file(name))))
            for script in package.entry_points.select(group="console_scripts"):
                file = self.folder / "bin" / script.name
                call = f"import sys; from {script.module} import {script.attr}; sys.exit({script.attr}())"
                file.write_text(f"#!{self.folder}/bin/python\n{call}\n")
                file.chmod(0o755)
        self.pip("install", "-q", "--no-index", wheel)

    def pip(self, *words: str) -> str:
        """What pip says."""
        return run([sys.executable, "-m", "pip", "--python", self.folder, *words], cwd=self.folder).stdout

    def __call__(self, program: str, *words: str | Path, check: bool = True):
        """Run one of its programs, in its folder."""
        return run([self.folder / "bin" / program, *words], cwd=self.folder, check=check)


def needed(name: str, extra: str = "") -> list[Distribution]:
    """The packages here that the package of this name needs with an extra of it, and those that these need."""
    found: dict[str, Distribution] = {}
    asked = {(canonicalize_name(name), extra)}
    seen: set[tuple[str, str]] = set()
    while asked - seen:
        one = (asked - seen).pop()
        seen.add(one)
        found[one[0]] = distribution(one[0])
        for requirement in map(Requirement, found[one[0]].requires or ()):
            if requirement.marker is None or requirement.marker.evaluate({**default_environment(), "extra": one[1]}):
                asked |= {(canonicalize_name(requirement.name), each) for each in ("", *requirement.extras)}
    del found[canonicalize_name(name)]
    return list(found.values())
