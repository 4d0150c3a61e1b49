"""A build that fails each good update on purpose (``ESP_RMAKER_OTA_TEST_ROLLBACK``), so that the cloud serves it again.

It stands for what components/esp_rainmaker/src/ota/esp_rmaker_ota.c has under that option. How often a job has come is
kept in NVS, where the cleaning after each rollback does not reach.
"""

from __future__ import annotations

from py_esp_ota.rainmaker.ota_handle import (
    RMAKER_OTA_FAIL_JOB_ID_NVS_NAME,
    RMAKER_OTA_FAIL_REASON_NVS_NAME,
    RMAKER_OTA_JOB_ID_NVS_NAME,
    RMAKER_OTA_UPDATE_FLAG_NVS_NAME,
    OtaHandle,
)

RMAKER_OTA_TEST_CNT_NVS_NAME = "ota_test_cnt"  # u32
RMAKER_OTA_TEST_JID_NVS_NAME = "ota_test_jid"  # blob
_JOB_ID = 63  # a buffer of 64 with its NUL
_INFO = 79  # of 80

FORGOTTEN = (
    RMAKER_OTA_UPDATE_FLAG_NVS_NAME,
    RMAKER_OTA_JOB_ID_NVS_NAME,
    RMAKER_OTA_FAIL_REASON_NVS_NAME,
    RMAKER_OTA_FAIL_JOB_ID_NVS_NAME,
)
"""What the old firmware must not find, in this order."""

BANNER = (
    "*** TEST ROLLBACK MODE ENABLED ***",
    "*** This firmware was built with CONFIG_ESP_RMAKER_OTA_TEST_ROLLBACK. ***",
    "*** It will report FAILED and roll back even on a successful OTA, ***",
    "*** so the same job is re-served and the OTA cycle repeats. ***",
    "*** Do NOT ship a firmware that has this option enabled. ***",
)


def advance_cycle(handle: OtaHandle) -> int:
    """``esp_rmaker_ota_test_advance_cycle``: which cycle of its job this is, from 1; remembered for the next one."""
    current, last = (_job_id(handle, key) for key in (RMAKER_OTA_JOB_ID_NVS_NAME, RMAKER_OTA_TEST_JID_NVS_NAME))
    count = handle.nvs_get(RMAKER_OTA_TEST_CNT_NVS_NAME)
    same = bool(last) and current == last
    cycle = (count + 1 if isinstance(count, int) and same else 1) & 0xFFFFFFFF
    handle.nvs_set(RMAKER_OTA_TEST_CNT_NVS_NAME, cycle)
    if current is not None:
        handle.nvs_set(RMAKER_OTA_TEST_JID_NVS_NAME, current)
    return cycle


def clear_cycle_state(handle: OtaHandle) -> None:
    """``esp_rmaker_ota_test_clear_cycle_state``."""
    handle.nvs_erase(RMAKER_OTA_TEST_CNT_NVS_NAME, RMAKER_OTA_TEST_JID_NVS_NAME)


def is_last(cycle: int, limit: int) -> bool:
    """Whether the run ends here; a limit of 0 is none."""
    return limit != 0 and cycle >= limit


def info(cycle: int, limit: int) -> str:
    """What is reported of a cycle."""
    if is_last(cycle, limit):
        text = f"TEST_ROLLBACK_END: {cycle}/{limit} cycles complete; marking valid"
    else:
        of = f"{cycle}/{limit}" if limit else f"{cycle}, indefinite"
        text = f"TEST_ROLLBACK: forced failure to re-trigger OTA (cycle {of})"
    return text[:_INFO]


def _job_id(handle: OtaHandle, key: str) -> bytes | None:
    """A blob as far as its first NUL; ``None`` also for one that the buffer does not hold."""
    stored = handle.nvs_get(key)
    return stored.split(b"\0", 1)[0] if isinstance(stored, bytes) and len(stored) <= _JOB_ID else None
