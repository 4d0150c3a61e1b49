"""Tasmota on ESP32: an app that is written by another one, its safeboot in the factory partition."""

from __future__ import annotations

from py_esp_ota.field.profiles.data.arduino import ANSWERS
from py_esp_ota.field.profiles.profile import Claim, Confirm, Guard, Mark, Profile, Rollback, Source, Table

_REPO = "arendst/Tasmota"
_SUPPORT = Source(
    _REPO,
    "3fb123109da62cbd8b4f0060a8e8c19ec8131c02",
    "tasmota/tasmota_support/support_tasmota.ino",
    "Every250mSeconds",
)
_ESP32 = Source(_REPO, "20af4658b804929a1af9bba9cac3c00282e8d79d", "tasmota/tasmota_support/support_esp32.ino")
_UPDATER = Source(_REPO, "8663a1b6ccc19a69ff62475792c942c89ebbad2d", "lib/libesp32/HttpClientLight/src/TasUpdater.cpp")
_SETUP = Source(_REPO, "3303cee705589b7286c7cd1e4c354cb269d14793", "tasmota/tasmota.ino", "setup")
_BOARD = Source(_REPO, "6b2fe8e2a3cacafcb99166835f66af24a2212cfd", "boards/esp32_4M.json", "frameworks")

PROFILE = Profile(
    name="tasmota",
    title="Tasmota",
    confirm=Confirm(
        when="at-start",
        seconds=0.0,
        text="Tasmota itself confirms nothing; the Arduino core that it is built with does, at start, where it is "
        "built with rollback",
        source=_SETUP,
        asks_state=True,
    ),
    rollback=Rollback(
        enabled=None,
        text="bootloader and libraries come with Tasmota's own build of the Arduino core, whose options are not in "
        "Tasmota's source",
        source=_BOARD,
    ),
    guard=Guard(
        does="recovery-app",
        boots=10,
        good_after_s=10.0,
        kept_in="rtc",
        crashes_only=False,
        text="restarts within 10 s of each other are counted, after any reset but deep sleep; from the second on "
        "(SetOption36) settings are reset one after another, and the tenth erases otadata, so that safeboot starts. "
        "Only a table with one OTA slot has a safeboot",
        source=_SETUP,
    ),
    updater="tasmota",
    habits=(
        Claim(
            "with one OTA slot the app does not write itself: it notes `otal` in NVS, erases otadata and restarts, and "
            "safeboot in the factory partition downloads",
            _SUPPORT,
        ),
        Claim("safeboot clears the note before it downloads: after a power cut it waits for a hand", _SUPPORT),
        Claim(
            "erases and writes a sector of 4096 bytes at a time",
            _UPDATER._replace(place="TasUpdateClass::_writeBuffer"),
        ),
        Claim(
            "keeps the first 16 bytes back and writes them last",
            _UPDATER._replace(place="TasUpdateClass::_writeBuffer"),
        ),
        Claim("`Restart 3` goes from app to safeboot and back", _ESP32._replace(place="EspPrepSwitchPartition")),
    ),
    answers=ANSWERS._replace(what="TasUpdate.getError()", source=_UPDATER._replace(place="_err2str")),
    tables=(
        Table(
            "app2880k_fs320k",
            "nvs,data,nvs,0x9000,0x5000\notadata,data,ota,0xe000,0x2000\nsafeboot,app,factory,0x10000,0xd0000\n"
            "app0,app,ota_0,0xe0000,0x2d0000\nspiffs,data,spiffs,0x3b0000,0x50000\n",
            Source(_REPO, "b0937d7cd0a186d38306989f321521e9712db803", "partitions/esp32_partition_app2880k_fs320k.csv"),
        ),
    ),
    marks=(
        Mark("OTA: Propagating upload", _SUPPORT),
        Mark("FRC: ", _SETUP),
        Mark("Project tasmota - ", _SETUP),
    ),
    shipped=(),
)
