"""When an image may be downloaded: validity and download window of an ``otaurl`` message, decided without a clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from io import BytesIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from py_esp_ota.rainmaker.json_text import JsonValue, parse
from py_esp_ota.rainmaker.messages import OtaStatus

CLOCK_IS_SET_AFTER = 1546300800  # 2019-01-01: a clock below was never synchronised
OTA_FETCH_RETRY_DELAY_S = 30
OTA_DELAY_TIME_BUFFER_S = 5
MINUTES_IN_DAY = 24 * 60
NOT_SET = -1


@dataclass(frozen=True, slots=True)
class Span:
    """``start`` and ``end`` of an object; -1 stands for a missing one, and so also for a given -1."""

    start: int = NOT_SET
    end: int = NOT_SET


@dataclass(frozen=True, slots=True)
class TimeInfo:
    """What a metadata object says about time: minutes of the day, seconds since 1970; ``None`` is not in it."""

    window: Span | None = None
    validity: Span | None = None

    def lines(self) -> Iterator[tuple[str, str]]:
        """Level and text of what the console says when it was read."""
        if self.window is not None:
            yield "I", f"Download Window : {self.window.start} {self.window.end}"
        if self.validity is not None:
            yield "I", f"Validity : {self.validity.start} {self.validity.end}"


@dataclass(frozen=True, slots=True)
class TimeDecision:
    """Go on, or report ``status`` with ``info`` and perhaps ask again after ``refetch_after`` seconds.

    ``lines`` is what the console says before that: level and text.
    """

    status: OtaStatus | None = None
    info: str = ""
    refetch_after: int | None = None
    lines: tuple[tuple[str, str], ...] = ()

    @property
    def go(self) -> bool:
        """Whether the update may start now."""
        return self.status is None


def read_metadata(metadata: str) -> TimeInfo:
    """The time part of a metadata object; an empty one when that is no JSON."""
    try:
        root = parse(metadata.encode("utf-8", "surrogateescape"))
    except ValueError:
        return TimeInfo()
    return TimeInfo(_span(root.get_object("download_window")), _span(root.get_object("validity")))


def _span(holder: JsonValue | None) -> Span | None:
    return None if holder is None else Span(_number(holder, "start"), _number(holder, "end"))


def _number(holder: JsonValue, name: str) -> int:
    value = holder.get_int(name)
    return NOT_SET if value is None else value


def handle_time(info: TimeInfo, now: int, local_minute: int) -> TimeDecision:
    """``esp_rmaker_ota_handle_time`` (components/esp_rainmaker/src/ota/esp_rmaker_ota.c).

    Args:
        info: What the message says about time.
        now: Seconds since 1970.
        local_minute: Minutes since local midnight.
    """
    if info.window is None and info.validity is None:
        return TimeDecision()
    if now <= CLOCK_IS_SET_AFTER:
        return TimeDecision(OtaStatus.DELAYED, "No time information available yet.", OTA_FETCH_RETRY_DELAY_S)
    validity, window = info.validity or Span(), info.window or Span()
    if validity.start != NOT_SET and now < validity.start:
        return _delay(validity.start - now, "Not within valid window.", "it is not valid yet.")
    if validity.end != NOT_SET and now > validity.end:
        return _fail("OTA download window lapsed.", "OTA download window lapsed")
    if window.start == NOT_SET:
        return TimeDecision(lines=(("I", "OTA received within validity period."),))
    if window.end == NOT_SET:
        text = "Download window should have an end time if start time is specified."
        return _fail("Invalid download window specified.", text)
    wait = minutes_until_window(window.start, window.end, local_minute)
    if wait is None:
        return TimeDecision(lines=(("I", "OTA received within download window."),))
    return _delay(wait * 60, "Not within download window.", "it is not within download window.")


def _delay(seconds: int, info: str, reason: str) -> TimeDecision:
    line = f"Delaying OTA by {seconds} seconds ({seconds // 60} min) as {reason}"
    return TimeDecision(OtaStatus.DELAYED, info, seconds + OTA_DELAY_TIME_BUFFER_S, (("I", line),))


def _fail(info: str, line: str) -> TimeDecision:
    return TimeDecision(OtaStatus.FAILED, info, lines=(("E", line),))


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


def local_minute(now: float, zone: tzinfo) -> int:
    """``localtime_r``: minutes since midnight in ``zone``."""
    local = datetime.fromtimestamp(now, zone)
    return local.hour * 60 + local.minute


def named_zone(name: str) -> tzinfo:
    """``esp_rmaker_tz_db_get_posix_str``: a zone by its name; one that nobody knows leaves the chip at UTC."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def posix_zone(text: bytes) -> tzinfo:
    """``tzset`` of a ``TZ`` such as ``b"CET-1CEST,M3.5.0,M10.5.0/3"``; anything that is none means UTC."""
    try:
        return ZoneInfo.from_file(BytesIO(_ZONE_FILE + b"\n" + text.split(b"\0", 1)[0] + b"\n"))
    except ValueError:
        return UTC


# A zone file of version 2 in which nothing ever changes, twice as its format wants it: what counts is the text behind.
_COUNTS = bytes(4 * 4) + b"\0\0\0\1" + b"\0\0\0\4"  # one kind of time, four bytes of names
_ZONE_FILE = 2 * (b"TZif2" + bytes(15) + _COUNTS + bytes(6) + b"UTC\0")
