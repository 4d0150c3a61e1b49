"""Validity and download window of a job."""

import pytest

from py_esp_ota.rainmaker.messages import OtaStatus
from py_esp_ota.rainmaker.ota_time import (
    TimeDecision,
    TimeInfo,
    handle_time,
    local_minute,
    minutes_until_window,
    read_metadata,
)

NOW = 1_665_081_000
GO = TimeDecision()


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
    decision = handle_time(TimeInfo(window_start=start, window_end=end), NOW, clock(local))
    if delay is None:
        assert decision == GO
    else:
        assert decision == TimeDecision(OtaStatus.DELAYED, "Not within download window.", delay * 60 + 5)


@pytest.mark.parametrize(
    ("info", "now", "decision"),
    [
        (None, 0, GO),
        (TimeInfo(), 1546300800, TimeDecision(OtaStatus.DELAYED, "No time information available yet.", 30)),
        (TimeInfo(), 1546300801, GO),
        (TimeInfo(valid_from=NOW), NOW, GO),
        (TimeInfo(valid_from=NOW + 1), NOW, TimeDecision(OtaStatus.DELAYED, "Not within valid window.", 6)),
        (TimeInfo(valid_until=NOW), NOW, GO),
        (TimeInfo(valid_until=NOW - 1), NOW, TimeDecision(OtaStatus.FAILED, "OTA download window lapsed.")),
        # an end beyond 2038 does not fit the node's int and has lapsed for ever
        (TimeInfo(valid_until=-(2**31)), NOW, TimeDecision(OtaStatus.FAILED, "OTA download window lapsed.")),
        (TimeInfo(window_end=5), NOW, GO),
        (TimeInfo(window_start=5), NOW, TimeDecision(OtaStatus.FAILED, "Invalid download window specified.")),
        # validity is looked at before the window
        (
            TimeInfo(window_start=5, valid_until=1546300900),
            NOW,
            TimeDecision(OtaStatus.FAILED, "OTA download window lapsed."),
        ),
    ],
)
def test_time_rules_in_their_order(info, now, decision):
    assert handle_time(info, now, 0) == decision


@pytest.mark.parametrize(
    ("metadata", "info"),
    [
        ('{"download_window":{"end":1155,"start":1080},"validity":{"end":3,"start":2}}', TimeInfo(1080, 1155, 2, 3)),
        ('{"validity":{"start":2}}', TimeInfo(valid_from=2)),
        ('{"validity":{}}', TimeInfo()),
        ('{"validity":{"start":"2"}}', TimeInfo()),
        ('{"validity":5}', None),
        ('{"esp.ota.target":"host_mcu"}', None),
        ("{}", None),
        ("{", None),
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
    assert local_minute(NOW, zone) == minute
