"""Who upstream refuses an image: a table from the field that is at fault to a finding and the function."""

from __future__ import annotations

import re
from collections.abc import Sequence

from py_esp_ota._core import Fault
from py_esp_ota.field.preflight.play import BOOTS

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
#: By the step and ``esp_err_t``'s name, where it is not the image's bytes that are at fault.
_STEPS = {
    ("esp_ota_begin", "ESP_ERR_OTA_PARTITION_CONFLICT"): ("slot", "esp_ota_begin"),
    ("esp_ota_begin", "ESP_ERR_OTA_ROLLBACK_INVALID_STATE"): ("running", "esp_ota_begin"),
    ("esp_ota_write", "ESP_ERR_OTA_VALIDATE_FAILED"): ("image", "esp_ota_write"),
    ("esp_ota_write", "ESP_ERR_INVALID_SIZE"): ("fits", "esp_partition_write"),
    ("esp_ota_set_boot_partition", "ESP_ERR_NOT_FOUND"): ("otadata", "esp_ota_set_boot_partition"),
    ("esp_ota_set_boot_partition", "ESP_ERR_OTA_SMALL_SEC_VER"): ("secure-version", "esp_efuse_check_secure_version"),
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


def of_step(step: str, err: str, field: str, expected: str) -> tuple[str, str]:
    """The same, of a step of the update that ended in an error."""
    if (step, err) in _STEPS:
        return _STEPS[step, err]
    if step == BOOTS:
        return "boots", of_field(field, expected)[1] if field else step
    return of_field(field, expected) if field else (_BY_STEP.get(step, "boots"), step)


def not_in(faults: Sequence[Fault], said: set[str]) -> list[Fault]:
    """The faults whose finding was not said yet."""
    return [fault for fault in faults if of_fault(fault)[0] not in said]
