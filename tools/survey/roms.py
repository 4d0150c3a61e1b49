"""What an image needs beside it: its chip's ROM, and an app a bootloader; both from the crate ``espflash``."""

from __future__ import annotations

from functools import cache

from py_esp_ota.adapters.roms import fetch_rom
from py_esp_ota.cli.corpus import Release, fetch
from py_esp_ota.cli.files import Unusable

_CRATE, _VERSION = "espflash", "4.5.0"
_BOOTLOADERS = {
    "esp32c3": "d5b500603f7f56d7ddcdc4647506f37e9de4c14904f2ea7a3d26fe5d8f2e811a",
    "esp32c6": "402c2c64761034e10b36ca8699d641e2bc0c86fd245a859d78e1aae4e2d201cd",
    "esp32c2": "64ca13ccb19f0a8aac41cdbb097c538fc41cf90dd14ff1a3b1ebfb6814522dba",
    "esp32h2": "f2470a198608846d6e2ebb76697213a53361b742ed4ccf0fc678044ddcfa411b",
    "esp32c5": "0601749b356a3bb3a16011d6968811748dc6d9d1973d4759bb0706a0049afd07",
    "esp32c61": "7eb4cbcedefcd79e62ad7e8c21e2bb2bc79113969af201345a858b0be452da34",
}


def _file(path: str, sha256: str) -> bytes | None:
    try:
        return fetch(Release(_CRATE, _VERSION, f"{_CRATE}-{_VERSION}/resources/{path}", sha256, crate=True))
    except Unusable:
        return None


@cache
def rom_of(chip: str) -> bytes | None:
    """The chip's real ROM."""
    try:
        return fetch_rom(chip)
    except ValueError:
        return None


@cache
def bootloader_for(chip: str) -> bytes | None:
    """A bootloader for apps that come without one."""
    sha256 = _BOOTLOADERS.get(chip)
    return _file(f"bootloaders/{chip}-bootloader.bin", sha256) if sha256 else None
