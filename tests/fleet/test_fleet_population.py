"""Who is in a fleet: shares are kept, a seed says who meets what, and parts of it are parts of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_esp_ota.fleet.file import read_fleet
from py_esp_ota.fleet.population import NOON, Population

FLEET = read_fleet(
    """
    devices = 1000
    seed = 7
    [job]
    version = "1.1.0"
    [[kind]]
    name = "lamp"
    share = 7
    [kind.weather]
    self_test_fails = 0.02
    offline = 0.1
    plans = [{ share = 0.05, plan = "drop@30000*1" }, { share = 0.01, plan = "cut@40" }]
    [[kind]]
    name = "plug"
    share = 3
    [kind.weather]
    offline_at_night = 0.3
    """
).population


def test_shares_are_kept_to_the_device():
    members = FLEET.members()
    assert Counter(member.kind.name for member in members) == {"lamp": 700, "plug": 300}
    lamps = [member for member in members if member.kind.name == "lamp"]
    assert sum(member.fails_self_test for member in lamps) == 14
    assert Counter(member.plan.removesuffix("+app-no").removesuffix("app-no") for member in lamps) == {
        "": 658,
        "drop@30000*1": 35,
        "cut@40": 7,
    }
    assert sum(member.boots_at > 0 for member in lamps) == 70
    assert sum(bool(member.away) for member in members if member.kind.name == "plug") == 90


def test_a_seed_says_who_meets_what_and_the_same_seed_the_same():
    again, other = (replace(FLEET, seed=seed).members() for seed in (7, 8))
    assert FLEET.members() == again
    assert {member.node_id for member in again} == {member.node_id for member in other}
    plans = [{member.node_id: member.plan for member in members} for members in (again, other)]
    assert plans[0] != plans[1]
    assert [member.node_id for member in again] != [member.node_id for member in other]


def test_one_device_is_the_same_alone():
    members = FLEET.members()
    assert [FLEET.member(member.node_id) for member in members[::97]] == members[::97]
    for name in ("lamp-000701", "lamp-1", "plug", "nobody-000001", ""):
        with pytest.raises(ValueError, match=r"there are lamp-000001 to lamp-000700, plug-000001 to plug-000300"):
            FLEET.member(name)


def test_shards_are_the_whole():
    whole = FLEET.members()
    parts = [replace(FLEET, shard=(number, 3)).members() for number in (1, 2, 3)]
    assert sorted(len(part) for part in parts) == [333, 333, 334]
    assert sorted(member.node_id for part in parts for member in part) == sorted(member.node_id for member in whole)
    assert Counter(member.kind.name for member in parts[0])["lamp"] == pytest.approx(233, abs=25)  # no part is one kind
    assert all(member in whole for member in parts[1][:20])


def test_some_kinds_are_as_they_are_among_all():
    whole = {member.node_id: member for member in FLEET.members()}
    some = FLEET.of_kinds(("plug",)).members()
    assert len(some) == 300
    assert all(whole[member.node_id].plan == member.plan for member in some)
    assert [member.node_id for member in FLEET.members() if member.node_id.startswith("plug")] == [
        member.node_id for member in some
    ]


@given(st.integers(1, 300), st.lists(st.floats(0.001, 1000), min_size=1, max_size=5))
def test_every_device_is_of_a_kind(devices, shares):
    kinds = tuple(replace(FLEET.kinds[1], name=f"k{number}", share=share) for number, share in enumerate(shares))
    population = Population(kinds=kinds, devices=devices)
    counts = population.counts()
    assert sum(counts.values()) == len(population.members()) == devices
    for kind in kinds:
        assert abs(counts[kind.name] - devices * kind.share / sum(shares)) < 1 + 1e-6


@pytest.mark.parametrize("hour", range(0, 24, 3))
def test_nights_are_at_night(hour):
    """Whoever is switched off at night is so at midnight, is not at noon, and had booted in the last day before."""
    begin = NOON - 12 * 3600 + hour * 3600
    kind = replace(FLEET.kinds[1], weather=replace(FLEET.kinds[1].weather, offline_at_night=1.0))
    for member in Population(kinds=(kind,), devices=12, begin=begin).members():
        nights = member.away
        assert -86_400 <= member.boots_at <= 8 * 3600
        assert member.boots_at < nights[0][0]
        assert all(on < off for (_, on), (off, _) in pairwise(nights))
        for off, on in nights:
            assert 22 <= (hour + off / 3600) % 24 <= 23
            assert 6 <= (hour + on / 3600) % 24 <= 7
            assert on - off == 8 * 3600
        assert (member.boots_at > 0) == (hour in {0, 3, 6}) or hour == 6


def test_a_night_that_does_not_pass_midnight():
    kind = replace(FLEET.kinds[1], weather=replace(FLEET.kinds[1].weather, offline_at_night=1.0, night=(1, 5)))
    (member,) = Population(kinds=(kind,), devices=1).members()
    off, on = member.away[0]
    assert [(12 + second / 3600) % 24 // 1 for second in (off, on)] == [1, 5]
