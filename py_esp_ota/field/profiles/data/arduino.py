"""Arduino core for ESP32: ``initArduino`` and the library ``Update``."""

from __future__ import annotations

from py_esp_ota.field.profiles.profile import (
    Answer,
    Answers,
    Claim,
    Confirm,
    Mark,
    Profile,
    Rollback,
    Shipped,
    Source,
    Table,
)

_CORE = "espressif/arduino-esp32"
_UPDATE = Source(
    _CORE, "0166ae3b48769a3b0fb80535b79f6dbefd145170", "libraries/Update/src/Updater.cpp", "UpdateClass::_writeBuffer"
)
_INIT = Source(_CORE, "8edd52997986dbefce98b013383fb08f9eeca83f", "cores/esp32/esp32-hal-misc.c", "initArduino")
_LIBS = Source(
    "espressif/esp32-arduino-lib-builder",
    "06a96ee92ce26b4b02a4c82eb0cd6fc4cf55a663",
    "configs/defconfig.common",
    "CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE",
)


def _at(place: str) -> Source:
    return _UPDATE._replace(place=place)


#: ``_err2str``, and the numbers of Update.h; also of Tasmota's copy and of whatever else is built on ``Update``.
ANSWERS = Answers(
    "Update.getError()",
    _at("_err2str"),
    (
        Answer(0, "UPDATE_ERROR_OK", "No Error"),
        Answer(1, "UPDATE_ERROR_WRITE", "Flash Write Failed"),
        Answer(2, "UPDATE_ERROR_ERASE", "Flash Erase Failed"),
        Answer(3, "UPDATE_ERROR_READ", "Flash Read Failed"),
        Answer(4, "UPDATE_ERROR_SPACE", "Not Enough Space"),
        Answer(5, "UPDATE_ERROR_SIZE", "Bad Size Given"),
        Answer(6, "UPDATE_ERROR_STREAM", "Stream Read Timeout"),
        Answer(7, "UPDATE_ERROR_MD5", "MD5 Check Failed"),
        Answer(8, "UPDATE_ERROR_MAGIC_BYTE", "Wrong Magic Byte"),
        Answer(9, "UPDATE_ERROR_ACTIVATE", "Could Not Activate The Firmware"),
        Answer(10, "UPDATE_ERROR_NO_PARTITION", "Partition Could Not be Found"),
        Answer(11, "UPDATE_ERROR_BAD_ARGUMENT", "Bad Argument"),
        Answer(12, "UPDATE_ERROR_ABORT", "Aborted"),
        Answer(13, "UPDATE_ERROR_DECRYPT", "Decryption error"),
    ),
)

HABITS = (
    Claim("keeps the first 16 bytes back and writes them last, in end()", _at("UpdateClass::_writeBuffer")),
    Claim(
        "erases a 64 KiB block at a time where it can, a sector at the slot's ends", _at("UpdateClass::_writeBuffer")
    ),
    Claim("does not program a buffer of 4096 bytes that is all FF", _at("UpdateClass::_chkDataInBlock")),
    Claim("looks at nothing of the image but its first byte until esp_ota_set_boot_partition", _at("_verifyEnd")),
    Claim(
        "canRollBack() asks for the magic byte of the other slot, no more; rollBack() chooses it",
        _at("UpdateClass::rollBack"),
    ),
)

_TABLES = "tools/partitions/"

PROFILE = Profile(
    name="arduino",
    title="Arduino core for ESP32",
    confirm=Confirm(
        when="at-start",
        seconds=0.0,
        text="initArduino() confirms a new app before setup() runs, unless the sketch has its own verifyOta() that "
        'says no, or extern "C" bool verifyRollbackLater() that says yes; without extern "C" that function is another '
        "one, and nothing tells",
        source=_INIT,
        asks_state=True,
    ),
    rollback=Rollback(
        enabled=True,
        text="the core's bootloader and libraries are built with rollback; a board keeps the bootloader it was flashed "
        "with, as no update over the air brings one, and an older core's may be without",
        source=_LIBS,
    ),
    guard=None,
    updater="arduino",
    habits=HABITS,
    answers=ANSWERS,
    tables=(
        Table(
            "default",
            "nvs,data,nvs,0x9000,0x5000\notadata,data,ota,0xe000,0x2000\napp0,app,ota_0,0x10000,0x140000\n"
            "app1,app,ota_1,0x150000,0x140000\nspiffs,data,spiffs,0x290000,0x160000\ncoredump,data,coredump,0x3f0000,0x10000\n",
            Source(_CORE, "acf6c7b9c2bb60dc336ca310ce8547654e5629ee", _TABLES + "default.csv"),
        ),
        Table(
            "min_spiffs",
            "nvs,data,nvs,0x9000,0x5000\notadata,data,ota,0xe000,0x2000\napp0,app,ota_0,0x10000,0x1e0000\n"
            "app1,app,ota_1,0x1f0000,0x1e0000\nspiffs,data,spiffs,0x3d0000,0x30000\n",
            Source(_CORE, "387773f1e9a2fa7f02602aee57411470f333a26e", _TABLES + "min_spiffs.csv"),
        ),
        Table(
            "huge_app",
            "nvs,data,nvs,0x9000,0x5000\notadata,data,ota,0xe000,0x2000\napp0,app,ota_0,0x10000,0x300000\n"
            "spiffs,data,spiffs,0x310000,0xe0000\ncoredump,data,coredump,0x3f0000,0x10000\n",
            Source(_CORE, "0982989f2c215298084b6fa3aae05d6aadab66a8", _TABLES + "huge_app.csv"),
        ),
        Table(
            "default_8MB",
            "nvs,data,nvs,0x9000,0x5000\notadata,data,ota,0xe000,0x2000\napp0,app,ota_0,0x10000,0x330000\n"
            "app1,app,ota_1,0x340000,0x330000\nspiffs,data,spiffs,0x670000,0x180000\n"
            "coredump,data,coredump,0x7f0000,0x10000\n",
            Source(_CORE, "8de5fc2aec352eb93f72b5eb66d3bbbd6fe49eff", _TABLES + "default_8MB.csv"),
        ),
    ),
    marks=(
        Mark(
            "arduino-lib-builder",
            _LIBS._replace(revision="01a9e3984360f44087f599c5df8168bbe69d83aa", path="CMakeLists.txt", place="project"),
        ),
        Mark("OTA verification failed! Start rollback to the previous version", _INIT),
    ),
    shipped=(
        Shipped(
            "esplink",
            "3.1.0",
            "esplink/firmware/bridge.esp32.huge_app.bin",
            "e65a5955747ab4e6fa8c6437ddcb3fe72bd7b319c03b4db39ceb41556d28173a",
            "project arduino-lib-builder, table huge_app; its bootloader, run as machine code, rolls back",
            python="3.13",
        ),
    ),
)
