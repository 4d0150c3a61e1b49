"""Boards as they leave the factory: bootloader, partition table, the first image; otadata and NVS blank."""

from __future__ import annotations

from functools import lru_cache

from py_esp_ota._core import Flash
from py_esp_ota.device import Device
from py_esp_ota.firmware import bootloader
from py_esp_ota.releases import release_text
from py_esp_ota.sdkconfig import Sdkconfig


@lru_cache(maxsize=16)
def _flashed(partitions: str, image: bytes, config: Sdkconfig) -> tuple[str, Flash]:
    bare = Device(partitions, firmware=image, config=config)
    target, flash = bare.chip.target, bare.flash
    loader = bootloader(chip=target.name, idf_ver=release_text(config.idf_version), flash_size=flash.size)
    content = bytearray(flash.to_bytes())
    content[target.bootloader_offset : target.bootloader_offset + len(loader)] = loader
    return target.name, Flash.from_bytes(bytes(content), size=flash.size)


def flashed(partitions: str, image: bytes, config: Sdkconfig) -> tuple[str, Flash]:
    """The chip an image is for, and its flash; boards of one kind share what they do not change.

    Raises ``ValueError`` when the image names no chip or does not fit.
    """
    chip, flash = _flashed(partitions, image, config)
    return chip, flash.fork()
