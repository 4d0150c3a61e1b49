"""Build options as one value: Kconfig names without ``CONFIG_``, Kconfig defaults.

Two devices with different bootloaders live in one process because nothing here is global.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Sdkconfig:
    """The options of one firmware build and of the bootloader it was flashed with.

    Field names are Kconfig's, in lower case. The defaults are those of ESP-IDF and of the RainMaker examples, which
    differ from bare ESP-IDF in one point: ``bootloader_app_rollback_enable`` is on.
    """

    # ESP-IDF: components/bootloader/Kconfig.*, components/partition_table/Kconfig.projbuild
    bootloader_app_rollback_enable: bool = True
    partition_table_offset: int = 0x8000
    partition_table_md5: bool = True

    # ESP-IDF: components/esp_https_ota/Kconfig, components/esp_http_client/Kconfig
    esp_https_ota_allow_http: bool = False

    # ESP RainMaker: components/esp_rainmaker/Kconfig.projbuild
    esp_rmaker_ota_autofetch: bool = True
    esp_rmaker_ota_autofetch_period: int = 0  # hours, 0 = off
    esp_rmaker_skip_version_check: bool = False
    esp_rmaker_skip_project_name_check: bool = False
    esp_rmaker_skip_secure_version_check: bool = False
    esp_rmaker_ota_rollback_wait_period: int = 90  # seconds
    esp_rmaker_ota_rollback_report_failed: bool = False
    esp_rmaker_ota_disable_auto_reboot: bool = False
    esp_rmaker_ota_time_support: bool = True
    esp_rmaker_ota_progress_support: bool = False
    esp_rmaker_ota_progress_interval: int = 10  # per cent
    esp_rmaker_ota_max_retries: int = 3  # total attempts
    esp_rmaker_ota_retry_delay_minutes: int = 5
    esp_rmaker_ota_http_rx_buffer_size: int = 1024
    esp_rmaker_mqtt_use_basic_ingest_topics: bool = True
    esp_rmaker_mqtt_enable_budgeting: bool = True
    esp_rmaker_mqtt_default_budget: int = 100
    esp_rmaker_mqtt_max_budget: int = 1024
    esp_rmaker_mqtt_budget_revive_period: int = 5  # seconds
    esp_rmaker_mqtt_budget_revive_count: int = 1
    esp_rmaker_def_timezone: str = "Asia/Shanghai"
