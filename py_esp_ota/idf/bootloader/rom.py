"""ROM before the second-stage bootloader: which one it starts, on chips whose ROM has a choice.

ROM's source is not public. This follows docs/en/api-guides/bootloader.rst ("Recovery Bootloader"), the fuses in
components/efuse/<chip>/esp_efuse_table.csv, components/hal/efuse_hal.c and Kconfig.bootloader_rollback; what they leave
open is the simplest reading of them. On all other chips, and while none of these fuses is burnt, nobody looks at the
bootloader: none needs to be in flash.
"""

from __future__ import annotations

from dataclasses import dataclass

from py_esp_ota._core import ImageInfo, inspect_image, signing_slots
from py_esp_ota.chip import Chip
from py_esp_ota.rom_lines import loading_lines, reset_lines
from py_esp_ota.sdkconfig import Sdkconfig

_NAME = "ROM"
_MAGIC = 0xE9
#: More than any bootloader has.
_ROOM = 0x40000
#: The header alone, and what most bootloaders fit into.
_HEADER, _USUAL = 24, 0x6000
#: As often as the documentation shows that an invalid header is told.
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Started:
    """What ROM does: the bootloader's address, ``None`` when none starts; what it prints, and why."""

    address: int | None
    lines: tuple[str, ...] = ()
    why: tuple[str, ...] = ()
    secure_version: int = 0


def choose_bootloader(chip: Chip, config: Sdkconfig) -> Started:
    """The primary bootloader, else the recovery one. ``config`` says how Secure Boot signs bootloaders."""
    primary, efuse = chip.target.bootloader_offset, chip.efuse
    recovery = efuse.recovery_bootloader_address
    if not efuse.has_recovery_bootloader or (recovery is None and not efuse.bootloader_anti_rollback_en):
        return Started(primary)
    lines: list[str] = []
    why: list[str] = []
    for name, address in (("PRIMARY", primary), ("RECOVERY", recovery)):
        if address is None:
            continue
        if name == "RECOVERY":
            lines += ["PRIMARY - FAIL", "Loading RECOVERY Bootloader..."]
        info = _look(chip, address)
        refusal = _refusal(chip, config, address, info)
        if refusal is None:
            if lines:
                why.append(f"{_NAME}: the recovery bootloader at 0x{address:x} starts")
            return Started(address, tuple(lines), tuple(why), _secure_version(info))
        if info is None or info.header is None or info.header.magic != _MAGIC:
            lines += [f"invalid header: 0x{_first_word(chip, address)}"] * _ATTEMPTS
        why.append(f"{_NAME}: the {name.lower()} bootloader at 0x{address:x} does not start: {refusal}")
    return Started(None, tuple(lines), (*why, f"{_NAME}: no bootloader starts, the chip resets for ever"))


def first_lines(chip: Chip, config: Sdkconfig, started: Started) -> tuple[str, ...]:
    """All that ROM prints until the bootloader runs; without a bootloader in flash, what it says before it looks."""
    name, flash, address = chip.target.name, chip.flash, started.address
    lines = (*reset_lines(name, chip.efuse.chip_revision, chip.reset_reason), *started.lines)
    if address is None or flash.mmap(address, 1)[0] != _MAGIC:
        return lines
    behind = config.partition_table_offset if address < config.partition_table_offset else flash.size
    return *lines, *loading_lines(name, flash.mmap(address, min(_ROOM, behind - address)))


def raise_secure_version(chip: Chip, started: Started) -> bool:
    """``BOOTLOADER_ANTI_ROLLBACK_UPDATE_IN_ROM``: the fuse follows the bootloader that starts. Whether it was burnt."""
    efuse = chip.efuse
    follows = efuse.bootloader_anti_rollback_en and efuse.bootloader_anti_rollback_update_in_rom
    if not follows or started.secure_version <= efuse.bootloader_secure_version:
        return False
    efuse.burn_bootloader_secure_version(started.secure_version)
    return True


def _look(chip: Chip, address: int) -> ImageInfo | None:
    """The image there, through the cache; ``None`` beyond the flash. No more is read than the image is long."""
    flash, name = chip.flash, chip.target.name
    room = min(_ROOM, flash.size - address)
    if room <= 0:
        return None
    for length in (_HEADER, _USUAL):
        info = inspect_image(flash.mmap(address, min(length, room)), chip=name, kind="bootloader")
        if info.header is None or info.header.magic != _MAGIC or info.checksum_stored is not None:
            return info
    return inspect_image(flash.mmap(address, room), chip=name, kind="bootloader")


def _refusal(chip: Chip, config: Sdkconfig, address: int, info: ImageInfo | None) -> str | None:
    """Why ROM does not start the image; chip revision and hash are not looked at."""
    if info is None:
        return "it lies beyond the flash"
    if info.header is None or info.header.magic != _MAGIC:
        return "there is no image"
    if info.checksum_stored is None or info.checksum_stored != info.checksum_calculated:
        return "its segments or its checksum are wrong"
    if not _signed(chip, config, address):
        return "no trusted key signed it"
    found, burnt = _secure_version(info), chip.efuse.bootloader_secure_version
    if chip.efuse.bootloader_anti_rollback_en and found < burnt:
        return f"its secure version is {found}, the eFuse's {burnt}"
    return None


def _signed(chip: Chip, config: Sdkconfig, address: int) -> bool:
    """With Secure Boot on: whether a key in the eFuses signed the image."""
    scheme = config.signature_scheme
    if not chip.efuse.secure_boot_en or scheme is None or scheme == "ecdsa_v1":
        return True
    room = min(_ROOM, chip.flash.size - address)
    return bool(signing_slots(chip.flash, address, room, efuse=chip.efuse, scheme=scheme))


def _secure_version(info: ImageInfo | None) -> int:
    """``esp_bootloader_desc_t::secure_version``; an image without a descriptor has none."""
    desc = None if info is None else info.bootloader_desc
    return 0 if desc is None else desc.secure_version


def _first_word(chip: Chip, address: int) -> str:
    """The word that stands where a header should be, as a number of 32 bits in hexadecimal."""
    return bytes(reversed(chip.flash.mmap(address, 4))).hex() if address + 4 <= chip.flash.size else "ffffffff"
