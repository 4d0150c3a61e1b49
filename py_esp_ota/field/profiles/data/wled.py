"""WLED: an Arduino sketch with a watch over crashes, and a check of the release name before it takes an update."""

from __future__ import annotations

from py_esp_ota.field.profiles.data.arduino import ANSWERS, HABITS
from py_esp_ota.field.profiles.profile import Claim, Confirm, Guard, Mark, Profile, Rollback, Source, Table

_REPO, _REVISION = "wled/WLED", "6d16dc22e440c848da2f97360a5e27a6457b9640"
_OTA = Source(_REPO, _REVISION, "wled00/ota_update.cpp")
_LOOP = Source(_REPO, _REVISION, "wled00/util.cpp", "handleBootLoop")
_PLATFORM = Source(_REPO, _REVISION, "platformio.ini", "platform")

PROFILE = Profile(
    name="wled",
    title="WLED",
    confirm=Confirm(
        when="at-start",
        seconds=0.0,
        text="the Arduino core confirms before setup(), as WLED has no verifyRollbackLater() of its own; "
        "markOTAvalid() at the end of setup() finds nothing left to confirm",
        source=_OTA._replace(place="markOTAvalid"),
        asks_state=True,
    ),
    rollback=Rollback(
        enabled=None,
        text="bootloader and libraries come with the Arduino core of Tasmota's PlatformIO platform, whose build "
        "options are not in WLED's source",
        source=_PLATFORM,
    ),
    guard=Guard(
        does="other-slot",
        boots=6,
        good_after_s=120.0,
        kept_in="rtc",
        crashes_only=True,
        text="five crashes, each within 120 s of the start before, and handleBootLoop() chooses the other slot when "
        "the power has been there since the update; after a power cut it restores the configuration first, and "
        "erases it next. What crashes before setup() has the file system is never counted",
        source=_LOOP,
    ),
    updater="wled",
    habits=(
        Claim(
            "gives Update.begin() the length of the request, which is longer than the image",
            _OTA._replace(place="beginOTA"),
        ),
        Claim(
            "refuses an image whose release name is another one, or that has none, unless told to ignore it",
            _OTA._replace(place="validateOTA"),
        ),
        Claim("copies its configuration before an update", _OTA._replace(place="beginOTA")),
        *HABITS,
    ),
    answers=ANSWERS,
    tables=(
        Table(
            "4MB_1MB_FS",
            "nvs,data,nvs,0x9000,0x5000\notadata,data,ota,0xe000,0x2000\napp0,app,ota_0,0x10000,0x180000\n"
            "app1,app,ota_1,0x190000,0x180000\nspiffs,data,spiffs,0x310000,0xf0000\n",
            Source(_REPO, _REVISION, "tools/WLED_ESP32_4MB_1MB_FS.csv"),
        ),
        Table(
            "8MB",
            "nvs,data,nvs,0x9000,0x5000\notadata,data,ota,0xe000,0x2000\napp0,app,ota_0,0x10000,0x200000\n"
            "app1,app,ota_1,0x210000,0x200000\nspiffs,data,spiffs,0x410000,0x3e0000\ncoredump,data,coredump,,64K\n",
            Source(_REPO, _REVISION, "tools/WLED_ESP32_8MB.csv"),
        ),
        Table(
            "16MB",
            "nvs,data,nvs,0x9000,0x5000\notadata,data,ota,0xe000,0x2000\napp0,app,ota_0,0x10000,0x200000\n"
            "app1,app,ota_1,0x210000,0x200000\nspiffs,data,spiffs,0x410000,0xbe0000\n",
            Source(_REPO, _REVISION, "tools/WLED_ESP32_16MB.csv"),
        ),
    ),
    marks=(
        Mark("---WLED ", Source(_REPO, _REVISION, "wled00/wled.cpp", "WLED::setup")),
        Mark("!BOOTLOOP DETECTED!", _LOOP._replace(place="detectBootLoop")),
    ),
    shipped=(),
)
