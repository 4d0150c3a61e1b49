"""Validity and download window of a job."""

from dataclasses import replace

import pytest

from py_esp_ota.rainmaker.messages import OtaStatus
from py_esp_ota.rainmaker.ota_time import (
    Span,
    TimeDecision,
    TimeInfo,
    handle_time,
    local_minute,
    minutes_until_window,
    named_zone,
    posix_zone,
    read_metadata,
)

NOW = 1_665_081_000
GO = TimeDecision()
EMPTY = TimeInfo(validity=Span())


def decided(info: TimeInfo, now: int, minute: int) -> TimeDecision:
    """The decision without what the console says of it: that is in test_ota_console.py."""
    return replace(handle_time(info, now, minute), lines=())


def clock(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


@pytest.mark.parametrize(
    ("start", "end", "local", "delay"),
    [
        (1080, 1155, "18:00", None),
        (1080, 1155, "19:15", None),
        (1080, 1155, "19:16", 1364),
        (1080, 1155, "17:59", 1),
        (1380, 120, "18:00", 300),
        (1380, 120, "23:30", None),
        (1380, 120, "02:00", None),
        (1380, 120, "02:01", 1259),
        (600, 600, "10:00", None),
        (0, 1439, "23:59", None),
    ],
)
def test_download_windows(start, end, local, delay):
    assert minutes_until_window(start, end, clock(local)) == delay
    decision = decided(TimeInfo(window=Span(start, end)), NOW, clock(local))
    if delay is None:
        assert decision == GO
    else:
        assert decision == TimeDecision(OtaStatus.DELAYED, "Not within download window.", delay * 60 + 5)


@pytest.mark.parametrize(
    ("info", "now", "decision"),
    [
        (TimeInfo(), 0, GO),
        (EMPTY, 1546300800, TimeDecision(OtaStatus.DELAYED, "No time information available yet.", 30)),
        (EMPTY, 1546300801, GO),
        (TimeInfo(validity=Span(NOW)), NOW, GO),
        (TimeInfo(validity=Span(NOW + 1)), NOW, TimeDecision(OtaStatus.DELAYED, "Not within valid window.", 6)),
        (TimeInfo(validity=Span(end=NOW)), NOW, GO),
        (TimeInfo(validity=Span(end=NOW - 1)), NOW, TimeDecision(OtaStatus.FAILED, "OTA download window lapsed.")),
        # an end beyond 2038 does not fit the node's int and has lapsed for ever
        (TimeInfo(validity=Span(end=-(2**31))), NOW, TimeDecision(OtaStatus.FAILED, "OTA download window lapsed.")),
        (TimeInfo(window=Span(end=5)), NOW, GO),
        (TimeInfo(window=Span(5)), NOW, TimeDecision(OtaStatus.FAILED, "Invalid download window specified.")),
        # validity is looked at before the window
        (
            TimeInfo(window=Span(5), validity=Span(end=1546300900)),
            NOW,
            TimeDecision(OtaStatus.FAILED, "OTA download window lapsed."),
        ),
    ],
)
def test_time_rules_in_their_order(info, now, decision):
    assert decided(info, now, 0) == decision


@pytest.mark.parametrize(
    ("metadata", "info"),
    [
        (
            '{"download_window":{"end":1155,"start":1080},"validity":{"end":3,"start":2}}',
            TimeInfo(Span(1080, 1155), Span(2, 3)),
        ),
        ('{"validity":{"start":2}}', TimeInfo(validity=Span(2))),
        ('{"validity":{}}', EMPTY),
        ('{"validity":{"start":"2"}}', EMPTY),
        ('{"validity":5}', TimeInfo()),
        ('{"esp.ota.target":"host_mcu"}', TimeInfo()),
        ("{}", TimeInfo()),
        ("{", TimeInfo()),
    ],
)
def test_metadata_is_read_leniently(metadata, info):
    assert read_metadata(metadata) == info


@pytest.mark.parametrize(
    ("zone", "minute"),
    [
        ("UTC", 18 * 60 + 30),
        ("Asia/Shanghai", 2 * 60 + 30),
        ("Europe/Berlin", 20 * 60 + 30),  # summer time
        ("Nowhere/Atlantis", 18 * 60 + 30),
        ("../etc/passwd", 18 * 60 + 30),
    ],
)
def test_the_window_is_in_local_time(zone, minute):
    assert local_minute(NOW, named_zone(zone)) == minute


@pytest.mark.parametrize(
    ("text", "winter", "summer"),
    [
        (b"CST-8", 8, 8),
        (b"CET-1CEST,M3.5.0,M10.5.0/3", 1, 2),
        (b"EST5EDT,M3.2.0,M11.1.0", -5, -4),
        (b"AEST-10AEDT,M10.1.0,M4.1.0/3", 11, 10),
        (b"<+0530>-5:30", 5.5, 5.5),
        (b"Asia/Shanghai", 0, 0),  # no POSIX text
        (b"", 0, 0),
        (b"CST-8\0rest", 8, 8),
        (b"\xff\n", 0, 0),
    ],
)
def test_a_posix_zone(text, winter, summer):
    new_year, midsummer = 1_767_225_600, 1_782_864_000  # 2026-01-01 and 2026-07-01, both at 00:00 UTC
    assert local_minute(new_year, posix_zone(text)) == winter * 60 % 1440
    assert local_minute(midsummer, posix_zone(text)) == summer * 60 % 1440
