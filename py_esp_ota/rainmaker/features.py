"""What the agent does differently from one release of RainMaker to another: one table, read in one place.

``Sdkconfig.rainmaker_version`` says which release of the component ``esp_rainmaker`` an app was built with. Before its
first one, of March 2023, a year and a month stand for it: ``(0, 2021, 10)``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from py_esp_ota.sdkconfig import Sdkconfig

Version = tuple[int, int, int]

#: The first release that has a feature, or the month of its commit where no release had a number yet.
SINCE: Mapping[str, Version] = {
    "rejects": (0, 2022, 4),
    "has_defaults": (0, 2022, 5),
    "confirms_over_mqtt": (0, 2022, 6),
    "hands_on_metadata": (0, 2022, 7),
    "posts_events": (0, 2022, 8),
    "asks_twice": (0, 2022, 9),
    "waits_to_ask": (0, 2022, 10),
    "hands_on_version": (0, 2022, 10),
    "rejects_chip": (0, 2023, 1),
    "polls_commands": (1, 1, 0),
    "forgets_flag": (1, 5, 1),
    "attempts": (1, 6, 0),
    "watches_fetch": (1, 6, 0),
    "hands_on_md5": (1, 7, 2),
    "tells_network": (1, 7, 4),
    "keeps_kib": (1, 12, 7),
    "back_off_grows": (1, 12, 9),
    "asks_by_bitmap": (1, 15, 0),
}

#: The first release that has an option, and what a build is like before.
_OPTIONS: Mapping[str, tuple[Version, bool]] = {
    "esp_rmaker_ota_time_support": ((0, 2022, 10), False),
    "esp_rmaker_ota_disable_auto_reboot": ((0, 2022, 10), False),
    "esp_rmaker_mqtt_use_basic_ingest_topics": ((0, 2022, 11), False),
    "esp_rmaker_mqtt_enable_budgeting": ((0, 2022, 11), False),
    "esp_rmaker_skip_secure_version_check": ((0, 2022, 12), True),
    "esp_rmaker_ota_progress_support": ((1, 5, 6), False),
    "esp_rmaker_ota_use_mqtt": ((1, 6, 4), False),
    "esp_rmaker_http_ota_resumption": ((1, 7, 2), False),
    "esp_rmaker_ota_rollback_report_failed": ((1, 9, 0), False),
    "esp_rmaker_ota_test_rollback": ((1, 15, 0), False),
}


@dataclass(frozen=True, slots=True)
class RmakerFeatures:
    """What one release has."""

    rejects: bool  # the status rejected, and the project is looked at before the version
    has_defaults: bool  # OTA can be enabled without a config
    confirms_over_mqtt: bool  # a new firmware is confirmed once it has MQTT, and says so; the job id is kept in NVS
    hands_on_metadata: bool  # metadata of the message reaches the callback
    posts_events: bool  # RMAKER_OTA_EVENT
    asks_twice: bool  # the self-test answers in three ways and is asked again; no report goes out without a job id
    waits_to_ask: bool  # five seconds before each question
    hands_on_version: bool  # fw_version of the message reaches the callback
    rejects_chip: bool  # a wrong chip is a rejection
    polls_commands: bool  # each connection begins with the question for commands that wait
    forgets_flag: bool  # confirming erases ota_update; before, the second boot takes itself for rolled back
    attempts: bool  # three of them with numbers in their texts, and ts in the status
    watches_fetch: bool  # the PUBACK of a question, with a back-off
    hands_on_md5: bool  # file_md5 of the message reaches the callback
    tells_network: bool  # the Thread network is an attribute, and in each question and report of OTA
    keeps_kib: bool  # what resumption keeps is in KiB; before, bytes under another key
    back_off_grows: bool  # and the period is not cut off at 32 bits
    asks_by_bitmap: (
        bool  # for the blocks of a stream; an attempt waits for MQTT, ends with it, and may go on after a reset
    )


@lru_cache
def rmaker_features(version: Version) -> RmakerFeatures:
    """The features of one release."""
    return RmakerFeatures(**{name: version >= first for name, first in SINCE.items()})


@lru_cache
def as_built(config: Sdkconfig) -> Sdkconfig:
    """The options as a build of ``config.rainmaker_version`` has them: one that is not there yet changes nothing."""
    absent: dict[str, Any] = {name: off for name, (first, off) in _OPTIONS.items() if config.rainmaker_version < first}
    return replace(config, **absent) if absent else config
