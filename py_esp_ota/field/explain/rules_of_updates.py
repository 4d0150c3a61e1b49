"""Causes in an update: what an app, its server or its slots refuse."""

from __future__ import annotations

from collections.abc import Callable

from py_esp_ota.field.explain.cause import CONFIRM as _CONFIRM
from py_esp_ota.field.explain.cause import SLOT as _SLOT
from py_esp_ota.field.explain.cause import Found, Known, Rule, line, named


def _tls(*codes: int, other: bool = False, words: str = "") -> Callable[[Known], Found | None]:
    """A handshake that failed with one of these numbers, or with another; Arduino has ``words`` for some."""

    def find(known: Known) -> Found | None:
        shown = [
            fact
            for fact in known.story.all("tls", *([words] if words else []))
            if fact.kind == words or (fact.number("err") in codes) != other
        ]
        return Found(shown[:2], dict(shown[0].values)) if shown else None

    return find


_NO_REVISION = 100


def _no_descriptor(known: Known) -> Found | None:
    """A block revision that no chip has: other bytes lie where an app's descriptor belongs."""
    shown = [
        fact
        for fact in known.story.all("block_low", "block_high")
        if fact.word("wanted").lstrip("v").partition(".")[0].isdecimal()
        and int(fact.word("wanted").lstrip("v").partition(".")[0]) >= _NO_REVISION
    ]
    return Found(shown[:2], dict(shown[0].values)) if shown else None


RULES: tuple[Rule, ...] = (
    Rule(
        "app-descriptor",
        "fault",
        _no_descriptor,
        "the image has no app descriptor where one belongs: what is read there as a block revision, {wanted}, is none",
        "A bootloader, a merged image or a file system has none; send the app's own .bin.",
        "bootloader_common_check_efuse_blk_validity",
        7,
    ),
    Rule(
        "not-confirmed-yet",
        "fault",
        line("not_confirmed_yet"),
        "an update was begun before the running app was confirmed: esp_ota_begin refuses it (PENDING_VERIFY)",
        _CONFIRM,
        "esp_ota_begin",
        16,
    ),
    Rule(
        "not-confirmed-yet",
        "fault",
        named("ESP_ERR_OTA_ROLLBACK_INVALID_STATE"),
        "an update was begun before the running app was confirmed: esp_ota_begin refuses it (PENDING_VERIFY)",
        _CONFIRM,
        "esp_ota_begin",
        16,
    ),
    Rule(
        "partition-conflict",
        "fault",
        named("ESP_ERR_OTA_PARTITION_CONFLICT"),
        "the update was to go into the slot that runs",
        "There has to be a second OTA slot; an app started from the only one cannot be written over. Ask "
        "esp_ota_get_next_update_partition(NULL).",
        "esp_ota_begin",
        16,
    ),
    Rule(
        "ota-in-progress",
        "fault",
        line("ota_in_progress"),
        "an update is open on that partition already",
        "End or abort the first handle (esp_ota_abort) before another is begun.",
        "",
        16,
    ),
    Rule(
        "no-ota-partition",
        "fault",
        line("ota_no_partition", "update_partition", "esphome_impossible"),
        "there is no slot to write an update into: the table has no second app partition",
        "Take a table with two OTA slots and otadata; that needs a cable once.",
        "esp_ota_get_next_update_partition",
        16,
    ),
    Rule(
        "no-otadata",
        "fault",
        line("ota_no_otadata"),
        "the partition table has no otadata partition: no update can be chosen",
        "Put otadata (data, ota, 0x2000) into the table; that needs a cable once.",
        "",
        12,
    ),
    Rule(
        "ota-magic",
        "fault",
        line("ota_magic", "update_magic"),
        "what was downloaded is no app image: its first byte is 0x{found:x}, not 0xE9",
        "0x3c is the beginning of a web page, 0x1f of a gzip file; a merged image begins with a bootloader. Send "
        "the app's own .bin.",
        "esp_ota_write",
        16,
    ),
    Rule(
        "app-descriptor",
        "fault",
        line("app_magic", "headers_cut"),
        "what was downloaded has no app descriptor where one belongs",
        "A bootloader, a merged image or a file system has none; send the app's own .bin.",
        "",
        16,
    ),
    Rule(
        "secure-version",
        "fault",
        line("ota_secure_version", "secure_version_refused"),
        "the new app's secure version is below the one that is burnt: it is refused, and its slot erased",
        "Raise CONFIG_BOOTLOADER_APP_SECURE_VERSION.",
        "esp_ota_set_boot_partition",
        16,
    ),
    Rule(
        "secure-version",
        "fault",
        named("ESP_ERR_OTA_SMALL_SEC_VER"),
        "the new app's secure version is below the one that is burnt: it is refused, and its slot erased",
        "Raise CONFIG_BOOTLOADER_APP_SECURE_VERSION.",
        "esp_ota_set_boot_partition",
        16,
    ),
    Rule(
        "spi-mode",
        "fault",
        line("ota_spi_mode"),
        "the new app is built for flash mode {found}, the running one for {running}",
        "Build both with one flash mode.",
        "",
        16,
    ),
    Rule(
        "version-refused",
        "fault",
        line("version_invalid", "version_same"),
        "the app does not take a version that it runs already, or that was rolled back before",
        "Give the new build another version (PROJECT_VER).",
        "",
        16,
    ),
    Rule(
        "rollback-impossible",
        "fault",
        line("cannot_reject"),
        "there is nothing to roll back to: no other slot holds a good app that may run",
        "Keep a factory app, or confirm an app only when a second good one is there.",
        "",
        16,
    ),
    Rule(
        "image-invalid",
        "fault",
        named("ESP_ERR_OTA_VALIDATE_FAILED"),
        "the image that was written does not verify (ESP_ERR_OTA_VALIDATE_FAILED)",
        _SLOT,
        "esp_ota_end",
        17,
    ),
    Rule(
        "image-invalid",
        "fault",
        line("image_validation", "ota_refused", "update_failed"),
        "the image that was written does not verify, so it cannot be chosen",
        _SLOT,
        "esp_ota_set_boot_partition",
        17,
    ),
    Rule(
        "image-size",
        "fault",
        named("ESP_ERR_INVALID_SIZE", kinds=("name", "ota_begin_failed", "ota_write_failed")),
        "the image does not fit its slot",
        "Make the app smaller or the slots larger; a new table needs a cable once.",
        "esp_partition_erase_range",
        17,
    ),
    Rule(
        "image-size",
        "fault",
        line("update_space", "update_size"),
        "the image does not fit its slot",
        "Make the app smaller or take a partition scheme with larger slots; that needs a cable once.",
        "",
        17,
    ),
    Rule(
        "certificate",
        "fault",
        _tls(0x2700, words="tls_untrusted"),
        "the server's certificate is not trusted: mbedTLS -0x2700, X509 verification failed",
        "Give the client the root certificate of this server (or the bundle, esp_crt_bundle_attach), its right "
        "name, and set the clock.",
        "mbedtls_ssl_handshake",
        18,
    ),
    Rule(
        "tls-memory",
        "fault",
        _tls(0x7F00, 0x4290, 0x8017, words="tls_memory"),
        "there was not enough memory for TLS",
        "Free memory before the update, or make mbedTLS's buffers smaller or external.",
        "mbedtls_ssl_handshake",
        18,
    ),
    Rule(
        "tls-other",
        "fault",
        _tls(0x2700, 0x7F00, 0x4290, 0x8017, other=True),
        "the TLS handshake failed with -0x{err:x}",
        "-0x7280: the server hung up; -0x7780: it sent an alert, of a protocol or a cipher that it does not have.",
        "mbedtls_ssl_handshake",
        18,
    ),
    Rule(
        "http-buffer",
        "fault",
        line("http_buffer"),
        "the request is longer than the HTTP client's buffer: a long address, after a redirect most often",
        "Raise buffer_size_tx of esp_http_client_config_t (512 bytes when not said), or take a shorter address.",
        "",
        18,
    ),
    Rule(
        "not-verifying",
        "fault",
        line("not_verifying", "tls_setup"),
        "the client was given nothing to verify the server by",
        "Set cert_pem or crt_bundle_attach; plain HTTP needs CONFIG_ESP_HTTPS_OTA_ALLOW_HTTP.",
        "",
        18,
    ),
    Rule(
        "http-status",
        "fault",
        line("http_status", "http_redirect", "http_authorization"),
        "the server answered the download with status {status}",
        "Ask the URL with curl from the same network; what the image is called there may have changed.",
        "",
        18,
    ),
    Rule(
        "connection",
        "fault",
        line("not_connected", "not_resolved"),
        "the server could not be reached",
        "Check name, port and network; the device needs the same DNS and no captive portal.",
        "",
        19,
    ),
    Rule(
        "connection-lost",
        "fault",
        line("lost", "incomplete", "update_stream", "rmaker_timeout", "rmaker_retries"),
        "the connection was lost before the image was whole",
        "Try again, with esp_ota_resume or a server that answers ranges; see the radio's strength.",
        "",
        19,
    ),
    Rule(
        "update-md5",
        "fault",
        line("update_md5"),
        "the image does not have the MD5 that was announced: it arrived damaged, or another one",
        "Try again; announce the MD5 of just this file.",
        "",
        19,
    ),
    Rule(
        "update-flash",
        "fault",
        line("update_flash"),
        "the flash refused a read, a write or an erase",
        "Check that the slot lies within the flash, the supply, and the flash itself.",
        "",
        19,
    ),
    Rule(
        "mqtt-budget",
        "fault",
        line("rmaker_budget"),
        "RainMaker's MQTT budget is spent: messages are dropped",
        "Report less often.",
        "",
        19,
    ),
)
