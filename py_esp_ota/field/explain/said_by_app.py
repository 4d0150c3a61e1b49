"""What an app prints that has to do with its start, its end and its updates: ESP-IDF, RainMaker, Arduino, ESPHome.

Lines of projects are given under the name of the project: their functions are not ESP-IDF's.
"""

from __future__ import annotations

from py_esp_ota.field.explain.formats import Lines, Said

_PANIC = "panic_handler"
_RAW = (
    Said("panic", _PANIC, "Guru Meditation Error: Core %d panic'ed (%s)", "core reason", within=True),
    Said("panic", _PANIC, "Guru Meditation Error of type %s occurred on core %d", "reason core", within=True),
    Said("panic", _PANIC, "Guru Meditation Error", within=True),
    Said("canary", "panic_print_debug_info", "Stack canary watchpoint triggered (%s)", "task", within=True),
    Said(
        "overflow",
        "vApplicationStackOverflowHook",
        "***ERROR*** A stack overflow in task %s has been detected",
        "task",
        within=True,
    ),
    Said("stack_fault", _PANIC, 'Detected in task "%s"', "task"),
    Said("aborted", "esp_system_abort", "abort() was called at PC 0x%x", "pc", within=True),
    Said("asserted", "__assert_func", "assert failed: %s", "where", within=True),
    Said("asserted", "__assert_func", 'assertion "%s" failed', "where", within=True),
    Said("check_failed", "_esp_error_check_failed", "ESP_ERROR_CHECK failed: esp_err_t 0x%x", "err", within=True),
    Said("backtrace", _PANIC, "Backtrace:"),
    Said("rebooting", _PANIC, "Rebooting..."),
    Said("brownout", "rtc_brownout_isr_handler", "Brownout detector was triggered", within=True),
    Said("task_wdt", "task_wdt_isr", "Task watchdog got triggered", within=True),
    Said("heap_corrupt", "multi_heap", "CORRUPT HEAP:", within=True),
    Said("update_failed", "Update", "Could Not Activate The Firmware", within=True),
    Said("update_magic", "Update", "Wrong Magic Byte", within=True),
    Said("update_md5", "Update", "MD5 Check Failed", within=True),
    Said("update_space", "Update", "Not Enough Space", within=True),
    Said("update_size", "Update", "Bad Size Given", within=True),
    Said("update_stream", "Update", "Stream Read Timeout", within=True),
    Said("update_partition", "Update", "Partition Could Not be Found", within=True),
    Said("update_flash", "Update", "Flash Read Failed", within=True),
    Said("update_flash", "Update", "Flash Write Failed", within=True),
    Said("update_flash", "Update", "Flash Erase Failed", within=True),
    Said("update_decrypt", "Update", "UpdateClass Decryption Failed", within=True),
)

#: Any app may say these under a tag of its own, ESP-IDF's examples for instance.
_ANYWHERE = (
    Said("not_confirmed_yet", "esp_ota_begin", "Running app has not confirmed state", within=True),
    Said("tls", "mbedtls_ssl_handshake", "mbedtls_ssl_handshake returned -0x%x", "err", within=True),
    Said("tls_memory", "start_ssl_client", "SSL - Memory allocation failed", within=True),
    Said("tls_memory", "start_ssl_client", "BIGNUM - Memory allocation failed", within=True),
    Said("tls_untrusted", "start_ssl_client", "X509 - Certificate verification failed", within=True),
    Said("confirmed", "esp_ota_mark_app_valid_cancel_rollback", "App is valid, rollback cancelled successfully"),
    Said("self_test", "app", "Diagnostics completed successfully"),
    Said("self_test_failed", "app", "Diagnostics failed! Start rollback"),
    Said("chip_id", "app", "Mismatch chip id, expected %d, found %d", "expected found"),
    Said(
        "secure_version_refused",
        "app",
        "New firmware security version is less than eFuse programmed, %u < %u",
        "found wanted",
    ),
    Said("version_invalid", "app", "New version is the same as invalid version"),
    Said("version_same", "app", "Current running version is the same as a new"),
    Said("image_validation", "app", "Image validation failed, image is corrupted"),
    Said("upgrade_ok", "app", "ESP_HTTPS_OTA upgrade successful"),
    Said("upgrade_ok", "app", "OTA Succeed, Rebooting"),
    Said("upgrade_ok", "app", "Prepare to restart system!"),
    Said("incomplete", "app", "Complete data was not received"),
    Said("incomplete", "app", "Error in receiving complete file"),
    Said("psram_without", "call_start_cpu0", "Failed to init external RAM; continuing without it"),
    Said("psram_needed", "call_start_cpu0", "Failed to init external RAM"),
    Said("psram_needed", "esp_spiram_init", "SPI RAM enabled but initialization failed. Bailing out."),
    Said("psram_guessed", "esp_psram_impl_enable", "PSRAM ID read error: 0x%x, fallback to use default", "id"),
    Said("psram_silent", "esp_psram_impl_enable", "PSRAM ID read error: 0x%x", "id"),
    Said("psram_silent", "esp_psram_impl_enable", "PSRAM chip is not connected"),
    Said("name", "esp_err_to_name", "ESP_ERR_", within=True),
)

_START = (
    Said("project", "init_app_info", "Project name:     %s", "name"),
    Said("app_version", "init_app_info", "App version:      %s", "version"),
    Said("app_secure_version", "init_app_info", "Secure version:   %u", "version"),
    Said("app_compiled", "init_app_info", "Compile time:     %s", "time"),
    Said("app_elf", "init_app_info", "ELF file SHA256:  %s", "sha256"),
    Said("app_idf", "init_app_info", "ESP-IDF:          %s", "version"),
    Said("app_start", "call_start_cpu0", "Pro cpu start user code"),
    Said("app_start", "call_start_cpu0", "Pro cpu up."),
    Said("app_start", "call_start_cpu0", "Unicore app"),
    Said("app_start", "call_start_cpu0", "Multicore app"),
)

_OPS = (
    Said("not_confirmed_yet", "esp_ota_begin", "Running app has not confirmed state"),
    Said("ota_in_progress", "esp_ota_begin", "OTA operation already in progress on partition %s", "label"),
    Said("ota_magic", "esp_ota_write", "OTA image has invalid magic byte (expected 0xE9, saw 0x%x", "found"),
    Said(
        "ota_table_magic",
        "esp_ota_write",
        "Partition table image has invalid magic word (expected 0x50AA, saw 0x%x",
        "found",
    ),
    Said("ota_aligned", "esp_ota_write_with_offset", "Size should be 16byte aligned for flash encryption case"),
    Said("ota_refused", "esp_ota_end", "New image failed verification"),
    Said("ota_no_otadata", "esp_ota_get_boot_partition", "not found otadata"),
    Said("ota_no_otadata", "esp_ota_get_boot_partition", "not found ota data"),
    Said("ota_no_apps", "esp_ota_get_boot_partition", "invalid partition table, no app partitions"),
    Said("ota_invalid", "esp_ota_get_boot_partition", "ota data invalid, no current app. Assuming factory"),
    Said(
        "ota_secure_version",
        "esp_ota_set_boot_partition",
        "This a new partition can not be booted due to a secure version is lower",
    ),
    Said(
        "ota_spi_mode",
        "esp_ota_check_image_validity",
        "SPI flash mode mismatch: running app has mode %d, new app has mode %d",
        "running found",
    ),
    Said("rejected", "esp_ota_mark_app_invalid_rollback", "Rollback to previously worked partition."),
    Said(
        "cannot_reject",
        "esp_ota_check_rollback_is_possible",
        "Rollback is not possible, do not have any suitable apps in slots",
    ),
    Said("cannot_reject", "esp_ota_mark_app_invalid_rollback", "Running firmware is factory"),
    Said("image_signature", "esp_ota_end", "esp_secure_boot_verify_signature failed for partition %s", "label"),
    Said("ota_handle", "esp_ota_write", "not found the handle"),
)

_HTTPS = (
    Said("ota_begins", "esp_https_ota_begin", "Starting OTA..."),
    Said("writes_to", "esp_https_ota_begin", "Writing to <%s> partition at offset 0x%x", "label offset"),
    Said("writes_to", "esp_https_ota_begin", "Writing to partition subtype %d at offset 0x%x", "subtype offset"),
    Said(
        "ota_no_partition",
        "esp_https_ota_begin",
        "Given staging partition or another suitable Passive OTA partition could not be found",
    ),
    Said("ota_no_partition", "esp_https_ota_begin", "Passive OTA partition not found"),
    Said("ota_begin_failed", "esp_ota_begin", "esp_ota_begin failed ("),
    Said("ota_begin_failed", "esp_ota_begin", "esp_ota_begin failed, error=%d", "err"),
    Said("ota_begin_failed", "esp_ota_resume", "esp_ota_resume failed ("),
    Said("http_status", "_http_handle_response_code", "File not found(%d)", "status"),
    Said("http_status", "_http_handle_response_code", "Client error (%d)", "status"),
    Said("http_status", "_http_handle_response_code", "Server error (%d)", "status"),
    Said("http_status", "_http_handle_response_code", "Received incorrect http status %d", "status"),
    Said("http_redirect", "_http_handle_response_code", "URL redirection Failed"),
    Said("http_authorization", "_http_handle_response_code", "Authorization Failed"),
    Said("http_authorization", "_http_handle_response_code", "Reached max_authorization_retries (%d)", "status"),
    Said("not_connected", "_http_connect", "Failed to open HTTP connection: "),
    Said("not_connected", "_http_connect", "Failed to establish HTTP connection"),
    Said("not_connected", "_http_connect", "ESP HTTP client perform failed: %d", "err"),
    Said(
        "not_verifying", "esp_https_ota_begin", "No option for server verification is enabled in esp_http_client config"
    ),
    Said("not_verifying", "esp_https_ota_begin", "Server certificate not found"),
    Said("not_verifying", "esp_https_ota_begin", "Transport is not over HTTPS"),
    Said("lost", "esp_https_ota_perform", "Connection closed before complete data was received!"),
    Said("lost", "esp_https_ota_perform", "Connection closed, errno = %d", "errno"),
    Said("lost", "esp_https_ota_perform", "data read %d, errno %d", "read errno"),
    Said("range_ignored", "esp_https_ota_begin", "Server ignored the requested Range header"),
    Said("range_ignored", "esp_https_ota_begin", "Requested range is incorrect"),
    Said("headers_cut", "esp_https_ota_get_img_desc", "Complete headers were not received"),
    Said("app_magic", "esp_https_ota_get_img_desc", "Incorrect app descriptor magic"),
    Said("ota_write_failed", "esp_ota_write", "Error: esp_ota_write failed! err=0x%x", "err"),
    Said("ota_end_failed", "esp_ota_end", "Error: esp_ota_end failed! err=0x%x", "err"),
    Said("ota_set_boot_failed", "esp_ota_set_boot_partition", "esp_ota_set_boot_partition failed! err=0x%x", "err"),
)

_TLS = (
    Said("tls", "mbedtls_ssl_handshake", "mbedtls_ssl_handshake returned -0x%x", "err"),
    Said("tls", "esp_create_mbedtls_handle", "mbedtls_ssl_setup returned -0x%x", "err"),
    Said("tls_setup", "set_client_config", "No server verification option set in esp_tls_cfg_t structure"),
    Said("http_buffer", "http_client_prepare_first_line", "Out of buffer"),
    Said("not_resolved", "esp_tls_hostname_to_fd", "couldn't get hostname for :%s", "host"),
    Said("not_resolved", "esp_tls_hostname_to_fd", "couldn't get hostname"),
    Said("not_connected", "esp_tls_conn_new_sync", "Failed to open new connection"),
    Said("not_connected", "tcp_connect", "Failed to connnect to host"),
)

_FLASH = (
    Said(
        "flash_smaller",
        "detect_spi_flash_chip",
        "Detected size(%dk) smaller than the size in the binary image header(%dk). Probe failed.",
        "detected header",
    ),
    Said(
        "flash_larger",
        "detect_spi_flash_chip",
        "Detected size(%dk) larger than the size in the binary image header(%dk).",
        "detected header",
    ),
    Said("flash_silent", "esp_flash_init_default_chip", "No detected Flash chip"),
    Said("flash_silent", "esp_flash_init_default_chip", "failed to get chip size"),
    Said("flash_chip", "esp_flash_init_default_chip", "detected chip: %s", "name"),
)

_SAFE_MODE = (
    Said("esphome_rolled_back", "ESPHome safe_mode", "OTA rollback detected! Rolled back from partition '%s'", "label"),
    Said("esphome_unmarked", "ESPHome safe_mode", "The device reset before the boot was marked successful"),
    Said("esphome_brownout", "ESPHome safe_mode", "Last reset was due to brownout"),
    Said("esphome_support", "ESPHome safe_mode", "Bootloader rollback: %s", "support"),
    Said("esphome_safe_mode", "ESPHome safe_mode", "SAFE MODE IS ACTIVE"),
    Said("esphome_quick", "ESPHome safe_mode", "Last reset too quick; invoke in %d restarts", "restarts"),
    Said("esphome_loop", "ESPHome safe_mode", "Boot loop detected"),
    Said("esphome_good", "ESPHome safe_mode", "Boot seems successful"),
    Said("esphome_impossible", "ESPHome safe_mode", "OTA updates are impossible."),
)

_RAINMAKER = (
    Said("rmaker_first_boot", "esp_rmaker_ota_manage_rollback", "First Boot after an OTA"),
    Said("rmaker_state", "esp_rmaker_ota_manage_rollback", "OTA state = %d", "state"),
    Said("rmaker_rolled_back", "esp_rmaker_ota_start", "Firmware rolled back", within=True),
    Said("rmaker_status", "esp_rmaker_ota_report_status", "Reporting %s: %s", "status what"),
    Said("rmaker_unverified", "esp_ota_rollback", "Could not verify firmware even after %d seconds", "seconds"),
    Said("rmaker_test", "esp_rmaker_ota_enable", "*** TEST ROLLBACK MODE ENABLED ***"),
    Said("rmaker_timeout", "mqtt_ota", "Request timed out."),
    Said("rmaker_retries", "mqtt_ota", "Out of retries. Aborting OTA..."),
    Said("rmaker_budget", "esp_rmaker_mqtt", "Out of MQTT Budget. Dropping publish message."),
    Said("upgrade_ok", "esp_rmaker_ota_cb", "%s OTA upgrade successful.", "protocol"),
)

_TASK_WDT = (Said("task_wdt", "task_wdt_isr", "Task watchdog got triggered"),)

LINES: Lines = {
    "": _RAW,
    "*": (*_RAW, *_ANYWHERE),
    "app_init": _START,
    "cpu_start": _START,
    "esp_ota_ops": _OPS,
    "esp_https_ota": _HTTPS,
    "ota": (*_HTTPS, *_SAFE_MODE),
    "spi_flash": _FLASH,
    "task_wdt": _TASK_WDT,
    "safe_mode": _SAFE_MODE,
    "esp_rmaker_ota": (*_RAINMAKER, *_HTTPS),
    "esp_rmaker_mqtt_ota": (*_RAINMAKER, *_HTTPS),
    "esp_rmaker_mqtt_budget": _RAINMAKER,
    **dict.fromkeys(("esp-tls", "esp-tls-mbedtls", "TRANS_SSL", "TRANSPORT_BASE", "HTTP_CLIENT"), _TLS),
    "esp_efuse_init": (Said("app_secure_version_low", "init_efuse_secure", "Incorrect secure version of app"),),
}
