"""Devices on shared lives do what as many devices in a lab do, and any of them can be played again."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from lives_bench import Few, Many, breed, few, heard, many, start_job

from py_esp_ota.lives import sky
from py_esp_ota.lives.tree import UnlikeError
from py_esp_ota.lives.walker import Walker
from py_esp_ota.world import EPOCH

PLANS = [
    *["", "", "", "", "cut@9:torn", "cut@9:torn", "drop@20000*1", "app-no", "app-no", "status@503*1"],
    *["app-crash@5*2", "app-crash@5*2", "mqtt-cut@4", "mqtt-cut@4", "mqtt-lose@6*2", "mqtt-lose@6*2", "cut@60+app-no"],
    *["mqtt-refuse*3", "mqtt-refuse*3", "flip@30000", "slow@9000", "slow@9000", "clock-jump@50:3600"],
]
BOOTS = [
    0.0,
    1.5,
    2.25,
    33.0,
    0.5,
    3.1,
    4.7,
    5.0,
    6.0,
    1.0,
    0.3,
    0.9,
    0.7,
    2.9,
    4.1,
    5.3,
    2.0,
    1.1,
    2.3,
    3.3,
    1.9,
    6.1,
    0.1,
]


def texts(side):
    return {name: [(one.status, one.additional_info) for one in reports] for name, reports in side.heard.items()}


def times(side):
    """Seconds; the cloud takes messages by the hundredth, whoever else speaks."""
    return [report.timestamp / 1000 for reports in side.heard.values() for report in reports]


async def campaign(side):
    """A job, in which some devices are switched off and on."""
    await asyncio.sleep(40)
    start_job(side.service, side.names)
    side.loop.call_later(3, side.switch_off, side.members[1])
    side.loop.call_later(4, side.switch_off, side.members[2])
    side.loop.call_later(95.5, side.switch_on, side.members[1])
    side.loop.call_later(98.0, side.switch_on, side.members[2])
    await asyncio.sleep(170)
    side.heard = heard(side.service, side.names)
    side.flashes = flashes(side)
    side.awake = sum(getattr(member, "walker", None) is not None for member in side.members)


def flashes(side):
    if isinstance(side, Few):
        return {device.node_id: device.flash.to_bytes() for device in side.members}
    found = {}
    for member in side.members:
        walker = member.again()
        found[member.node_id] = walker.device.flash.to_bytes()
        walker.close()
    return found


@pytest.fixture(scope="module")
def both():
    return many(PLANS, BOOTS, campaign), few(PLANS, BOOTS, campaign)


def test_they_say_what_devices_in_a_lab_say_and_when(both):
    crowd, lab = both
    assert texts(crowd) == texts(lab)
    assert times(crowd) == pytest.approx(times(lab), abs=0.05)
    assert len({reports[-1][1] for reports in texts(lab).values()}) > 2  # they do end in different ways


def test_any_of_them_has_the_flash_that_it_has_in_a_lab(both):
    crowd, lab = both
    assert crowd.flashes == lab.flashes
    assert len(set(crowd.flashes.values())) > 4


def test_who_hears_nothing_new_is_no_device_at_all(both):
    crowd, _ = both
    assert len(set(PLANS)) <= crowd.awake < len(PLANS) - 5


# ------------------------------------------------------------------------------------------------- parting of the ways

ALIKE = [""] * 6
EACH = [0.0, 0.4, 1.3, 2.2, 3.1, 33.7]


async def _job(side, **options):
    await asyncio.sleep(40)
    start_job(side.service, side.names, **options)


async def _end(side):
    await asyncio.sleep(60)
    side.heard = heard(side.service, side.names)


def test_a_broker_that_is_gone_for_a_while_is_met_by_each_where_it_is():
    async def outage(side):
        await _job(side)
        broker = side.crowd.sky if isinstance(side, Many) else side.lab.world.mqtt
        await asyncio.sleep(2)
        broker.stop()
        await asyncio.sleep(31)
        broker.start()
        await _end(side)

    crowd, lab = many(ALIKE, EACH, outage), few(ALIKE, EACH, outage)
    assert texts(crowd) == texts(lab)
    assert times(crowd) == pytest.approx(times(lab), abs=0.05)
    assert {reports[-1][0] for reports in texts(lab).values()} == {"success"}
    assert lab.heard[lab.names[0]][-1].timestamp / 1000 > EPOCH + 40 + 33


def test_nobody_is_followed_who_looked_at_the_clock():
    """A job with a time of day: whether a device takes it now depends on when it hears of it."""

    async def window(side):
        hour = {"download_window": {"start": 0, "end": 1}}  # minutes of the day: EPOCH is midnight
        await _job(side, metadata=hour)
        await _end(side)
        side.awake = sum(getattr(member, "walker", None) is not None for member in side.members)

    crowd, lab = (made(ALIKE, EACH, window, esp_rmaker_ota_time_support=True) for made in (many, few))
    assert texts(crowd) == texts(lab)
    assert crowd.awake == len(ALIKE)


def test_real_devices_that_rest_come_to_the_same(monkeypatch, both):
    monkeypatch.setattr(sky, "AWAKE", 2)
    restless = many(PLANS, BOOTS, campaign)
    assert restless.awake <= 2
    assert texts(restless) == texts(both[0])
    assert restless.flashes == both[0].flashes


def test_a_device_that_does_not_do_its_past_again_is_a_mistake_that_is_told():
    async def tampered(side):
        await _job(side)
        await _end(side)
        state = side.members[1].state
        said, answer = state.step.said[0]
        state.step = replace(state.step, said=((said._replace(word="unsubscribe"), answer), *state.step.said[1:]))
        side.members[1].again()

    with pytest.raises(UnlikeError, match=r"step 6 after Alarm.*, not \(Said\(word='unsubscribe'"):
        many(ALIKE, EACH, tampered)


def test_a_mistake_of_one_device_ends_the_crowd(monkeypatch):
    async def broken(side):
        await _job(side)
        monkeypatch.setattr(Walker, "step", _mistaken)
        await _end(side)

    with pytest.raises(ZeroDivisionError):
        many(ALIKE, EACH, broken)


def _mistaken(*_):
    raise ZeroDivisionError


def test_two_devices_of_one_name_are_refused():
    async def twice(side):
        await asyncio.sleep(0)
        side.crowd.add(side.names[0], breed())

    with pytest.raises(ValueError, match="two devices are called lamp00000"):
        many([""], [0.0], twice)
