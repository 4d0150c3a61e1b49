"""Packages by name, through the ordinary clients of their registries: fetched once, nothing in them installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

_FORM = re.compile(r"(?:(pip|npm|crate):)?(@?[A-Za-z0-9][\w./-]*?)(?:(?:==|@)([\w.+-]+))?", re.ASCII)
#: Any interpreter's wheel will do: no code in it is run.
_PYTHONS = ((), ("--python-version", "3.13", "--only-binary=:all:"))


class Missing(Exception):
    """A package that cannot be had, in one sentence."""


def archive(spec: str) -> tuple[str, str, Path]:
    """Name and version of the package that ``spec`` names, and its archive in the user's cache.

    ``spec`` is ``NAME[==VERSION]`` for pip, ``npm:NAME[@VERSION]``, ``crate:NAME[@VERSION]``. Raises ``Missing``.
    """
    form = _FORM.fullmatch(spec)
    if form is None:
        raise Missing(f"{spec!r} is no folder, and no package: expected NAME==VERSION, npm:NAME or crate:NAME")
    kind, name, version = form[1] or "pip", form[2], form[3]
    folder = _cache() / f"{kind}-{name.replace('/', '+')}-{version or 'newest'}"
    if not _archives(folder):
        folder.mkdir(parents=True, exist_ok=True)
        {"pip": _pip, "npm": _npm, "crate": _crate}[kind](name, version, folder)
    kept = _archives(folder)
    if not kept:
        raise Missing(f"{spec}: the client fetched no archive")
    return name, version or _version_of(kept[0].name, name), kept[0]


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "esp-ota" / "survey"


def _archives(folder: Path) -> list[Path]:
    return sorted(folder.glob("*")) if folder.is_dir() else []


def _version_of(file: str, name: str) -> str:
    stem = re.sub(r"\.(whl|tgz|crate|zip|tar\.gz)$", "", file)
    rest = re.sub(rf"^{re.sub(r'[-_.]+', '[-_.]+', name)}-", "", stem, flags=re.IGNORECASE)
    return rest.split("-", 1)[0]


def _run(command: Iterable[str], folder: Path) -> str:
    """What went wrong, in the client's last line; nothing when nothing did."""
    try:
        result = subprocess.run([*command], cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError as error:
        return f"{error.strerror or error}"
    return (result.stderr.strip().splitlines() or ["no reason given"])[-1] if result.returncode else ""


def _pip(name: str, version: str | None, folder: Path) -> None:
    wanted = name if version is None else f"{name}=={version}"
    reason = ""
    for python in _PYTHONS:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", *python, "-d", str(folder), wanted]
        reason = _run(command, folder)
        if not reason:
            return
    raise Missing(f"could not fetch the package {wanted} ({reason})")


def _npm(name: str, version: str | None, folder: Path) -> None:
    wanted = name if version is None else f"{name}@{version}"
    reason = _run(["npm", "pack", "--silent", "--ignore-scripts", wanted], folder)
    if reason:
        raise Missing(f"could not fetch the package {wanted} ({reason})")


def _crate(name: str, version: str | None, folder: Path) -> None:
    """``cargo info`` fetches one crate, ``cargo fetch`` its dependencies too."""
    wanted = name if version is None else f"{name}@{version}"
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    with TemporaryDirectory() as nowhere:
        reason = _run(["cargo", "info", "--quiet", wanted], Path(nowhere))
    found = sorted(
        home.glob(f"registry/cache/*/{name}-{version or '[0-9]*'}.crate"), key=lambda file: file.stat().st_mtime
    )
    if reason or not found:
        raise Missing(f"could not fetch the crate {wanted} ({reason or 'cargo keeps no archive of it'})")
    (folder / found[-1].name).write_bytes(found[-1].read_bytes())
