"""What ROM and the second-stage bootloader print, v3.3 to v6.2: format string, function, and the name of the fact.

The verifier of images is in the app, too: ``esp_ota_end`` and ``esp_ota_set_boot_partition`` print its lines.
"""

from __future__ import annotations

from py_esp_ota.field.explain.formats import Lines, Said

_SELECT = "bootloader_utility_get_selected_boot_partition"

_ROM = (
    Said("rom_esp8266", "ROM", "ets Jan  8 2013"),
    Said("rom", "ROM", "ets Jun  8 2016"),
    Said("rom", "ROM", "ets Jul 29 2019"),
    Said("rom", "ROM", "ESP-ROM:%s", "name"),
    Said("reset", "ROM", "rst:0x%x (%s),boot:0x%x (%s)", "code name straps mode", within=True),
    Said("reset", "ROM", "rst:0x%x (%s)", "code name", within=True),
    Said("saved_pc", "ROM", "Saved PC:0x%x", "pc"),
    Said("download", "ROM", "waiting for download"),
    Said("bad_header", "ROM", "invalid header: 0x%x", "found", within=True),
    Said("flash_read_error", "ROM", "flash read err, %u", "code"),
    Said("flash_read_error", "ROM", "flash read err,%u", "code"),
    Said("flash_read_error", "ROM", "flash read err"),
    Said("rom_checksum", "ROM", "csum err:0x%x!=0x%x", "calculated read"),
    Said("rom_checksum", "ROM", "Checksum failure. Calculated 0x%x stored 0x%x", "calculated read"),
    Said("rom_checksum", "ROM", "checksum failure"),
    Said("rom_hash", "ROM", "SHA-256 comparison failed"),
    Said("rom_boots_anyway", "ROM", "Attempting to boot anyway"),
    Said("rom_signature", "ROM", "secure boot check fail"),
    Said("rom_signature", "ROM", "Secure Boot V2 verification failed"),
    Said("rom_signature", "ROM", "secure boot v2 verify fail"),
    Said("rom_signature", "ROM", "Sig block invalid"),
    Said("rom_signature", "ROM", "secure boot verification failed"),
    Said("rom_load", "ROM", "load:0x%x,len:0x%x", "address length"),
    Said("rom_load", "ROM", "load:0x%x,len:%d", "address length"),
    Said("rom_entry", "ROM", "entry 0x%x", "address"),
    Said("rom_mode", "ROM", "mode:%s, clock div:%d", "mode div"),
    Said("rom_mode", "ROM", "SPI mode:%s, clock div:%d", "mode div"),
    Said("rom_pins", "ROM", "configsip: "),
    Said("rom_pins", "ROM", "clk_drv:"),
    Said("rom_pins", "ROM", "SPIWP:"),
    Said("rom_pins", "ROM", "Build:"),
    Said("rom_pins", "ROM", "ho "),
    Said("rom_pins", "ROM", "tail "),
    Said("rom_pins", "ROM", "1150 mem"),
    Said("rom_assert", "ROM", "ets_main.c %d", "at"),
    Said("rom_segment", "ROM", "ets_loader.c %d", "at"),
    Said("rom_basic", "ROM", "Falling back to built-in command interpreter"),
    Said("rom_recovery", "ROM", "PRIMARY FAIL"),
    Said("rom_exception", "ROM", "Fatal exception (%d)", "cause"),
    Said("rom_chip", "ROM", "Invalid chip id. Expected %d read %d.", "expected found"),
    Said("rom_chip", "ROM", "Invalid chip id"),
    Said("given_up", _SELECT, "PENDING_VERIFY -> ABORTED", within=True),  # as `esp-ota boot` gives its reasons
)

_LOAD = "bootloader_utility_load_boot_image"
_TABLE = "bootloader_utility_load_partition_table"
_BANNER = "bootloader_init"
_PIN = "selected_boot_partition"
_FIRST = "load_image"

_BOOT = (
    Said("bootloader", _BANNER, "ESP-IDF %s 2nd stage bootloader", "version"),
    Said("compiled", _BANNER, "compile time %s", "time"),
    Said("cores", _BANNER, "Multicore bootloader"),
    Said("cores", _BANNER, "Unicore bootloader"),
    Said("chip_revision", _BANNER, "chip revision: %s", "revision"),
    Said("chip_revision", _BANNER, "Chip Revision: %s", "revision"),
    Said("block_revision", _BANNER, "efuse block revision: %s", "revision"),
    Said("spi_speed", "print_flash_info", "SPI Speed      : %s", "speed"),
    Said("spi_speed", "print_flash_info", "Boot SPI Speed : %s", "speed"),
    Said("spi_mode", "print_flash_info", "SPI Mode       : %s", "mode"),
    Said("flash_size", "print_flash_info", "SPI Flash Size : %d", "mib"),
    Said("wdt_reset", "bootloader_check_wdt_reset", "PRO CPU has been reset by WDT"),
    Said("wdt_reset", "bootloader_check_wdt_reset", "APP CPU has been reset by WDT"),
    Said("wdt_reset", "bootloader_check_wdt_reset", "CPU has been reset by WDT"),
    Said("rng", _BANNER, "Enabling RNG early entropy source"),
    Said("table", _TABLE, "Partition Table:"),
    Said("table_end", _TABLE, "End of partition table"),
    Said("no_header", _BANNER, "failed to load bootloader"),
    Said("xmc", "bootloader_flash_xmc_startup", "failed when running XMC startup flow"),
    Said("xmc", "bootloader_flash_xmc_startup", "XMC startup flow failed"),
    Said("no_header", _BANNER, "bootloader image appears invalid"),
    Said("load_table_failed", "select_partition_number", "load partition table error!"),
    Said("table_refused", _TABLE, "Failed to verify partition table"),
    Said("otadata_small", "bootloader_common_read_otadata", "ota_info partition size %u is too small", "size"),
    Said("map_failed", "bootloader_mmap", "bootloader_mmap(0x%x, 0x%x) failed", "offset size"),
    Said("anti_rollback", _SELECT, "Enabled a check secure version of app for anti rollback"),
    Said("secure_version", _SELECT, "Secure version (from eFuse) = %u", "version"),
    Said("otadata_initial", _SELECT, "otadata[0..1] in initial state"),
    Said("defaulting", _SELECT, "Defaulting to factory image"),
    Said("no_factory", _SELECT, "No factory image, trying OTA 0"),
    Said("otadata_damaged", _SELECT, "ota data partition invalid, falling back to factory"),
    Said("otadata_damaged", _SELECT, "ota data partition invalid and no factory"),
    Said("no_description", "check_anti_rollback", "Failed to get partition description %d", "err"),
    Said("otadata_write_failed", "write_otadata", "Error in write_otadata operation. err = 0x%x", "err"),
    Said("given_up", _SELECT, "otadata[%d] is marking as ABORTED", "entry"),  # a line of level DEBUG
    Said("loaded", "try_load_partition", "Loaded app from partition at offset 0x%x", "offset"),
    Said("healed", "set_actual_ota_seq", "Set actual ota_seq=%u in otadata[0]", "seq"),
    Said("not_bootable", _LOAD, "OTA app partition slot %d is not bootable", "slot"),
    Said("not_bootable", _LOAD, "Factory app partition is not bootable"),
    Said("not_bootable", _LOAD, "Factory test app partition is not bootable"),
    Said("fell_to_test", _LOAD, "Falling back to test app as only bootable partition"),
    Said("nothing_bootable", _LOAD, "No bootable app partitions in the partition table"),
    Said("nothing_bootable", _LOAD, "No bootable test partition in the partition table"),
    Said("factory_reset", _PIN, "Detect a condition of the factory reset"),
    Said("erases", _PIN, "Data partitions to erase: %s", "labels"),
    Said("not_erased", _PIN, "Not all partitions were erased"),
    Said("test_pin", _PIN, "Detect a boot condition of the test firmware"),
    Said("no_test_app", _PIN, "Test firmware is not found in partition table"),
    Said(
        "fast_boot",
        "bootloader_utility_load_boot_image_from_deep_sleep",
        "Fast booting app from partition at offset 0x%x",
        "offset",
    ),
    Said("fast_boot_failed", "bootloader_utility_load_boot_image_from_deep_sleep", "Fast booting is not successful"),
    Said("checks_encryption", _FIRST, "Checking flash encryption"),
    Said("encryption_failed", _FIRST, "Flash encryption check failed (%d)", "err"),
    Said("encryption_failed", _FIRST, "Encryption flash contents failed (%d)", "err"),
    Said("encryption_failed", _FIRST, "Enabling of Flash encryption failed (%d)", "err"),
    Said("encryption_failed", _FIRST, "Initialization of Flash Encryption key failed (%d)", "err"),
    Said("encryption_required", _FIRST, "flash encryption is not enabled, and SECURE_FLASH_REQUIRE_ALREADY_ENABLED"),
    Said("encrypted_now", _FIRST, "Resetting with flash encryption enabled"),
    Said("secure_boot_failed", _FIRST, "Secure Boot v2 failed (%d)", "err"),
    Said("secure_boot_failed", _FIRST, "FAILED TO ENABLE SECURE BOOT (%d)", "err"),
    Said("jump", _FIRST, "Disabling RNG early entropy source"),
    Said("virtual_efuse", _BANNER, "eFuse virtual mode is enabled"),
    Said("spi_pins", _BANNER, "SPI flash pins are overridden"),
)

_VERIFY = "esp_partition_table_verify"
_PARTS = (
    Said("table_row_magic", _VERIFY, "partition %d invalid magic number 0x%x", "row magic"),
    Said(
        "table_row_size",
        _VERIFY,
        "partition %d invalid - offset 0x%x size 0x%x exceeds flash chip size 0x%x",
        "row offset size flash",
    ),
    Said("table_md5", _VERIFY, "Incorrect MD5 checksum"),
    Said("table_md5_twice", _VERIFY, "Only one MD5 checksum is allowed"),
    Said("table_no_end", _VERIFY, "partition table has no terminating entry, not valid"),
)

_SEGMENT = "verify_segment_header"
_ADDRESSES = "verify_load_addresses"
_IMAGE = (
    Said("segment", "process_segment", "segment %d: paddr=%x vaddr=%x size=%xh", "number paddr vaddr size"),
    Said("segment", "process_segment", "segment %d: paddr=%x vaddr=%x size=%x", "number paddr vaddr size"),
    Said("image_magic", "verify_image_header", "image at 0x%x has invalid magic byte", "offset"),
    Said("image_count", "verify_image_header", "image at 0x%x segment count %d exceeds max", "offset count"),
    Said("image_spi", "verify_image_header", "image at 0x%x has invalid SPI", "offset"),
    Said("image_read", "process_segment", "bootloader_flash_read failed at 0x%x", "address"),
    Said("image_segment", _SEGMENT, "invalid segment length 0x%x", "length"),
    Said("image_segment", _SEGMENT, "unaligned segment length 0x%x", "length"),
    Said("image_segment", _SEGMENT, "Segment %d: length 0x%x is too short for app description", "number length"),
    Said("image_mapping", _SEGMENT, "Segment %d load address 0x%x, doesn't match data 0x%x", "number address data"),
    Said("image_address", _ADDRESSES, "Segment %d 0x%x-0x%x invalid: %s", "number begin end why"),
    Said("image_address", "process_segment", "Segment %d end address 0x%x too high", "number end"),
    Said("image_address", "process_segment", "Segment %d (0x%x-0x%x) overlaps bootloader IRAM", "number begin end"),
    Said("image_description", _SEGMENT, "Failed to fetch app description header!"),
    Said("page_size", _SEGMENT, "MMU page size mismatch, configured: 0x%x, found: 0x%x", "configured found"),
    Said("image_checksum", "process_checksum", "Checksum failed. Calculated 0x%x read 0x%x", "calculated read"),
    Said("image_length", "image_load", "Image length %d doesn't fit in partition length %d", "length room"),
    Said("image_length", "image_load", "partition size 0x%x invalid, larger than 16MB", "room"),
    Said("image_hash", "verify_simple_hash", "Image hash failed - image is corrupt"),
    Said("verifies_signature", "verify_secure_boot_signature", "Verifying image signature"),
    Said("image_signature", "verify_signature_and_adjust_image_len", "Secure boot signature verification failed"),
    Said("signature_flash", "verify_signature_and_adjust_image_len", "image corrupted on flash"),
    Said("signature_key", "verify_signature_and_adjust_image_len", "image valid, signature bad"),
    Said("image_segment", "image_load", "image offset has wrapped"),
)

_CHIP = (
    Said(
        "chip_id", "bootloader_common_check_chip_validity", "mismatch chip ID, expected %d, found %d", "expected found"
    ),
    Said(
        "revision_low",
        "bootloader_common_check_chip_revision_validity",
        "chip revision check failed. Required >= %s, found %s",
        "wanted found",
    ),
    Said(
        "revision_high",
        "bootloader_common_check_chip_revision_validity",
        "chip revision check failed. Required <= %s, found %s",
        "wanted found",
    ),
    Said(
        "revision_low",
        "bootloader_common_check_chip_validity",
        "Image requires chip rev >= %s, but chip is %s",
        "wanted found",
    ),
    Said(
        "revision_high",
        "bootloader_common_check_chip_validity",
        "Image requires chip rev <= %s, but chip is %s",
        "wanted found",
    ),
    Said(
        "revision_low",
        "bootloader_common_check_chip_validity",
        "This chip is revision %d but the application is configured for minimum revision %d",
        "found wanted",
    ),
    Said(
        "revision_low",
        "bootloader_common_check_chip_validity",
        "can't run on lower chip revision, expected %d, found %d",
        "found wanted",
    ),
    Said(
        "block_low",
        "bootloader_common_check_efuse_blk_validity",
        "Image requires efuse blk rev >= %s, but chip is %s",
        "wanted found",
    ),
    Said(
        "block_high",
        "bootloader_common_check_efuse_blk_validity",
        "Image requires efuse blk rev <= %s, but chip is %s",
        "wanted found",
    ),
    Said("block_low", "bootloader_common_check_efuse_blk_validity", "efuse blk rev = %s < min rev %s", "found wanted"),
    Said("block_high", "bootloader_common_check_efuse_blk_validity", "efuse blk rev = %s > max rev %s", "found wanted"),
)

_SIGNATURE = (
    Said("image_signature", "esp_secure_boot_verify_sbv2_signature_block", "Secure Boot V2 verification failed"),
    Said(
        "image_unsigned", "esp_secure_boot_verify_sbv2_signature_block", "No signature block generated for valid scheme"
    ),
    Said(
        "image_unsigned",
        "esp_secure_boot_verify_sbv2_signature_block",
        "%s signing scheme selected but no signature block",
        "scheme",
    ),
    Said(
        "image_unsigned",
        "esp_secure_boot_verify_sbv2_signature_block",
        "%s signing scheme selected but signature block generated for",
        "scheme",
    ),
    Said(
        "image_unsigned",
        "esp_secure_boot_verify_ecdsa_signature_block",
        "image has invalid signature version field 0x%x",
        "version",
    ),
    Said(
        "signature_digests", "esp_secure_boot_verify_sbv2_signature_block", "Could not read eFuse secure boot digests!"
    ),
    Said("signature_good", "esp_secure_boot_verify_sbv2_signature_block", "Signature verified successfully!"),
    Said("secure_boot_off", "esp_secure_boot_verify_sbv2_signature_block", "Secure boot V2 is not enabled yet"),
)

_EFUSE = (
    Said(
        "secure_version_raised",
        "esp_efuse_update_secure_version",
        "Anti-rollback is set. eFuse field is updated(%u)",
        "version",
    ),
    Said(
        "secure_version_low",
        "esp_efuse_update_secure_version",
        "Anti-rollback is not set. secure_version of app is lower that eFuse field(%u)",
        "version",
    ),
)

LINES: Lines = {
    "": _ROM,
    "boot": _BOOT,
    "flash_parts": _PARTS,
    "esp_image": _IMAGE,
    "boot_comm": _CHIP,
    "efuse": _EFUSE,
    "flash_encrypt": (
        Said("encrypted", "esp_flash_encrypt_state", "flash encryption is enabled (%d plaintext flashes left)", "left"),
        Said("encrypting", "esp_flash_encrypt_contents", "Generating new flash encryption key"),
        Said("encryption_refused", "esp_flash_encrypt_check_and_update", "Cannot re-encrypt data"),
        Said(
            "encryption_plain",
            "encrypt_and_load_partition_table",
            "Failed to read partition table data - not plaintext",
        ),
    ),
    **dict.fromkeys(("secure_boot", "secure_boot_v1", "secure_boot_v2"), _SIGNATURE),
}
