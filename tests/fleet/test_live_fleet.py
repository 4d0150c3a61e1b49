"""A fleet of whole devices behind doors that are real elsewhere: here they are in memory, and hours pass at once."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise

import pytest

from py_esp_ota.adapters.gate import GatedFetch
from py_esp_ota.adapters.virtual_time import run_virtual
from py_esp_ota.device import Doors
from py_esp_ota.errors import MqttError
from py_esp_ota.fleet import read_fleet, run_fleet
from py_esp_ota.fleet.live import Outside, live_fleet
from py_esp_ota.fleet.reports import Witness
from py_esp_ota.lab import Lab
from py_esp_ota.rainmaker.messages import OtaStatusReport

FILE = """
    devices = 12
    seed = 3
    [job]
    version = "1.1.0"
    [[kind]]
    name = "lamp"
    share = 3
    [kind.weather]
    climate = "20% drop@30000*1; 10% cut@9:torn; speed 0; power 5m"
    self_test_fails = 0.2
    [[kind]]
    name = "plug"
    idf = "v5.1.2"
    partitions = "two_ota"
    """
FLEET = read_fleet(FILE)


def nobody(_far):
    pass


async def lived(lab, *, told=nobody, fleet=FLEET, members=None, press=True, doors=None, **words):
    world = lab.world

    async def pressed():
        for order in fleet.jobs:
            nodes = [member.node_id for member in named if member.kind.name in order.kinds]
            image = await lab.upload(order.image, name=order.name)
            await lab.start_job(order.name, image, nodes=nodes)

    named = fleet.population.members() if members is None else members
    outside = Outside(
        doors=doors or Doors(mqtt=world.mqtt, fetch=world.fetch, clock=world.clock),
        basic_ingest=world.basic_ingest,
        press=pressed if press is True else press or None,
        **words,
    )
    return await live_fleet(named, fleet.jobs, outside, seed=fleet.population.seed, told=told)


def in_a_lab(story):
    async def whole():
        async with Lab() as lab:
            return await story(lab)

    return run_virtual(whole())


def test_it_ends_as_the_fleet_in_virtual_time_does_device_by_device():
    """Neither whole devices nor what is seen on the wire make a difference."""
    heard = []
    live = in_a_lab(lambda lab: lived(lab, told=heard.append, ramp=30))
    played = run_virtual(run_fleet(FLEET.population, FLEET.jobs[0], told=nobody))
    keys = ("node_id", "kind", "status", "additional_info", "reason", "closed", "bytes", "met")
    told = [[getattr(member, key) for key in keys] for member in live.members]
    assert told == [[getattr(member, key) for key in keys] for member in played.members]
    assert (live.whole, live.updated, live.missed) == (True, 10, 2)
    assert {member.met for member in live.members} >= {"", "drop@30000*1", "cut@9:torn", "app-no"}
    assert all(member.turn == 0 for member in live.members)
    assert (heard[-1].devices, heard[-1].updated, heard[-1].missed, heard[-1].at_it) == (12, 10, 2, 0)
    assert all(after.closed >= before.closed for before, after in pairwise(heard))


def test_interrupted_before_and_in_the_job_it_tells_what_there_is():
    async def story(lab):
        loop = asyncio.get_running_loop()
        results = []
        for seconds in (3, 12):
            task = asyncio.create_task(lived(lab, ramp=1))
            loop.call_later(seconds, task.cancel)
            results.append(await task)
            assert not lab.is_online("lamp-000001")  # it said goodbye
        return results

    before, amid = in_a_lab(story)
    assert (before.whole, len(before.members), before.counts) == (False, 12, {"triggered": 12})
    assert (amid.whole, len(amid.members)) == (False, 12)
    assert amid.waiting == amid.counts["in-progress"] + amid.counts.get("triggered", 0) == 12


def test_who_comes_later_comes_and_who_never_comes_is_waited_for_until_the_time_is_over():
    members = FLEET.population.members()
    plain = [replace(member, plan="", boots_at=-1) for member in members[:4]]
    late, never, night = (
        replace(plain[0], boots_at=200),
        replace(plain[1], comes=False),
        replace(plain[2], away=((2, 400),)),
    )

    result = in_a_lab(lambda lab: lived(lab, members=[late, never, night, plain[3]], within=900))
    found = {member.node_id: member for member in result.members}
    assert (result.whole, result.ok, result.waiting) == (True, False, 1)
    assert (found[never.node_id].status, found[never.node_id].closed) == ("triggered", False)
    assert found[late.node_id].status == found[night.node_id].status == "success"
    assert found[late.node_id].seconds > 200
    assert found[night.node_id].seconds >= 400
    assert found[plain[3].node_id].seconds < 60


def test_a_job_that_somebody_else_starts_is_waited_for_and_its_time_is_counted_from_there():
    async def story(lab):
        async def later():
            await asyncio.sleep(500)
            image = await lab.upload(FLEET.jobs[0].image, name="theirs")
            await lab.start_job("theirs", image, nodes=[member.node_id for member in members])

        members = [replace(member, plan="") for member in FLEET.population.members()[:3]]
        somebody = asyncio.create_task(later())
        result = await lived(lab, members=members, press=False)
        await somebody
        return result

    result = in_a_lab(story)
    assert (result.whole, result.updated) == (True, 3)
    assert all(member.seconds < 60 for member in result.members)


def test_what_goes_wrong_with_the_press_ends_it_and_devices_that_never_come_do_not_hold_up_the_job():
    class Refused(Exception):
        pass

    async def press():
        raise Refused

    async def story(lab):
        pressed_at = []

        async def noted():
            pressed_at.append(asyncio.get_running_loop().time())

        with pytest.raises(Refused):
            await lived(lab, press=press)
        assert not lab.is_online("lamp-000001")

        class Nobody:
            def __call__(self, _client_id, _will=None):
                raise MqttError("nobody listens")

        world = lab.world
        begun = asyncio.get_running_loop().time()
        result = await lived(
            lab, press=noted, within=100, doors=Doors(mqtt=Nobody(), fetch=world.fetch, clock=world.clock)
        )
        return pressed_at[0] - begun, result

    waited, result = in_a_lab(story)
    assert 60 <= waited < 80
    assert (result.ok, result.waiting, result.counts) == (False, 12, {"triggered": 12})


def test_downloads_wait_for_their_turn():
    most = 0

    async def story(lab):
        class Counting:
            def __init__(self, fetch):
                self._fetch, self.inside = fetch, 0

            def __call__(self, url, headers):
                return self._counted(url, headers)

            @asynccontextmanager
            async def _counted(self, url, headers):
                nonlocal most
                self.inside += 1
                most = max(most, self.inside)
                await asyncio.sleep(5)
                async with self._fetch(url, headers) as response:
                    yield response
                self.inside -= 1

        world = lab.world
        doors = Doors(mqtt=world.mqtt, fetch=GatedFetch(Counting(world.fetch), 2), clock=world.clock)
        members = [replace(member, plan="") for member in FLEET.population.members()[:6]]
        return await lived(lab, members=members, doors=doors)

    result = in_a_lab(story)
    assert (result.updated, most) == (6, 2)


def test_what_a_node_cuts_off_and_what_no_word_is_changes_nothing():
    (member, *_) = FLEET.population.members()
    witness = Witness(member, FLEET.jobs[0], lambda: 7.0)
    for payload in (b'{"status":"success","additional_info":"cut', b"{}", b'{"status":"odd","additional_info":""}'):
        witness.up(f"node/{member.node_id}/otastatus", payload)
    assert witness.state.status.value == "triggered"
    said = OtaStatusReport(status="success", additional_info="done", ota_job_id="x").encode()
    witness.up(f"$aws/rules/esp_node_otastatus/node/{member.node_id}/otastatus", said)
    result = witness.result(2.0, 3)
    assert (result.status, result.closed, result.seconds, result.turn, result.boots) == ("success", True, 5, None, 3)
