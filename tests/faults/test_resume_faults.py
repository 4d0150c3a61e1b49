"""Faults of the network while the real agent resumes a download: what comes is not always the rest it asked for."""

from __future__ import annotations

import pytest
from fault_bench import GOOD, play
from hypothesis import given
from hypothesis import strategies as st

from py_esp_ota.sdkconfig import Sdkconfig

NEWEST = Sdkconfig().idf_version
FIRST = ["url", "start 1", "downloading"]
LOST = "OTA Attempt {}/3 failed: OTA failed: ESP_FAIL (errno=104: Connection reset by peer)"
CORRUPT = "OTA Attempt {}/3 failed: Image validation failed"
BEGUN = [*FIRST, LOST.format(1)]
DONE = GOOD[2:]


@pytest.mark.parametrize(
    ("plan", "idf_version", "heard"),
    [
        # The server ignores the range. Since v5.5.4 the client asks again without one; before, it wrote it all behind.
        ("no-range", NEWEST, ["start 2", *DONE]),
        ("no-range", (5, 5, 4), ["start 2", *DONE]),
        ("no-range", (5, 5, 3), ["start 2", "downloading", "complete", CORRUPT.format(2), "start 3", *DONE]),
        ("no-range", (5, 4, 0), ["start 2", *DONE]),  # RainMaker does not resume on it
        # Another range than the one that was asked for is not looked at, and the image says so in the end.
        ("wrong-range@64*2", NEWEST, ["start 2", "downloading", "complete", CORRUPT.format(2), "start 3", *DONE]),
        ("content-range@64", NEWEST, ["start 2", *DONE]),
        ("chunked", NEWEST, ["start 2", *DONE]),
        ("slow@3000", NEWEST, ["start 2", *DONE]),
    ],
)
def test_what_the_cloud_hears_when_the_rest_is_asked_for(plan, idf_version, heard):
    played = play(f"drop@9000*1+{plan}", config=Sdkconfig(idf_version=idf_version), seconds=120)
    assert played.heard == [*BEGUN, *heard]
    assert (played.lamp.running.version, played.is_whole()) == ("1.1.0", True)


def test_every_lost_connection_brings_the_image_nearer_and_three_attempts_are_enough():
    played = play("drop@6000*2")
    assert played.heard == [*FIRST, LOST.format(1), "start 2", "downloading", LOST.format(2), "start 3", *DONE]
    assert played.is_whole()


SIZES = [1, 16, 1023, 1024, 1025, 2048, 4095, 4096, 4097, 9000, 15_359, 15_360, 16_352, 16_383, 16_384]
faults = st.builds(
    "{}@{}*{}".format,
    st.sampled_from(["drop", "drop", "short", "wrong-range", "content-range", "stall", "slow", "flip"]),
    st.sampled_from(SIZES),
    st.integers(1, 6),
) | st.builds("{}*{}".format, st.sampled_from(["no-range", "chunked", "redirect-close"]), st.integers(1, 6))


@given(
    st.lists(faults, min_size=1, max_size=4).map("+".join),
    st.sampled_from([NEWEST, (5, 5, 4), (5, 5, 3), (5, 5, 0), (5, 4, 0)]),
)
def test_a_resumed_image_equals_the_source_or_there_is_an_error(plan, idf_version):
    config = Sdkconfig(idf_version=idf_version)
    played = play(f"drop@9000*1+{plan}", config=config, seconds=700, mend=True)
    assert played.is_whole()
    assert all(boot.ok for boot in played.lamp.boots)
