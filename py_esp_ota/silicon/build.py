"""How a bootloader was built, as far as its bytes tell: the release, what it prints, some options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from py_esp_ota._core import BootloaderDesc
from py_esp_ota.errors import ImageError
from py_esp_ota.releases import release_of

_DESC_OFFSET = 0x20
#: With a zero byte behind it: a string of its own, as the first line of the console prints it.
_VERSION_STRING = re.compile(rb"(?:v\d+\.\d+(?:\.\d+)?|(?<=\0)\d+\.\d+\.\d+(?:\.\d+)?)(?:-[\w.-]+)?(?=\0)")
#: The level of a line, and a text that every build which prints lines of this level has.
_LEVELS = (
    ("I", b"End of partition table"),
    ("W", b"Falling back to test app as only bootable partition"),
    ("E", b"No bootable app partitions in the partition table"),
)
_ORDER = "EWI"
#: Options of ``Sdkconfig``: the level and the text of a line that builds with the option have, and no others.
_TEXTS: Mapping[str, tuple[str, bytes]] = {
    "bootloader_app_anti_rollback": ("I", b"Enabled a check secure version of app for anti rollback"),
    "bootloader_factory_reset": ("I", b"Detect a condition of the factory reset"),
    "bootloader_app_test": ("I", b"Detect a boot condition of the test firmware"),
    "bootloader_skip_validate_in_deep_sleep": ("E", b"Fast booting is not successful"),
    "idf_env_bringup": ("W", b"Ignoring invalid SHA-256 as running on FPGA / doing bringup"),
}
#: What came with a release, by ``idf.features``: the same. Texts that were reworded then, or were new.
_NEWS: Mapping[str, tuple[str, bytes]] = {
    "revision_check": ("E", b"chip revision check failed"),
    "says_block_revision": ("E", b"requires efuse blk rev"),
    "loader_types": ("I", b"primary bootloader"),
    "recovery_type": ("I", b"recovery bootloader"),
}
_ASSERTS = b"Assert failed in"


@dataclass(frozen=True, slots=True)
class CompiledBuild:
    """What is known of a build.

    ``idf_version`` is the release that its version is nearest to, and ``None`` when the image does not say it.
    ``shows`` are features of ``idf.features`` whose text it has, or would have. ``prints`` are the levels of the lines
    it can print, of ``EWI``: a build without logs has none.
    ``options`` has those of ``Sdkconfig`` that show in its texts; one is absent when lines of its level are.
    ``asserts_aloud``: a failed assertion says what failed.
    """

    idf_version: tuple[int, int, int] | None
    prints: str
    options: Mapping[str, bool]
    asserts_aloud: bool
    shows: Mapping[str, bool]


def compiled_build(image: bytes) -> CompiledBuild:
    """Read off the bytes of a bootloader image; any bytes will do."""
    level = next((level for level, text in _LEVELS if text in image), None)
    prints = _ORDER[: _ORDER.index(level) + 1] if level else ""
    options = {name: text in image for name, (level, text) in _TEXTS.items() if level in prints}
    shows = {name: text in image for name, (level, text) in _NEWS.items() if level in prints}
    return CompiledBuild(_version(image), prints, options, _ASSERTS in image, shows)


def _version(image: bytes) -> tuple[int, int, int] | None:
    try:
        text = BootloaderDesc.from_bytes(image[_DESC_OFFSET : _DESC_OFFSET + 80]).idf_ver
    except ImageError:
        string = _VERSION_STRING.search(image)
        text = string[0].decode() if string else ""
    return release_of(text)
