"""Who plays: the real releases, or the user's own two images, and the forged ones derived from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from py_esp_ota._core import AppDesc, PartitionTable, inspect_image
from py_esp_ota.cli import corpus
from py_esp_ota.cli.files import Unusable, read_app
from py_esp_ota.firmware import patched

_VERSION_LIMIT = 31
_SECTOR, _APP_ALIGNMENT = 0x1000, 0x10000
_FIRST_APP = 0x20000


@dataclass(frozen=True)
class Cast:
    """The images of the story and the device they are for."""

    old: bytes
    new: bytes
    other: bytes
    table: PartitionTable
    bootloader: bytes | None

    @property
    def old_version(self) -> str:
        """What the device runs at first."""
        return _desc(self.old).version

    @property
    def new_version(self) -> str:
        """What the first job brings."""
        return _desc(self.new).version

    @property
    def failing_version(self) -> str:
        """The build whose self-test says no."""
        return _suffixed(self.new_version, "-bad")

    @property
    def next_version(self) -> str:
        """What the last job brings."""
        return _suffixed(self.new_version, "-next")

    @property
    def failing(self) -> bytes:
        """The second release under the failing version: same code, checksum and SHA-256 made anew."""
        return patched(self.new, version=self.failing_version)

    @property
    def next(self) -> bytes:
        """The second release under the next version."""
        return patched(self.new, version=self.next_version)

    @property
    def cut_operation(self) -> int:
        """A flash operation in the middle of the download: pages programmed and sectors erased so far."""
        pages, sectors = len(self.new) // 256, len(self.new) // _SECTOR
        return (pages + sectors) // 2


def real_releases() -> Cast:
    """Two releases of one product, with the bootloader and the partition table they ship; fetched by package name."""
    return Cast(
        old=corpus.fetch(corpus.UIH_0_1_1),
        new=corpus.fetch(corpus.UIH_0_1_2),
        other=corpus.fetch(corpus.OTHER_PROJECT),
        table=PartitionTable.from_bytes(corpus.fetch(corpus.UIH_TABLE)),
        bootloader=corpus.fetch(corpus.UIH_BOOTLOADER),
    )


def own_images(old: Path, new: Path) -> Cast:
    """The user's two images: two OTA slots that hold them; the other project is the new one under another name.

    Raises ``Unusable`` when one of them is no valid app image with a descriptor, or they do not belong together.
    """
    images = [read_app(old), read_app(new)]
    first, second = (_desc(image) for image in images)
    if first.project_name_bytes != second.project_name_bytes:
        raise Unusable(
            f"{old} is project {first.project_name!r}, {new} is {second.project_name!r}: the device would refuse it"
        )
    if first.version_bytes == second.version_bytes:
        raise Unusable(f"{old} and {new} are both version {first.version!r}: the device would refuse the second")
    chips = [inspect_image(image).chip for image in images]
    if chips[0] != chips[1]:
        raise Unusable(f"{old} is for {chips[0]}, {new} is for {chips[1]}")
    other = patched(images[1], project_name=_suffixed(second.project_name, "-other"))
    return Cast(old=images[0], new=images[1], other=other, table=_two_slots(max(map(len, images))), bootloader=None)


def _desc(image: bytes) -> AppDesc:
    return AppDesc.from_bytes(image[0x20:0x120])


def _suffixed(text: str, suffix: str) -> str:
    return text.encode()[: _VERSION_LIMIT - len(suffix)].decode("utf-8", "ignore") + suffix


def _two_slots(image_size: int) -> PartitionTable:
    slot = -(-image_size // _APP_ALIGNMENT) * _APP_ALIGNMENT
    return PartitionTable.from_csv(
        "nvs,data,nvs,,0x6000\n"
        "otadata,data,ota,,0x2000\n"
        "phy_init,data,phy,,0x1000\n"
        f"ota_0,app,ota_0,0x{_FIRST_APP:x},0x{slot:x}\n"
        f"ota_1,app,ota_1,,0x{slot:x}\n"
    )
