"""Why a board can never run its target: a table, each row with the upstream function that leaves no way.

A row is believed when its facts are there in flash, in the fuses, in the build or in what upstream's code has said of
the image; that nothing boots is not enough, for then a wrong bootloader would find itself excused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from py_esp_ota._core import AppDesc, EFuse, FlashCrypt
from py_esp_ota.hunt.evidence import (
    TABLE_SIZE,
    Evidence,
    apps,
    fault_of,
    fault_of_goal,
    goal_desc,
    otadata,
    secure_version,
    sound,
    table_ok,
)
from py_esp_ota.hunt.panics import is_confirmed, is_given_up, is_named_twice, is_unasked, is_unnamed, panics
from py_esp_ota.rainmaker.ota import DiagState, DiagStatus

#: What it takes: ``damage`` are bits that no operation of the board has written, ``cut`` is a power cut, ``build`` is
#: there before anything happens (tables, options, pins, images), ``offer`` is up to the cloud, and ``again`` is an
#: offer that comes while another's image waits for its reboot.
Needs = Literal["damage", "cut", "build", "offer", "again"]

_TEST = 0x20
_SECTOR = 0x1000
_LOADER = "components/bootloader_support/src"
_OTA_OPS = "components/app_update/esp_ota_ops.c"
_FAILS = (False, DiagStatus.FAIL)
_RMAKER_OTA = "components/esp_rainmaker/src/ota/esp_rmaker_ota.c"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why there is no way. ``function`` is upstream's, in ``file`` of ESP-IDF or RainMaker; both empty for the cloud.

    ``holds`` says what of the evidence shows it, ``""`` when it is not this.
    """

    name: str
    text: str
    function: str
    file: str
    needs: Needs
    holds: Callable[[Evidence], str]


def reason_for(evidence: Evidence) -> tuple[Reason, str] | None:
    """The first row that holds, and what shows it; ``None`` when nothing of upstream accounts for this board."""
    found = ((reason, reason.holds(evidence)) for reason in REASONS)
    return next(((reason, shown) for reason, shown in found if shown), None)


# ------------------------------------------------------------------------------------------------------- nothing boots


def _no_bootloader(evidence: Evidence) -> str:
    efuse = evidence.wreck.efuse
    asks = efuse.has_recovery_bootloader and (
        efuse.bootloader_anti_rollback_en or efuse.recovery_bootloader_address is not None
    )
    return evidence.decided("ROM: no bootloader starts") if asks else ""


def _reads_no_version(evidence: Evidence) -> str:
    """A bootloader that validates nothing reads no secure version either, and compares 0 with the fuse."""
    config, burnt = evidence.wreck.config, evidence.wreck.efuse.secure_version
    if not (config.bootloader_skip_validate_always and config.bootloader_app_anti_rollback and burnt):
        return ""
    return "" if evidence.boots else evidence.decided("secure_version at ")


def _half_encrypted(evidence: Evidence) -> str:
    """The key is burnt, the counter is not, and something is ciphertext that has to be plain."""
    efuse, offset = evidence.wreck.efuse, evidence.wreck.config.partition_table_offset
    key = FlashCrypt.of_key(efuse)
    if evidence.boots or efuse.flash_encryption_enabled or not _has_key(efuse) or key is None:
        return ""
    flash = evidence.flash
    if table_ok(flash.read(offset, TABLE_SIZE)):
        rows = apps(evidence)
        if any(sound(evidence, row) for row in rows):
            return ""
        return "the fuses hold a key and the counter is not burnt: no app is there as plain bytes any more"
    return f"the fuses hold a key and the counter is not burnt: the table at 0x{offset:x} is no plain table any more"


def _has_key(efuse: EFuse) -> bool:
    return efuse.flash_encryption_key is not None


def _no_table(evidence: Evidence) -> str:
    config = evidence.wreck.config
    data = evidence.flash.mmap(config.partition_table_offset, TABLE_SIZE)
    return "" if evidence.boots or table_ok(data) else evidence.decided("the table at ")


def _otadata_too_small(evidence: Evidence) -> str:
    row = otadata(evidence)
    if row is None or evidence.boots:
        return ""
    if row.size < 2 * _SECTOR:
        return f"{row.label} has {row.size} bytes, two sectors are needed"
    beyond = row.offset + row.size > evidence.wreck.flash.size
    return f"{row.label} lies outside the flash" if beyond else ""


def _divides_by_zero(evidence: Evidence) -> str:
    slots = [row for row in apps(evidence) if row.ota_slot is not None]
    return "" if slots or evidence.boots else evidence.decided("division by zero")


def _test_pin(evidence: Evidence) -> str:
    config = evidence.wreck.config
    has_test = any(row.subtype == _TEST for row in apps(evidence))
    if not (config.bootloader_app_test and config.bootloader_app_test_pin_high) or has_test:
        return ""
    return evidence.decided("the table has no test app")


def _fuse_before_look(evidence: Evidence) -> str:
    """A fuse that this board's own boot has burnt for an app that then does not load."""
    burnt = evidence.plain.efuse.secure_version
    before = evidence.wreck.efuse.secure_version
    if evidence.boots or burnt == before or not evidence.wreck.config.bootloader_app_anti_rollback:
        return ""
    better = [row.label for row in apps(evidence) if sound(evidence, row) and secure_version(evidence, row) < burnt]
    said = evidence.decided("update_anti_rollback: secure version in eFuse")
    return f"{said}; {', '.join(better)} would have booted before" if better and said else ""


def _all_too_old(evidence: Evidence) -> str:
    if evidence.boots or not evidence.wreck.config.bootloader_app_anti_rollback:
        return ""
    burnt = evidence.wreck.efuse.secure_version
    good = [row for row in apps(evidence) if sound(evidence, row)]
    if not good or any(secure_version(evidence, row) >= burnt for row in good):
        return ""
    return f"the eFuses are at {burnt}: too new for " + ", ".join(row.label for row in good)


def _no_app(evidence: Evidence) -> str:
    if evidence.boots or not apps(evidence) or any(sound(evidence, row) for row in apps(evidence)):
        return ""
    return "; ".join(f"{row.label}: {fault_of(evidence, row)}" for row in apps(evidence))


# -------------------------------------------------------------------------------------- something boots, not the target


def _reset_pin(evidence: Evidence) -> str:
    config = evidence.wreck.config
    free = config.bootloader_factory_reset and config.bootloader_factory_reset_pin_high
    return evidence.decided("factory reset: otadata erased") if free else ""


def _not_offered(evidence: Evidence) -> str:
    wreck = evidence.wreck
    if wreck.goal in wreck.offers or not evidence.boots:
        return ""
    return f"{len(wreck.offers)} other images are on offer" if wreck.offers else "nothing is on offer"


def _one_slot(evidence: Evidence) -> str:
    slots = [row for row in apps(evidence) if row.ota_slot is not None]
    running = evidence.plain.boots[-1].partition
    only = len(slots) == 1 and running is not None and running.offset == slots[0].offset
    said = evidence.said("ESP_ERR_OTA_PARTITION_CONFLICT")
    return f"{slots[0].label} is the only OTA slot, and the app runs in it: {said}" if only and said else ""


def _no_slot(evidence: Evidence) -> str:
    has_slot = any(row.ota_slot is not None for row in apps(evidence))
    said = evidence.printed("Passive OTA partition") or evidence.said("ESP_FAIL")
    return "" if has_slot or not said else f"the table has no OTA slot: {said}"


def _no_otadata(evidence: Evidence) -> str:
    has = otadata(evidence) is not None
    return "" if has else evidence.said("ESP_ERR_NOT_FOUND")


def _too_large(evidence: Evidence) -> str:
    slots = [row.size for row in apps(evidence) if row.ota_slot is not None]
    goal = len(evidence.wreck.goal)
    said = evidence.said("ESP_ERR_INVALID_SIZE")
    return f"{goal} bytes, the largest slot has {max(slots)}: {said}" if slots and goal > max(slots) and said else ""


def _rejected(words: str, differs: Callable[[AppDesc, AppDesc, int], bool]) -> Callable[[Evidence], str]:
    """The target is rejected, and the two descriptors and the fuse bear that out."""

    def holds(evidence: Evidence) -> str:
        running, goal = evidence.plain.boots[-1].app_desc, goal_desc(evidence)
        if running is None or goal is None:
            return ""
        burnt = evidence.wreck.efuse.secure_version
        return evidence.said(words) if differs(running, goal, burnt) else ""

    return holds


def _wrong_chip(evidence: Evidence) -> str:
    return evidence.printed("mismatch chip ID") if evidence.said("Chip revision mismatch") else ""


def _wrong_revision(evidence: Evidence) -> str:
    return evidence.printed("chip revision check failed") if evidence.said("Chip revision mismatch") else ""


def _unsound(evidence: Evidence) -> str:
    said = evidence.said("Image validation failed") or evidence.said("ESP_ERR_OTA_VALIDATE_FAILED")
    fault = fault_of_goal(evidence) if said else ""
    return f"{said}: {fault}" if fault else ""


def _refused_at_boot(evidence: Evidence) -> str:
    """The app took it, and the bootloader does not."""
    if evidence.offered is None or not evidence.said("Rebooting into new firmware"):
        return ""
    chosen = [line for report in evidence.offered.boots for line in report.why if "is not bootable" in line]
    return chosen[-1] if chosen and fault_of_goal(evidence) else ""


def _unfit(evidence: Evidence) -> str:
    diag, goal = evidence.wreck.ota_diag, goal_desc(evidence)
    unfit = diag is not None and goal is not None and any(diag(goal, state) in _FAILS for state in DiagState)
    return evidence.said("Firmware rolled back") or evidence.said("Firmware verification failed") if unfit else ""


# ------------------------------------------------------------------------------------------------------------ the table

REASONS: tuple[Reason, ...] = (
    Reason(
        "no-bootloader",
        "ROM starts no bootloader",
        "ROM",
        "docs/en/api-guides/bootloader.rst",
        "damage",
        _no_bootloader,
    ),
    Reason(
        "reads-no-version",
        "where nothing is validated the secure version of an app is not read, and 0 is below the fuse",
        "process_segment_data",
        f"{_LOADER}/esp_image_format.c",
        "build",
        _reads_no_version,
    ),
    Reason(
        "half-encrypted",
        "the power went while the first boot encrypted the flash, and no boot goes on with that",
        "esp_flash_encrypt_contents",
        f"{_LOADER}/flash_encryption/flash_encrypt.c",
        "cut",
        _half_encrypted,
    ),
    Reason(
        "no-table",
        "the partition table is refused",
        "bootloader_utility_load_partition_table",
        f"{_LOADER}/bootloader_utility.c",
        "damage",
        _no_table,
    ),
    Reason(
        "otadata-too-small",
        "otadata cannot be read, and then nothing is tried",
        "bootloader_common_read_otadata",
        f"{_LOADER}/bootloader_utility.c",
        "build",
        _otadata_too_small,
    ),
    Reason(
        "divides-by-zero",
        "an entry of otadata counts, and the table has no OTA slot to divide by",
        "get_active_otadata_with_check_anti_rollback",
        f"{_LOADER}/bootloader_utility.c",
        "build",
        _divides_by_zero,
    ),
    Reason(
        "test-pin",
        "a free pin asks for a test app that is not there",
        "selected_boot_partition",
        "components/bootloader/subproject/main/bootloader_start.c",
        "build",
        _test_pin,
    ),
    Reason(
        "fuse-before-look",
        "the eFuse rises for an app before that is looked at, and then none is new enough and sound",
        "update_anti_rollback",
        f"{_LOADER}/bootloader_utility.c",
        "damage",
        _fuse_before_look,
    ),
    Reason(
        "all-too-old",
        "each sound app is older than the eFuses allow",
        "check_anti_rollback",
        f"{_LOADER}/bootloader_utility.c",
        "damage",
        _all_too_old,
    ),
    Reason(
        "no-app",
        "no app partition holds a sound image",
        "bootloader_utility_load_boot_image",
        f"{_LOADER}/bootloader_utility.c",
        "damage",
        _no_app,
    ),
    Reason(
        "reset-pin",
        "a free pin means a factory reset at each boot, so that no update survives one",
        "bootloader_common_check_long_hold_gpio_level",
        f"{_LOADER}/bootloader_common.c",
        "build",
        _reset_pin,
    ),
    Reason("not-offered", "the cloud does not offer the target, and no slot holds it", "", "", "offer", _not_offered),
    Reason(
        "one-slot",
        "the only OTA slot is the one that runs",
        "esp_ota_begin",
        _OTA_OPS,
        "build",
        _one_slot,
    ),
    Reason(
        "no-slot",
        "there is no OTA slot",
        "esp_ota_get_next_update_partition",
        _OTA_OPS,
        "build",
        _no_slot,
    ),
    Reason(
        "no-otadata",
        "there is no otadata to choose a slot in",
        "esp_ota_set_boot_partition",
        _OTA_OPS,
        "build",
        _no_otadata,
    ),
    Reason(
        "too-large",
        "the target does not fit",
        "esp_partition_write",
        "components/esp_partition/partition_target.c",
        "offer",
        _too_large,
    ),
    Reason(
        "other-project",
        "the target is of another project",
        "validate_image_header",
        _RMAKER_OTA,
        "offer",
        _rejected(
            "Project Name mismatch", lambda running, goal, _: running.project_name_bytes != goal.project_name_bytes
        ),
    ),
    Reason(
        "same-version",
        "the target calls itself what runs already",
        "validate_image_header",
        _RMAKER_OTA,
        "offer",
        _rejected("Same version received", lambda running, goal, _: running.version_bytes == goal.version_bytes),
    ),
    Reason(
        "too-old",
        "the target is older than the eFuses allow",
        "validate_image_header",
        _RMAKER_OTA,
        "offer",
        _rejected("Lower secure version received", lambda _, goal, burnt: goal.secure_version < burnt),
    ),
    Reason(
        "other-chip",
        "the target is for another chip",
        "bootloader_common_check_chip_validity",
        f"{_LOADER}/bootloader_common_loader.c",
        "offer",
        _wrong_chip,
    ),
    Reason(
        "other-revision",
        "the target is not for this revision of the chip",
        "bootloader_common_check_chip_revision_validity",
        f"{_LOADER}/bootloader_common_loader.c",
        "offer",
        _wrong_revision,
    ),
    Reason("unsound", "the target is no sound image", "image_validate", _OTA_OPS, "offer", _unsound),
    Reason(
        "refused-at-boot",
        "the app takes the target, and the bootloader does not",
        "image_load",
        f"{_LOADER}/esp_image_format.c",
        "offer",
        _refused_at_boot,
    ),
    Reason(
        "unfit",
        "the target fails its own self-test",
        "esp_rmaker_ota_mark_invalid",
        _RMAKER_OTA,
        "offer",
        _unfit,
    ),
    Reason(
        "panics-confirmed",
        "the app panics after it has confirmed itself, and then nothing goes back",
        "esp_ota_mark_app_valid_cancel_rollback",
        _OTA_OPS,
        "offer",
        panics(is_confirmed),
    ),
    Reason(
        "panics-unasked",
        "the app panics, and a build without rollback asks nobody to confirm",
        "set_new_state_otadata",
        _OTA_OPS,
        "offer",
        panics(is_unasked),
    ),
    Reason(
        "panics-named-twice",
        "the app panics, and both entries name its slot since it was chosen once more before its first boot",
        "esp_rewrite_ota_data",
        _OTA_OPS,
        "offer",
        panics(is_named_twice),
    ),
    Reason(
        "panics-unnamed",
        "the app panics, no entry of otadata counts, and then each slot is tried in turn, that one first",
        "bootloader_utility_load_boot_image",
        f"{_LOADER}/bootloader_utility.c",
        "cut",
        panics(is_unnamed),
    ),
    Reason(
        "panics-given-up",
        "the app panics, both entries were given up as one slot had both when it went, and then each slot is tried in "
        "turn, that one first",
        "esp_rewrite_ota_data",
        _OTA_OPS,
        "again",
        panics(is_given_up),
    ),
)
