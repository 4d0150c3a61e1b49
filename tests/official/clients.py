"""Espressif's own command line from the package index, each release in a venv of its own in ``target/clients``.

``python tests/official/clients.py`` makes what is not there yet. Only those dependencies are installed that a release
imports as it starts: all of them are sixty packages and 450 MB, most of them for cameras and the serial port.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "target" / "clients"

NEWEST, OLD = "1.14.1", "1.2.0"
_SHARED = ["cryptography>=42", "future>=1.0", "protobuf>=5", "requests>=2.32"]
NEEDS = {
    NEWEST: [*_SHARED, "bleak>=1", "typing-extensions>=4"],
    OLD: [*_SHARED[:2], "protobuf>=3.20,<4", *_SHARED[3:], "oauth2client>=4.1.3", "packaging>=24", "setuptools<81"],
}
"""By release. 1.2.0 has an ``otaupgrade`` that uploads; since 1.3.0 it calls a method that is not there."""


def python(release: str) -> Path:
    """The Python that has it, whether it is there or not."""
    return FOLDER / release / "bin" / "python"


def make(release: str) -> None:
    """Install one release. Raises ``CalledProcessError`` when the package index does not answer."""
    folder = FOLDER / release
    done = folder / "installed"
    wanted = "\n".join(NEEDS[release])
    if done.exists() and done.read_text() == wanted:
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", folder], check=True)
    pip = [sys.executable, "-m", "pip", "--python", folder, "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, *NEEDS[release]], check=True)
    subprocess.run([*pip, "--no-deps", f"esp-rainmaker-cli=={release}"], check=True)
    done.write_text(wanted)


if __name__ == "__main__":
    for each in NEEDS:
        make(each)
