"""A Python that has never heard of the repository, for what is installed in it."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

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
        self.pip("install", "-q", wheel)

    def pip(self, *words: str) -> str:
        """What pip says."""
        return run([sys.executable, "-m", "pip", "--python", self.folder, *words], cwd=self.folder).stdout

    def __call__(self, program: str, *words: str | Path, check: bool = True):
        """Run one of its programs, in its folder."""
        return run([self.folder / "bin" / program, *words], cwd=self.folder, check=check)
