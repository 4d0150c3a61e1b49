"""A flash dump of a real board, taken from its first byte on: which chip it was, and what is in it."""

from __future__ import annotations

from py_esp_ota._core import BootloaderDesc, Flash, Target, inspect_image
from py_esp_ota.cloud.virtual_nodes import FlashLook
from py_esp_ota.errors import EspError
from py_esp_ota.idf.detect import detect_start, detect_table, detect_target, load_flash
from py_esp_ota.releases import Version, release_of
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.virtual_nodes.flash_look import look

_LARGEST = 128 << 20
_DESC, _BOOTLOADER_DESC_SIZE, _APP_DESC_SIZE = 0x20, 80, 256
_ERASED = b"\xff"


def look_at(dump: bytes) -> FlashLook:
    """Open a dump up. Whatever it is, the answer says what could be read and what is wrong."""
    trouble = []
    if len(dump) > _LARGEST:
        trouble.append(f"The dump has {len(dump)} bytes, more than any flash; it is read up to 0x{_LARGEST:x}.")
        dump = dump[:_LARGEST]
    start = detect_start(dump) or 0
    if start:
        trouble.append(f"The dump does not begin at the flash's first byte: it is taken to begin at 0x{start:x}.")
    flash = load_flash(dump, start=start)
    table_offset = detect_table(flash)
    trouble += _what_is_missing(dump, start, flash, table_offset)
    target = detect_target(flash, table_offset or 0x8000)
    if target is None:
        trouble.append("No bootloader and no app tells which chip this was, so that nobody can say what would boot.")
    elif flash.read(target.bootloader_offset, 1) != b"\xe9":
        trouble.append(f"There is no bootloader at 0x{target.bootloader_offset:x}: what is said of one is a model's.")
    config = Sdkconfig(partition_table_offset=table_offset or 0x8000)
    version = None if target is None else _release(flash, target)
    if version is not None:
        config = Sdkconfig(partition_table_offset=config.partition_table_offset, idf_version=version)
    return look(flash, target, config, trouble=trouble)


def _what_is_missing(dump: bytes, start: int, flash: Flash, table_offset: int | None) -> list[str]:
    if not dump:
        return ["The dump is empty."]
    if not dump.strip(_ERASED):
        return ["Every byte of the dump is 0xFF: the flash is erased, or nothing answered when it was read."]
    if table_offset is None and dump[:1] == b"\xe9":
        info = inspect_image(dump)
        if info.kind == "app":
            return ["This begins as an app image and not as a flash; the page of images takes it."]
    end = start + len(dump)
    if end < flash.size:
        return [f"The dump ends at 0x{end:x} of 0x{flash.size:x}: what lies behind is shown as erased."]
    return []


def _release(flash: Flash, target: Target) -> Version | None:
    """The release of ESP-IDF that the bootloader says it is from; of those that say nothing, none."""
    try:
        text = BootloaderDesc.from_bytes(flash.mmap(target.bootloader_offset + _DESC, _BOOTLOADER_DESC_SIZE)).idf_ver
    except EspError:
        return None
    return release_of(text)
