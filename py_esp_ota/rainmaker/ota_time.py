"""When an image may be downloaded: validity and download window of an ``otaurl`` message, decided without a clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from py_esp_ota.rainmaker.json_text import JsonValue, parse
from py_esp_ota.rainmaker.messages import OtaStatus

CLOCK_IS_SET_AFTER = 1546300800  # 2019-01-01: a clock below was never synchronised
OTA_FETCH_RETRY_DELAY_S = 30
OTA_DELAY_TIME_BUFFER_S = 5
MINUTES_IN_DAY = 24 * 60
NOT_SET = -1


@dataclass(frozen=True, slots=True)
class TimeInfo:
    """The numbers of a metadata object; -1 stands for a missing one, and so also for a given -1."""

    window_start: int = NOT_SET
    window_end: int = NOT_SET
    valid_from: int = NOT_SET
    valid_until: int = NOT_SET


@dataclass(frozen=True, slots=True)
class TimeDecision:
    """Go on, or report ``status`` with ``info`` and perhaps ask again after ``refetch_after`` seconds."""

    status: OtaStatus | None = None
    info: str = ""
    refetch_after: int | None = None

    @property
    def go(self) -> bool:
        """Whether the update may start now."""
        return self.status is None


def read_metadata(metadata: str) -> TimeInfo | None:
    """The time part of a metadata object; ``None`` when there is none, or no JSON."""
    try:
        root = parse(metadata.encode("utf-8", "surrogateescape"))
    except ValueError:
        return None
    window, validity = root.get_object("download_window"), root.get_object("validity")
    if window is None and validity is None:
        return None
    return TimeInfo(
        _number(window, "start"), _number(window, "end"), _number(validity, "start"), _number(validity, "end")
    )


def _number(holder: JsonValue | None, name: str) -> int:
    value = None if holder is None else holder.get_int(name)
    return NOT_SET if value is None else value


def handle_time(info: TimeInfo | None, now: int, local_minute: int) -> TimeDecision:
    """``esp_rmaker_ota_handle_time`` (components/esp_rainmaker/src/ota/esp_rmaker_ota.c).

    Args:
        info: What the message says about time; ``None`` when it says nothing.
        now: Seconds since 1970.
        local_minute: Minutes since local midnight.
    """
    if info is None:
        return TimeDecision()
    if now <= CLOCK_IS_SET_AFTER:
        return TimeDecision(OtaStatus.DELAYED, "No time information available yet.", OTA_FETCH_RETRY_DELAY_S)
    if info.valid_from != NOT_SET and now < info.valid_from:
        delay = info.valid_from - now + OTA_DELAY_TIME_BUFFER_S
        return TimeDecision(OtaStatus.DELAYED, "Not within valid window.", delay)
    if info.valid_until != NOT_SET and now > info.valid_until:
        return TimeDecision(OtaStatus.FAILED, "OTA download window lapsed.")
    if info.window_start == NOT_SET:
        return TimeDecision()
    if info.window_end == NOT_SET:
        return TimeDecision(OtaStatus.FAILED, "Invalid download window specified.")
    wait = minutes_until_window(info.window_start, info.window_end, local_minute)
    if wait is None:
        return TimeDecision()
    return TimeDecision(OtaStatus.DELAYED, "Not within download window.", wait * 60 + OTA_DELAY_TIME_BUFFER_S)


def minutes_until_window(start: int, end: int, minute: int) -> int | None:
    """Minutes until the window opens, ``None`` inside it. Both ends belong to it; it may cross midnight."""
    if start > end:  # turn the day so that the window begins at its first minute
        shift = MINUTES_IN_DAY - start
        start, end, minute = 0, end + shift, minute + shift
        minute -= MINUTES_IN_DAY if minute >= MINUTES_IN_DAY else 0
    if start <= minute <= end:
        return None
    wait = start - minute
    return wait if wait >= 0 else wait + MINUTES_IN_DAY


def local_minute(now: float, zone: str) -> int:
    """``localtime_r``: minutes since midnight in ``zone``; a zone nobody knows is UTC, as for the C library."""
    try:
        local = datetime.fromtimestamp(now, ZoneInfo(zone))
    except (ZoneInfoNotFoundError, ValueError):
        local = datetime.fromtimestamp(now, ZoneInfo("UTC"))
    return local.hour * 60 + local.minute
