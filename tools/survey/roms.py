"""What an image needs beside it: its chip's real ROM, and an app a bootloader; both from the crate ``espflash``."""

from __future__ import annotations

from functools import cache

from py_esp_ota.adapters.roms import fetch_rom
from py_esp_ota.cli.corpus import Release, fetch
from py_esp_ota.cli.files import Unusable

_CRATE, _VERSION = "espflash", "4.5.0"
_BOOTLOADERS = {
    "esp32": "97a0ffc6b6de82286366a54b523e57c718e506eea96c78de5a395d4e01487d7b",
    "esp32c2": "64ca13ccb19f0a8aac41cdbb097c538fc41cf90dd14ff1a3b1ebfb6814522dba",
    "esp32c3": "d5b500603f7f56d7ddcdc4647506f37e9de4c14904f2ea7a3d26fe5d8f2e811a",
    "esp32c5": "0601749b356a3bb3a16011d6968811748dc6d9d1973d4759bb0706a0049afd07",
    "esp32c6": "402c2c64761034e10b36ca8699d641e2bc0c86fd245a859d78e1aae4e2d201cd",
    "esp32c61": "7eb4cbcedefcd79e62ad7e8c21e2bb2bc79113969af201345a858b0be452da34",
    "esp32h2": "f2470a198608846d6e2ebb76697213a53361b742ed4ccf0fc678044ddcfa411b",
    "esp32s2": "4e152ccbca3145f3bb466990660d032cb30c8b311d60c58589d23d95f997da08",
    "esp32s3": "69ee740b5dc98deb377a698e500efdeadec63fac7a9b7fb9e345e431dad062d7",
}


@cache
def rom_of(chip: str, revision: int) -> bytes | None:
    """The real ROM of ``chip`` in ``revision``, ``None`` where it cannot be had."""
    try:
        return fetch_rom(chip, revision)
    except ValueError:
        return None


@cache
def bootloader_for(chip: str) -> bytes | None:
    """A bootloader for apps that come without one, ``None`` where none can be had."""
    if chip not in _BOOTLOADERS:
        return None
    path = f"{_CRATE}-{_VERSION}/resources/bootloaders/{chip}-bootloader.bin"
    try:
        return fetch(Release(_CRATE, _VERSION, path, _BOOTLOADERS[chip], crate=True))
    except Unusable:
        return None
