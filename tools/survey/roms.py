"""What an image needs beside it: its chip's ROM, and an app a bootloader; both from the crate ``espflash``."""

from __future__ import annotations

from functools import cache

from py_esp_ota.cli.corpus import Release, fetch
from py_esp_ota.cli.files import Unusable

_CRATE, _VERSION = "espflash", "4.5.0"
_ROMS = {
    "esp32c3": ("esp32c3_rev300", "19ac22e08707df926fb0cf4c54795d4067b983fae8635f396ded173a6d78fc3c"),
    "esp32c6": ("esp32c6_rev0", "788e1d38724aeb8fd974fa10c4a7b089c02627d35342ce84b9e0b12b239f3551"),
    "esp32c2": ("esp32c2_rev100", "8f1c0fefbe7b2531d34733d0181a1f41d34319f7eba7d808628b54a4e80dcce4"),
    "esp32h2": ("esp32h2_rev0", "f3aa0a0325947c4dfe886d7c342b84682b54c3374324fec08c7347d3cb1f0bde"),
    "esp32c5": ("esp32c5_rev100", "49693d745eb4b4e6e6c77be4f5213765d545d8c7a1d9742a8a619bf596c4e27a"),
    "esp32c61": ("esp32c61_rev100", "c4ee94d3a8e335da4ef5f30a8a1ebb9691e639f1c773f484e9ba721aa1557c2e"),
}
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
    name, sha256 = _ROMS.get(chip, ("", ""))
    return _file(f"roms/{name}_rom.elf", sha256) if name else None


@cache
def bootloader_for(chip: str) -> bytes | None:
    """A bootloader for apps that come without one."""
    sha256 = _BOOTLOADERS.get(chip)
    return _file(f"bootloaders/{chip}-bootloader.bin", sha256) if sha256 else None
