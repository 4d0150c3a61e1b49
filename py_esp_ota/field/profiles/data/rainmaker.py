"""ESP RainMaker's agent: what ``esp_rmaker_ota.c`` does with a new app."""

from __future__ import annotations

from py_esp_ota.field.profiles.profile import Answer, Answers, Claim, Confirm, Mark, Profile, Rollback, Source, Table

_REPO, _REVISION = "espressif/esp-rainmaker", "01e392890ddf4a9c265a2c79fc944e635c5f9428"
_OTA = Source(_REPO, _REVISION, "components/esp_rainmaker/src/ota/esp_rmaker_ota.c")
_KCONFIG = Source(_REPO, _REVISION, "components/esp_rainmaker/Kconfig.projbuild", "ESP_RMAKER_OTA_ROLLBACK_WAIT_PERIOD")

PROFILE = Profile(
    name="rainmaker",
    title="ESP RainMaker",
    confirm=Confirm(
        when="when-connected",
        seconds=5.0,
        text="the agent confirms when MQTT is connected, after the program's own self-test where there is one; without "
        "a connection in ESP_RMAKER_OTA_ROLLBACK_WAIT_PERIOD, 90 s when not given, the app rejects itself",
        source=_OTA._replace(place="esp_rmaker_ota_mark_valid"),
        asks_state=True,
        gives_up_s=90.0,
    ),
    rollback=Rollback(
        enabled=True,
        text="the examples' sdkconfig.defaults have it",
        source=Source(_REPO, _REVISION, "examples/switch/sdkconfig.defaults", "CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE"),
    ),
    guard=None,
    updater="rainmaker",
    habits=(
        Claim("downloads by esp_https_ota, and looks at project name, version and secure version first", _OTA),
        Claim("waits 90 s, from 30 to 600, for MQTT before it gives a new app up", _KCONFIG),
        Claim("the job is in NVS until its success is reported", _OTA._replace(place="esp_rmaker_ota_mark_valid")),
    ),
    answers=Answers(
        "ota_status_t, as node/<id>/otastatus reports it",
        Source(_REPO, _REVISION, "components/esp_rainmaker/include/esp_rmaker_ota.h", "ota_status_t"),
        (
            Answer(1, "OTA_STATUS_IN_PROGRESS", "in-progress"),
            Answer(2, "OTA_STATUS_SUCCESS", "success"),
            Answer(3, "OTA_STATUS_FAILED", "failed"),
            Answer(4, "OTA_STATUS_DELAYED", "delayed"),
            Answer(5, "OTA_STATUS_REJECTED", "rejected"),
        ),
    ),
    tables=(
        Table(
            "4mb_optimised",
            "esp_secure_cert,0x3F,,0xD000,0x2000,encrypted\nnvs_key,data,nvs_keys,0xF000,0x1000,encrypted\n"
            "nvs,data,nvs,0x10000,0x6000\notadata,data,ota,,0x2000\nphy_init,data,phy,,0x1000\n"
            "ota_0,app,ota_0,0x20000,0x1E0000\nota_1,app,ota_1,0x200000,0x1E0000\nreserved,0x06,,0x3E0000,0x1A000\n"
            "fctry,data,nvs,0x3FA000,0x6000\n",
            Source(_REPO, _REVISION, "examples/switch/partitions_4mb_optimised.csv"),
        ),
        Table(
            "4mb",
            "esp_secure_cert,0x3F,,0xD000,0x2000,encrypted\nnvs_key,data,nvs_keys,0xF000,0x1000,encrypted\n"
            "nvs,data,nvs,0x10000,0x6000\notadata,data,ota,,0x2000\nphy_init,data,phy,,0x1000\n"
            "ota_0,app,ota_0,0x20000,1600K\nota_1,app,ota_1,,1600K\nfctry,data,nvs,0x340000,0x6000\n",
            Source(_REPO, _REVISION, "examples/switch/partitions.csv"),
        ),
    ),
    marks=(
        Mark("esp_rmaker_", Source(_REPO, _REVISION, "components/esp_rainmaker/src/core/esp_rmaker_core.c", "TAG")),
    ),
    shipped=(),
)
