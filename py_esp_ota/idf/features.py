"""What an app and its bootloader do differently from one ESP-IDF release to another: one table, read in one place.

``Sdkconfig.idf_version`` says which release an app was built with. The verifier of images
has its own list in the core; everything that is in neither has been the same since v4.3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

Version = tuple[int, int, int]

#: The first release of each maintained line that has a feature, the newest line last.
SINCE: Mapping[str, tuple[Version, ...]] = {
    "begin_takes_other_types": ((5, 5, 0),),
    "begin_drops_inactive_record": ((5, 5, 0),),
    "begin_opens_before_erase": ((5, 5, 0),),
    "end_reports_refusal": ((5, 5, 0),),
    "reject_without_reboot": ((5, 5, 0),),
    "resume": ((5, 4, 2), (5, 5, 0)),
    "reselects_in_place": ((6, 0, 0),),
    "conflict_check": ((6, 1, 0),),
    "skip_validate": ((6, 1, 0),),
    "image_validity": ((6, 1, 0),),
    "loader_types": ((5, 4, 0),),
    "recovery_type": ((5, 5, 0),),
    "maps_through_hal": ((5, 0, 0),),
    "says_block_revision": ((5, 1, 7), (5, 2, 3), (5, 3, 2), (5, 4, 0)),
    "full_revisions": ((4, 3, 5), (4, 4, 5), (5, 0, 1)),
    "says_full_revision": ((4, 4, 4),),
    "says_cores": ((4, 4, 6), (5, 0, 3)),
    "corrects_speed": ((5, 1, 1), (5, 2, 0)),
    "revision_check": ((5, 5, 0),),
    "resume_asks_state": ((6, 2, 0),),
    "short_wdt_lines": ((5, 4, 0),),
    "encrypts_loaders": ((5, 5, 0),),
    "encrypts_signature": ((5, 3, 5), (5, 4, 3), (5, 5, 2)),
}

#: The first release that no longer has a fault.
FIXED: Mapping[str, tuple[Version, ...]] = {
    "table_bound_wraps": ((6, 1, 0),),
    "takes_empty_table": ((5, 5, 0),),
    "keeps_mapping": ((5, 4, 2), (5, 5, 0)),
    "counts_the_end": ((5, 1, 2), (5, 2, 0)),
}


@dataclass(frozen=True, slots=True)
class Features:
    """What one release has."""

    begin_takes_other_types: bool  # esp_ota_begin on data, bootloader and table partitions; esp_ota_set_final_partition
    begin_drops_inactive_record: bool  # builds with rollback: the inactive otadata entry is erased
    begin_opens_before_erase: bool  # a failed erase leaves the handle open
    end_reports_refusal: bool  # "New image failed verification"
    reject_without_reboot: bool  # esp_ota_mark_app_invalid_rollback
    resume: bool  # esp_ota_resume
    reselects_in_place: bool  # choosing the active slot rewrites its own entry, not the other one
    conflict_check: bool  # ESP_ERR_OTA_ALREADY_IN_PROGRESS
    skip_validate: bool  # esp_ota_set_boot_partition_skip_validate
    image_validity: bool  # esp_ota_check_image_validity
    loader_types: bool  # the bootloader knows partitions of the types bootloader and partition_table
    recovery_type: bool  # and among them the recovery bootloader's
    maps_through_hal: bool  # the bootloader maps an app with mmu_hal_map_region, which asserts that it can
    says_block_revision: bool  # the bootloader prints the revision of the eFuse block
    full_revisions: bool  # the bootloader compares all of the chip's revision with the image's, not one number
    says_full_revision: bool  # and prints all of it
    says_cores: bool  # the bootloader of a chip with two cores says for how many it is
    corrects_speed: bool  # on ESP32-C6, whose ROM wants another number in the header, the bootloader tells 80 MHz
    revision_check: bool  # how the bootloader tells that the chip's revision is wrong for it
    resume_asks_state: bool  # esp_ota_resume is refused while the running app is unconfirmed
    short_wdt_lines: bool  # an ESP32's bootloader saves a full stop when a watchdog has reset it
    encrypts_loaders: bool  # the first encryption looks into bootloader and partition_table rows, but the primary ones
    encrypts_signature: bool  # and the signature behind an app, where it encrypts no more of a slot than the app
    takes_empty_table: bool  # an erased partition table is one without rows
    keeps_mapping: bool  # what is mapped to look for a descriptor stays so where there is none; it began with v5.4
    counts_the_end: bool  # on ESP32-C6 and H2 the byte behind a segment has to be in the window, too
    table_bound_wraps: bool  # esp_partition_table_verify computes the end of a row in 32 bits


def since(version: Version, releases: tuple[Version, ...]) -> bool:
    """Whether ``version`` is, in its own line, at or after one of ``releases``, or newer than all their lines."""
    return version >= releases[-1] or any(version[:2] == first[:2] and version >= first for first in releases)


@lru_cache
def features(version: Version) -> Features:
    """The features of one release."""
    has = {name: since(version, releases) for name, releases in SINCE.items()}
    return Features(**has, **{name: not since(version, releases) for name, releases in FIXED.items()})
