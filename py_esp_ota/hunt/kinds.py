"""What worlds are made of: tables, chips, releases, options of a build, images. Each is made once and shared."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from py_esp_ota import firmware
from py_esp_ota._core import EFuse, PartitionTable
from py_esp_ota.firmware import Firmware
from py_esp_ota.rainmaker.features import SINCE

PROJECT: Final = "lamp"
CHIPS: Final = firmware.CHIPS

#: Releases of the agent that differ, the oldest first; earlier ones confirm nothing over MQTT.
AGENTS: Final = tuple(
    ".".join(map(str, release)) for release in sorted({release for release in SINCE.values() if release >= (1, 1, 0)})
)

_HEAD = "nvs,data,nvs,0x9000,0x4000\notadata,data,ota,0xd000,0x2000\nphy_init,data,phy,0xf000,0x1000\n"
_SMALL: Final = {
    "pair": "ota_0,app,ota_0,0x10000,0x10000\nota_1,app,ota_1,0x20000,0x10000\n",
    "home": "factory,app,factory,0x10000,0x10000\nota_0,app,ota_0,0x20000,0x10000\nota_1,app,ota_1,0x30000,0x10000\n",
    "three": "ota_0,app,ota_0,0x10000,0x10000\nota_1,app,ota_1,0x20000,0x10000\nota_2,app,ota_2,0x30000,0x10000\n",
}
#: Tables by name: small ones of our own, in a flash that is quickly looked through, and two of ESP-IDF's.
TABLES: Final = (*_SMALL, "two_ota", "two_ota_large")

#: How the cloud of this package brings out the jobs of a world: at once, to one and then to the rest until one fails,
#: to whom their users let it, or to one at a time, for all of its boards are in one Thread network.
POLICIES: Final = ("", "phases", "approval", "serialised")

#: What a build may have, by a short word: a field of ``Sdkconfig`` and its value.
OPTIONS: Final[Mapping[str, tuple[str, bool | int]]] = {
    "no-rollback": ("bootloader_app_rollback_enable", False),
    "anti-rollback": ("bootloader_app_anti_rollback", True),
    "skip-validate": ("bootloader_skip_validate_always", True),
    "pieces-16k": ("esp_rmaker_ota_http_rx_buffer_size", 0x4000),
    "no-resume": ("esp_rmaker_http_ota_resumption", False),
    "report-failed": ("esp_rmaker_ota_rollback_report_failed", True),
    "progress": ("esp_rmaker_ota_progress_support", True),
    "asks-hourly": ("esp_rmaker_ota_autofetch_period", 1),
    "waits-30s": ("esp_rmaker_ota_rollback_wait_period", 30),
    "one-attempt": ("esp_rmaker_ota_max_retries", 1),
    "retries-soon": ("esp_rmaker_ota_retry_delay_minutes", 1),
    "no-time": ("esp_rmaker_ota_time_support", False),
    "no-budget": ("esp_rmaker_mqtt_enable_budgeting", False),
    "over-mqtt": ("esp_rmaker_ota_use_mqtt", True),
    "any-version": ("esp_rmaker_skip_version_check", True),
}


@cache
def table(name: str) -> PartitionTable:
    """A table of ``TABLES``."""
    return PartitionTable.from_csv(_HEAD + _SMALL[name]) if name in _SMALL else PartitionTable.builtin(name)


@cache
def forged(chip: str, version: int, secure_version: int, size: int) -> bytes:
    """A sound app image."""
    made = Firmware(PROJECT, f"{version}.0.0", chip=chip, size=size, secure_version=secure_version)
    return made.to_bytes()


@cache
def damaged(image: bytes) -> bytes:
    """An image with one wrong bit, in the middle of its last segment."""
    at = len(image) // 2
    return image[:at] + bytes([image[at] ^ 1]) + image[at + 1 :]


def fuses(chip: str, secure_version: int, *, encrypted: bool) -> EFuse:
    """The eFuses of a board, with flash encryption as a factory sets it up."""
    made = EFuse(chip, secure_version=secure_version)
    if encrypted:
        made.burn_flash_encryption_key(bytes(range(32)))
        made.burn_flash_crypt_cnt()
        if chip == "esp32":
            made.burn_flash_crypt_config(0xF)
    return made
