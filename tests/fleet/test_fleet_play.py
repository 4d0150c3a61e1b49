"""A fleet that is played: by the real cloud and real devices, so that one of them alone says the same."""

from __future__ import annotations

import asyncio
import json
import shlex
from dataclasses import replace

import pytest

from py_esp_ota.adapters.virtual_time import run_virtual
from py_esp_ota.fleet import JobOrder, play_member, read_fleet, run_fleet
from py_esp_ota.fleet.result import Replay
from py_esp_ota.fleet.room import EACH, too_many

FILE = """
    devices = 20
    seed = 3
    [job]
    version = "1.1.0"
    plan = { phases = ["4", "rest"], gate = { success = "50%" } }
    [[kind]]
    name = "lamp"
    share = 3
    [kind.weather]
    climate = "20% drop@30000*1; 10% cut@9:torn; speed 0"
    self_test_fails = 0.2
    offline = 0.1
    [[kind]]
    name = "plug"
    idf = "v5.1.2"
    partitions = "two_ota"
    weather = { offline_at_night = 0.4, night = [13, 15] }
    """
FLEET = read_fleet(FILE)
(ORDER,) = FLEET.jobs


def nobody(_far):
    pass


def play(population=FLEET.population, order=ORDER, told=nobody):
    return run_virtual(run_fleet(population, order, told=told))


@pytest.fixture(scope="module")
def heard():
    return []


@pytest.fixture(scope="module")
def result(heard):
    return play(told=heard.append)


def test_what_becomes_of_a_fleet(result, heard):
    assert result.whole
    assert (len(result.members), result.updated, result.missed, result.waiting) == (20, 17, 3, 0)
    (group,) = result.groups
    assert (group.status, group.info, group.reason) == ("rejected", "Firmware rolled back", "rolled_back")
    assert {each.node_id for each in result.members if each.missed} == {
        each.node_id for each in FLEET.population.members() if each.fails_self_test
    }
    assert result.kinds == {"lamp": (15, 12, 3), "plug": (5, 5, 0)}
    assert (heard[-1].devices, heard[-1].updated, heard[-1].missed, heard[-1].at_it) == (20, 17, 3, 0)
    assert [far.closed for far in heard] == sorted(far.closed for far in heard)


def test_phases_have_their_turns(result):
    turns = sorted(each.turn for each in result.members)
    assert turns[:4] == [0] * 4
    assert turns[4] > 0
    assert {each.node_id for each in result.members if not each.turn} == {
        each.node_id for each in FLEET.population.members()[:4]
    }


def test_what_was_downloaded_is_counted(result):
    size = len(ORDER.image)
    for each in result.members:
        if "drop@30000*1" in each.met:
            assert size < each.bytes <= size + 30_000
        elif "cut@" not in each.met:
            assert each.bytes == size


def test_who_is_switched_off_at_night_has_it_in_the_morning(result):
    """The job begins at noon; the night of this fleet is from one to three."""
    members = {each.node_id: each for each in FLEET.population.members()}
    plugs = [each for each in result.members if each.kind == "plug"]
    nightly = [each for each in plugs if members[each.node_id].away]
    assert len(nightly) == 2
    assert all(each.boots >= 2 for each in plugs)


def test_the_same_again(result):
    replay = Replay(("esp-ota",))
    assert json.dumps(play().to_json(replay)) == json.dumps(result.to_json(replay))


def test_parts_of_a_fleet_come_to_the_whole():
    order = replace(ORDER, plan=JobOrder(image=b"").plan)
    whole = play(order=order)
    first, second = (play(replace(FLEET.population, shard=(number, 2)), order) for number in (1, 2))
    assert len(first.members) == len(second.members) == 10
    joined = first + second
    assert [(each.node_id, each.status, each.bytes) for each in joined.members] == [
        (each.node_id, each.status, each.bytes) for each in whole.members
    ]


def test_a_device_alone_says_the_same(result):
    """The line that is printed with each device plays it to the same end."""
    chosen = [next(each for each in result.members if each.met.startswith(met)) for met in ("drop", "cut", "app-no")]
    for each in [*chosen, result.members[-1]]:
        words = shlex.split(Replay(()).line(each))
        lone = play_member(
            FLEET.population, ORDER, words[1], turn=float(dict([words[2:]])["--turn"] if words[2:] else 0)
        )
        assert (lone.status, lone.info, lone.boots) == (each.status, each.additional_info, each.boots)
        assert any(said.who == "chip" and "esp_rmaker_ota" in said.text for said in lone.said)


def test_alone_only_who_is_there():
    with pytest.raises(ValueError, match="no device of this fleet is called lamp-000016"):
        play_member(FLEET.population, ORDER, "lamp-000016")
    with pytest.raises(ValueError, match=r"the job device 1\.1\.0 is not for plug"):
        play_member(FLEET.population, replace(ORDER, kinds=("lamp",)), "plug-000001")


@pytest.mark.parametrize("after", [0.0, 13.0])
def test_who_is_stopped_says_what_there_is(after):
    """Cancelled, as Ctrl-C does it, before there is a job and in the middle of it."""

    async def stopped():
        task = asyncio.create_task(run_fleet(FLEET.population, ORDER, told=nobody))
        await asyncio.sleep(86_500 + after - (1000 if not after else 0))
        task.cancel()
        return await task

    result = run_virtual(stopped())
    assert not result.whole
    assert len(result.members) == 20
    if after:
        assert 0 < result.updated < 17
        assert result.seconds == pytest.approx(13, abs=1)
    else:
        assert {each.status for each in result.members} == {"triggered"}


def test_more_devices_than_memory_are_refused_with_the_number_that_fits():
    many = replace(FLEET.population, devices=100_000)
    free = 1 << 30
    problem = too_many(many, FLEET.jobs, free)
    fits = int(problem.rpartition(" ")[2])
    assert problem.startswith("100,000 devices at once need ")
    assert f"{EACH >> 10} KiB each, and 1.0 GiB are free" in problem
    assert 0 < fits < 100_000
    assert not too_many(replace(many, devices=fits), FLEET.jobs, free)
    assert too_many(replace(many, devices=fits + 100), FLEET.jobs, free)
    assert not too_many(many, FLEET.jobs, None)
    for workers in (0, 2):  # they hold a part each, and what became of all of them comes together
        problem = too_many(replace(many, devices=10_000_000), FLEET.jobs, free, workers=workers)
        fits = int(problem.rpartition(" ")[2])
        assert 0 < fits < 300_000
        assert not too_many(replace(many, devices=fits), FLEET.jobs, free, workers=workers)
    assert too_many(many, FLEET.jobs, 1).endswith("not one fits")
