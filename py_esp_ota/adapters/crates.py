"""A file out of a published crate, by the crate's name and release: cargo fetches it, nothing is built."""

from __future__ import annotations

import os
import subprocess
import tarfile
import tempfile
from pathlib import Path

#: Seconds for a fetch, and how often cargo may try again: somebody waits.
_PATIENCE_S = 120
_RETRIES = "1"


def crate_file(package: str, version: str, path: str) -> bytes:
    """The file ``path`` of the crate. Raises ``ValueError`` with one sentence when it cannot be had."""
    archive = _archive(package, version)
    try:
        with tarfile.open(archive) as crate:
            file = crate.extractfile(path)
            if file is not None:
                return file.read()
    except (KeyError, OSError, EOFError, tarfile.TarError):
        pass
    raise ValueError(f"{package} {version} has no file {path}")


def _archive(package: str, version: str) -> Path:
    """The crate where cargo keeps it. ``cargo info`` fetches one, ``cargo fetch`` its hundred dependencies too."""
    wanted = f"{package}@{version}"
    found = _kept(package, version)
    if found is not None:
        return found
    command = ["cargo", "info", "--quiet", wanted]
    calm = {"CARGO_NET_RETRY": _RETRIES, **os.environ}
    try:
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(  # noqa: S603 (our own words)
                command, cwd=folder, env=calm, capture_output=True, text=True, check=False, timeout=_PATIENCE_S
            )
    except OSError as error:
        raise ValueError(f"could not fetch the crate {wanted}: cargo cannot be run ({error.strerror})") from error
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"could not fetch the crate {wanted}: cargo was not done after {_PATIENCE_S} s") from error
    found = _kept(package, version)
    if done.returncode or found is None:
        reason = (done.stderr.strip().splitlines() or ["cargo gave no reason"])[-1].strip()
        raise ValueError(f"could not fetch the crate {wanted} ({reason}). Try again with a network")
    return found


def _kept(package: str, version: str) -> Path | None:
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    return next(home.glob(f"registry/cache/*/{package}-{version}.crate"), None)
