"""A clock that is not set, or jumps: what it says, and what an update with a validity or a window makes of it."""

from __future__ import annotations

import asyncio

import pytest
from fault_bench import GOOD, NODE, OLD, play

from py_esp_ota.faults import FaultyClock
from py_esp_ota.lab import Lab
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.world import EPOCH

DAY = 86_400


class Watch:
    def __init__(self):
        self.time = 1_000_000.0

    def now(self):
        return self.time


def read(plan, *moments):
    """What the clock says so many seconds after the plan was armed."""
    watch = Watch()
    clock = FaultyClock(watch, plan)
    says = []
    for moment in moments:
        watch.time = 1_000_000.0 + moment
        says.append(clock.now())
    return says


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        ("", [1_000_000, 1_000_009, 1_000_010, 1_000_099]),
        ("clock-unset", [0, 9, 10, 99]),
        ("clock-unset@10", [0, 9, 1_000_010, 1_000_099]),
        ("clock-unset@0", [1_000_000, 1_000_009, 1_000_010, 1_000_099]),
        ("clock-jump@10:500", [1_000_000, 1_000_009, 1_000_510, 1_000_599]),
        ("clock-jump@10:-500", [1_000_000, 1_000_009, 999_510, 999_599]),
        ("clock-jump@0:7+clock-jump@10:-3", [1_000_007, 1_000_016, 1_000_014, 1_000_103]),
        ("clock-unset@10+clock-jump@5:100", [0, 9, 1_000_110, 1_000_199]),
    ],
)
def test_what_the_clock_says(plan, says):
    assert read(plan, 0, 9, 10, 99) == says


def test_a_clock_takes_only_its_own_faults():
    with pytest.raises(ValueError, match=r"'drop@1' is a fault of the network, not of the clock"):
        FaultyClock(Watch(), "drop@1")


def valid(start, end):
    return {"validity": {"start": int(EPOCH) + start, "end": int(EPOCH) + end}}


NOT_YET = "No time information available yet."


@pytest.mark.parametrize(
    ("plan", "metadata", "heard"),
    [
        ("", valid(0, DAY), GOOD),
        ("clock-unset", {}, GOOD),
        ("clock-unset@40", valid(0, DAY), ["url", NOT_YET, "url", NOT_YET, *GOOD]),
        ("clock-jump@0:-3600", valid(0, DAY), ["url", "Not within valid window."]),
        ("clock-jump@0:90000", valid(0, DAY), ["url", "OTA download window lapsed."]),
        ("clock-jump@600:90000", valid(0, DAY), GOOD),
    ],
)
def test_an_update_with_a_validity(plan, metadata, heard):
    assert play(plan, metadata=metadata).heard == heard


def test_a_clock_that_is_never_set_asks_twice_a_minute_and_is_served_when_it_is_mended():
    played = play("clock-unset", metadata=valid(0, DAY), seconds=300, mend=True)
    assert played.heard.count(NOT_YET) == 10
    assert played.heard[-1] == "SUCCESS"


def test_a_clock_that_was_too_early_asks_again_when_the_validity_begins():
    played = play("clock-jump@0:-3600", metadata=valid(0, DAY), seconds=3700)
    assert played.heard == ["url", "Not within valid window.", *GOOD]


# ------------------------------------------------------------------------------------- timers are no clock


@pytest.mark.parametrize("hours", [1, 2, 12, 24, 25, 48, 49, 50, 71, 72, 120, 167, 168])
@pytest.mark.parametrize("plan", ["", "clock-jump@3000:-2000000+clock-jump@90000:1000000000", "clock-unset"])
def test_a_node_asks_once_in_each_period_whatever_its_clock_says(hours, plan):
    asked = []
    with Lab() as lab:
        lamp = lab.device(firmware=OLD, node_id=NODE, config=Sdkconfig(esp_rmaker_ota_autofetch_period=hours))
        hear = lab.service.serving.on_fetch

        def on_fetch(turn, node_id, version, network_id=None):
            asked.append(round(lab.world.clock.now() - EPOCH))
            hear(turn, node_id, version, network_id)

        async def story():
            lamp.power_on()
            lab.faults(lamp, plan)
            lab.service.serving.on_fetch = on_fetch
            await asyncio.sleep(3.1 * hours * 3600)

        lab.run(story())
    assert asked == [5, *(n * hours * 3600 for n in (1, 2, 3))]
