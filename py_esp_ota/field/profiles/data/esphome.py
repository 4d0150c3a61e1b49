"""ESPHome: its component ``safe_mode``, its OTA backend for ESP-IDF, and the protocol of ``esphome upload``."""

from __future__ import annotations

from py_esp_ota.field.profiles.profile import (
    Answer,
    Answers,
    Claim,
    Confirm,
    Guard,
    Mark,
    Profile,
    Rollback,
    Source,
    Table,
)

_SAFE_MODE = Source("esphome (PyPI)", "2026.6.5", "esphome/components/safe_mode/safe_mode.cpp")
_SCHEMA = Source("esphome (PyPI)", "2026.6.5", "esphome/components/safe_mode/__init__.py", "CONFIG_SCHEMA")
_BACKEND = Source("esphome (PyPI)", "2026.6.5", "esphome/components/ota/ota_backend_esp_idf.cpp", "IDFOTABackend")
_PROTOCOL = Source("esphome (PyPI)", "2026.6.5", "esphome/components/esphome/ota/ota_esphome.cpp", "handle_data_")
_ESP32 = Source("esphome (PyPI)", "2026.6.5", "esphome/components/esp32/__init__.py")

ANSWERS = Answers(
    "the byte that the device sends back to `esphome upload`",
    Source("esphome (PyPI)", "2026.6.5", "esphome/components/ota/ota_backend.h", "OTAResponseTypes"),
    (
        Answer(0x00, "OTA_RESPONSE_OK", "no error"),
        Answer(0x80, "OTA_RESPONSE_ERROR_MAGIC", "the first byte is no image's"),
        Answer(0x81, "OTA_RESPONSE_ERROR_UPDATE_PREPARE", "the flash could not be made ready"),
        Answer(0x82, "OTA_RESPONSE_ERROR_AUTH_INVALID", "the password is another one"),
        Answer(0x83, "OTA_RESPONSE_ERROR_WRITING_FLASH", "the flash could not be written"),
        Answer(0x84, "OTA_RESPONSE_ERROR_UPDATE_END", "the finished image was refused"),
        Answer(0x89, "OTA_RESPONSE_ERROR_ESP32_NOT_ENOUGH_SPACE", "the OTA partition is too small"),
        Answer(0x8A, "OTA_RESPONSE_ERROR_NO_UPDATE_PARTITION", "there is no OTA partition to write to"),
        Answer(0x8B, "OTA_RESPONSE_ERROR_MD5_MISMATCH", "what arrived is not what was sent"),
        Answer(0x8D, "OTA_RESPONSE_ERROR_SIGNATURE_INVALID", "the signature was refused"),
        Answer(0x8E, "OTA_RESPONSE_ERROR_UNSUPPORTED_OTA_TYPE", "this build takes apps alone"),
        Answer(0x8F, "OTA_RESPONSE_ERROR_PARTITION_TABLE_VERIFY", "the partition table was refused"),
        Answer(0x90, "OTA_RESPONSE_ERROR_PARTITION_TABLE_UPDATE", "the partition table was not written whole"),
        Answer(0x91, "OTA_RESPONSE_ERROR_BOOTLOADER_VERIFY", "the bootloader was refused"),
        Answer(0x92, "OTA_RESPONSE_ERROR_BOOTLOADER_UPDATE", "the bootloader was not written whole"),
        Answer(0xFF, "OTA_RESPONSE_ERROR_UNKNOWN", "any other error"),
    ),
)


def _table(name: str, slot: int, nvs: int, nvs_offset: int) -> Table:
    """What ``get_partition_csv`` makes with framework esp-idf and no partitions of the user's own."""
    csv = (
        "otadata,data,ota,0x9000,0x2000\nphy_init,data,phy,0xb000,0x1000\n"
        f"app0,app,ota_0,0x10000,0x{slot:x}\napp1,app,ota_1,0x{0x10000 + slot:x},0x{slot:x}\n"
        f"nvs,data,nvs,0x{nvs_offset:x},0x{nvs:x}\n"
    )
    return Table(name, csv, _ESP32._replace(place="get_partition_csv"))


PROFILE = Profile(
    name="esphome",
    title="ESPHome",
    confirm=Confirm(
        when="after-seconds",
        seconds=60.0,
        text="safe_mode confirms a new app when it has run for boot_is_good_after, 1min when not given; so does the "
        "action safe_mode.mark_successful, and the beginning of the next update",
        source=_SCHEMA._replace(path=_SAFE_MODE.path, place="SafeModeComponent::mark_successful"),
        asks_state=False,
    ),
    rollback=Rollback(
        enabled=True,
        text="enable_ota_rollback is on when not given, where ota and safe_mode are both in the configuration; a board "
        "keeps the bootloader it was flashed with, unless allow_partition_access takes one, and says of it "
        "`Bootloader rollback: supported` on the first start after an update, `not supported` when it has none",
        source=_ESP32._replace(place="CONF_ENABLE_OTA_ROLLBACK"),
    ),
    guard=Guard(
        does="safe-mode",
        boots=11,
        good_after_s=60.0,
        kept_in="nvs",
        crashes_only=False,
        text="num_attempts, 10 when not given, counts starts that ended before boot_is_good_after, in NVS, whatever "
        "reset them; the start after the last starts logger, network and OTA alone, for reboot_timeout, 5min when not "
        "given",
        source=_SAFE_MODE._replace(place="should_enter_safe_mode"),
    ),
    updater="esphome",
    habits=(
        Claim("confirms the running app when an update begins", _BACKEND._replace(place="IDFOTABackend::begin")),
        Claim("erases all that the image needs at once, in esp_ota_begin", _BACKEND._replace(place="begin")),
        Claim(
            "writes what it has read from the socket, 1024 bytes at most", _PROTOCOL._replace(place="OTA_BUFFER_SIZE")
        ),
        Claim("acknowledges 8192 bytes at a time", _PROTOCOL._replace(place="OTA_BLOCK_SIZE")),
        Claim("sets the count of bad starts to 0 before it restarts", _SAFE_MODE._replace(place="on_safe_shutdown")),
    ),
    answers=ANSWERS,
    tables=(
        _table("esp-idf 4MB", 0x1C0000, 0x70000, 0x390000),
        _table("esp-idf 8MB", 0x3C0000, 0x70000, 0x790000),
        _table("esp-idf 16MB", 0x7C0000, 0x70000, 0xF90000),
    ),
    marks=(
        Mark("Boot seems successful; resetting boot loop counter", _SAFE_MODE._replace(place="loop")),
        Mark("Bootloader rollback:", _SAFE_MODE._replace(place="dump_config")),
        Mark("Unsuccessful boot attempts:", _SAFE_MODE._replace(place="should_enter_safe_mode")),
        Mark("OTA rollback detected! Rolled back from partition", _SAFE_MODE._replace(place="dump_config")),
        Mark("SAFE MODE IS ACTIVE", _SAFE_MODE._replace(place="should_enter_safe_mode")),
        Mark("Last reset too quick; invoke in", _SAFE_MODE._replace(place="dump_config")),
    ),
    shipped=(),
)
