"""Who upstream refuses an image: a table from the field that is at fault to a finding and the function."""

from __future__ import annotations

import re
from collections.abc import Sequence

from py_esp_ota._core import Fault

#: By the field's name, ``segment N`` taken off: the finding's id, and the function
#: (components/bootloader_support/src/esp_image_format.c, bootloader_common_loader.c).
_FIELDS = {
    "magic": ("image", "verify_image_header"),
    "segment_count": ("image", "verify_image_header"),
    "image header": ("image", "process_image_header"),
    "header": ("image", "process_segment"),
    "chip_id": ("chip", "bootloader_common_check_chip_validity"),
    "min_chip_rev": ("chip-revision", "bootloader_common_check_chip_validity"),
    "min_chip_rev_full": ("chip-revision", "bootloader_common_check_chip_revision_validity"),
    "max_chip_rev_full": ("chip-revision", "bootloader_common_check_chip_revision_validity"),
    "data_len": ("image", "verify_segment_header"),
    "load_addr": ("image", "verify_segment_header"),
    "data": ("image", "process_segment_data"),
    "app_desc magic_word": ("image", "verify_segment_header"),
    "min_efuse_blk_rev_full": ("efuse-block", "bootloader_common_check_efuse_blk_validity"),
    "max_efuse_blk_rev_full": ("efuse-block", "bootloader_common_check_efuse_blk_validity"),
    "image end": ("image", "process_segments"),
    "checksum": ("checksum", "process_checksum"),
    "hash": ("hash", "verify_simple_hash"),
    "image_len": ("fits", "process_appended_hash_and_sig"),
    "partition size": ("fits", "image_load"),
    "partition offset": ("slot", "bootloader_flash_read"),
    "range": ("fits", "esp_partition_write"),
    "signature": ("signature", "verify_secure_boot_signature"),
    "signature sector": ("signature", "verify_secure_boot_signature"),
    "secure_version": ("secure-version", "esp_efuse_check_secure_version"),
    "spi_flash_mode": ("spi-mode", "esp_ota_check_image_validity"),
    "slot": ("slot", "esp_ota_get_next_update_partition"),
}
_SEGMENT = re.compile(r"segment \d+ ")
_LOADS = ("image", "verify_load_addresses")
#: What the bootloader expects of an address that it copies to; another one is mapped.
_RAM = ("free RAM", "a range that wraps")
#: By the step, and by ``esp_err_t``'s name where a step has several.
_STEPS = {
    ("esp_ota_begin", "ESP_ERR_OTA_PARTITION_CONFLICT"): "slot",
    ("esp_ota_begin", "ESP_ERR_OTA_ROLLBACK_INVALID_STATE"): "running",
    ("esp_ota_write", "ESP_ERR_OTA_VALIDATE_FAILED"): "image",
    ("esp_ota_set_boot_partition", "ESP_ERR_NOT_FOUND"): "otadata",
    ("esp_ota_set_boot_partition", "ESP_ERR_OTA_SMALL_SEC_VER"): "secure-version",
}
_BY_STEP = {"esp_ota_begin": "slot", "esp_ota_set_boot_partition": "otadata"}


def of_fault(fault: Fault) -> tuple[str, str]:
    """A finding's id and the function behind a fault."""
    return of_field(fault.field, fault.expected)


def of_field(field: str, expected: str) -> tuple[str, str]:
    """The same, of a field that was at fault and what was expected of it."""
    name = _SEGMENT.sub("", field)
    if name == "load_addr" and expected.startswith(_RAM):
        return _LOADS
    return _FIELDS.get(name, ("image", "image_load"))


def of_step(step: str, err: str) -> str:
    """A finding's id for a step of the update that refuses something else than an image."""
    return _STEPS.get((step, err), _BY_STEP.get(step, "boots"))


def not_in(faults: Sequence[Fault], said: set[str]) -> list[Fault]:
    """The faults whose finding was not said yet."""
    return [fault for fault in faults if of_fault(fault)[0] not in said]
