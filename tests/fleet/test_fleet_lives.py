"""A fleet does what as many devices in a lab do, message by message; and any of them can be played again."""

from __future__ import annotations

import asyncio

import pytest
from fleet_bench import Few, crowd, few, heard, start_job

PLANS = [
    *["", "", "", "", "cut@9:torn", "cut@9:torn", "drop@20000*1", "app-no", "app-no", "status@503*1"],
    *["app-crash@5*2", "app-crash@5*2", "mqtt-cut@4", "mqtt-cut@4", "mqtt-lose@6*2", "mqtt-lose@6*2", "cut@60+app-no"],
    *["mqtt-refuse*3", "mqtt-refuse*3", "flip@30000", "slow@9000", "slow@9000", "clock-jump@50:3600"],
]
BOOTS = [0.0, 1.5, 2.25, 33.0, 0.5, 3.1, 4.7, 5.0, 6.0, 1.0, 0.3, 0.9, 0.7, 2.9, 4.1, 5.3, 2.0, 1.1, 2.3, 3.3, 1.9, 6.1, 0.1]


def said(side):
    return {
        name: [(report.status, report.additional_info, report.timestamp) for report in reports]
        for name, reports in side.heard.items()
    }


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
    return crowd(PLANS, BOOTS, campaign), few(PLANS, BOOTS, campaign)


def test_a_fleet_says_what_a_lab_says(both):
    fleet, lab = both
    assert said(fleet) == said(lab)
    assert len({reports[-1][1] for reports in said(lab).values()}) > 4  # they do end in different ways


def test_any_device_of_a_fleet_has_the_flash_that_it_has_in_a_lab(both):
    fleet, lab = both
    assert fleet.flashes == lab.flashes
    assert len(set(fleet.flashes.values())) > 4


def test_who_hears_nothing_new_is_no_device_at_all(both):
    fleet, _ = both
    assert 0 < sum(member.walker is not None for member in fleet.members) < len(PLANS) - 5
