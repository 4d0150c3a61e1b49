"""ESP-IDF's own ``native_ota_example``: what a project begins with that begins with ESP-IDF."""

from __future__ import annotations

from py_esp_ota.field.profiles.profile import Answer, Answers, Claim, Confirm, Mark, Profile, Rollback, Source, Table

_REPO, _REVISION = "espressif/esp-idf", "102122904ade11fd1ae373848f34ffd7dfb18aeb"
_EXAMPLE = Source(_REPO, _REVISION, "examples/system/ota/native_ota_example/main/native_ota_example.c")
_OPS = Source(_REPO, _REVISION, "components/app_update/include/esp_ota_ops.h")

PROFILE = Profile(
    name="idf-example",
    title="ESP-IDF's native_ota_example",
    confirm=Confirm(
        when="self-test",
        seconds=5.0,
        text="app_main reads a pin 5 s after the start: high confirms the app, low rejects it",
        source=_EXAMPLE._replace(place="diagnostic"),
        asks_state=True,
    ),
    rollback=Rollback(
        enabled=False,
        text="sdkconfig.defaults does not have it, and ESP-IDF's default is no: the state of an app is UNDEFINED, and "
        "nothing is ever confirmed or rolled back",
        source=Source(
            _REPO,
            _REVISION,
            "examples/system/ota/native_ota_example/sdkconfig.defaults",
            "CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE",
        ),
    ),
    guard=None,
    updater="idf-example",
    habits=(
        Claim(
            "erases a sector when it comes to it (OTA_WITH_SEQUENTIAL_WRITES)",
            _EXAMPLE._replace(place="ota_example_task"),
        ),
        Claim("writes what it has read from the socket, 1024 bytes at most", _EXAMPLE._replace(place="BUFFSIZE")),
        Claim(
            "does not take the version that it has itself, nor the one that was rejected last",
            _EXAMPLE._replace(place="ota_example_task"),
        ),
    ),
    answers=Answers(
        "esp_err_t",
        _OPS,
        (
            Answer(0, "ESP_OK", "no error"),
            Answer(0x102, "ESP_ERR_INVALID_ARG", "esp_ota_begin: no OTA slot"),
            Answer(0x104, "ESP_ERR_INVALID_SIZE", "esp_ota_write: the slot is full"),
            Answer(0x1501, "ESP_ERR_OTA_PARTITION_CONFLICT", "esp_ota_begin: the slot runs"),
            Answer(0x1503, "ESP_ERR_OTA_VALIDATE_FAILED", "esp_ota_end: the image is refused"),
            Answer(0x1506, "ESP_ERR_OTA_ROLLBACK_INVALID_STATE", "esp_ota_begin: the running app is not confirmed"),
        ),
    ),
    tables=(
        Table(
            "two_ota",
            "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,0xd000,0x2000\nphy_init,data,phy,0xf000,0x1000\n"
            "factory,app,factory,0x10000,1M\nota_0,app,ota_0,0x110000,1M\nota_1,app,ota_1,0x210000,1M\n",
            Source(_REPO, _REVISION, "components/partition_table/partitions_two_ota.csv"),
        ),
    ),
    marks=(Mark("native_ota_example:", _EXAMPLE._replace(place="TAG")),),
    shipped=(),
)
