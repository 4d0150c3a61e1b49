"""Which release a flash is of: what bootloader and apps say, and what a compiled bootloader shows."""

from __future__ import annotations

from typing import NamedTuple

from py_esp_ota._core import AppDesc, BootloaderDesc, Flash, PartitionTable, Target
from py_esp_ota.errors import EspError
from py_esp_ota.idf.features import features
from py_esp_ota.releases import Version, nearest, release_of, release_text
from py_esp_ota.silicon.build import CompiledBuild, compiled_build

_BOOTLOADER_DESC, _BOOTLOADER_DESC_SIZE = 0x20, 80
_APP_DESC, _APP_DESC_SIZE = 0x20, 256
_APP, _TABLE_LENGTH = 0x00, 0xC00
_MAGIC = b"\xe9"
_ROOM = 0x8000


class Told(NamedTuple):
    """A release, who says it, and the words where they are another release or none."""

    version: Version
    source: str
    text: str = ""


def told_by_flash(flash: Flash, target: Target, table_offset: int) -> Told | None:
    """What the bootloader's descriptor says, else the first app's that says it."""
    start = target.bootloader_offset
    try:
        text = BootloaderDesc.from_bytes(flash.mmap(start + _BOOTLOADER_DESC, _BOOTLOADER_DESC_SIZE)).idf_ver
    except EspError:
        text = ""
    version = release_of(text)
    if version is not None:
        shown = release_of_build(compiled_build(flash.mmap(start, _ROOM)), version)
        return Told(shown, "by the bootloader descriptor", _if_other(text, shown))
    try:
        table = PartitionTable.from_bytes(flash.mmap(table_offset, _TABLE_LENGTH))
    except EspError:
        return None
    apps = [row for row in table if row.type == _APP and row.offset + _APP_DESC + _APP_DESC_SIZE <= flash.size]
    heads = ((flash.mmap(row.offset, _APP_DESC + _APP_DESC_SIZE), row.label) for row in apps)
    return next((found for head, label in heads if head[:1] == _MAGIC and (found := told_by_app(head, label))), None)


def told_by_app(data: bytes, name: str) -> Told | None:
    """What the descriptor of an app says, the beginning of which is ``data``."""
    try:
        text = AppDesc.from_bytes(data[_APP_DESC : _APP_DESC + _APP_DESC_SIZE]).idf_ver
    except EspError:
        return None
    version = release_of(text)
    return None if version is None else Told(version, f"by the app descriptor of {name}", _if_other(text, version))


def _if_other(text: str, version: Version) -> str:
    """``text`` where it is no release, or another one."""
    plain = text.removeprefix("v").removesuffix("-dirty")
    return "" if plain == release_text(version).removeprefix("v") else text


def release_of_build(build: CompiledBuild, otherwise: Version) -> Version:
    """The release that a build is of: of those that have what it shows the one that its version is nearest to.

    ``otherwise``: what counts as its version when it says none.
    """
    return nearest(
        build.idf_version or otherwise,
        lambda release: all(getattr(features(release), name) is has for name, has in build.shows.items()),
    )
