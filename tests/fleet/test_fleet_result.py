"""What a fleet came to: counted from its devices, and the same however its parts are put together."""

from __future__ import annotations

import shlex
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_esp_ota.fleet.result import FleetResult, MemberResult, Replay

REPLAY = Replay(("esp-ota", "fleet", "my lamps.toml", "--seed", "3"))


def member(number, status="success", *, info="", reason="", closed=True, turn=0, seconds=10, met=""):
    return MemberResult(
        node_id=f"lamp-{number:06}",
        kind="lamp" if number % 2 else "plug",
        status=status,
        additional_info=info,
        reason=reason,
        closed=closed,
        turn=turn,
        seconds=seconds,
        boots=2,
        bytes=1000 + number,
        met=met,
    )


MEMBERS = (
    member(1, seconds=4),
    member(2, "rejected", info="Firmware rolled back", reason="rolled_back", seconds=30, met="app-no"),
    member(3, "in-progress", info="Downloading", closed=False, turn=5),
    member(4, "triggered", closed=False, turn=None, seconds=None),
    member(5, turn=5, seconds=12),
)


def test_what_is_counted():
    result = FleetResult(seed=3, members=MEMBERS, seconds=60)
    assert (result.updated, result.missed, result.waiting, result.ok) == (2, 1, 2, False)
    assert result.bytes == 5015
    assert result.counts == {"success": 2, "rejected": 1, "in-progress": 1, "triggered": 1}
    assert result.kinds == {"lamp": (3, 2, 0), "plug": (2, 0, 1)}
    assert [group.named for group in result.groups] == [("lamp-000003",), ("lamp-000002",), ("lamp-000004",)]
    assert [each.node_id[-1] for each in result.slowest] == ["2", "5", "1"]
    progress = {at: numbers for at, *numbers in result.progress}
    assert (progress[0], progress[5], progress[30]) == ([2, 0, 0], [4, 1, 0], [4, 2, 1])
    assert FleetResult(seed=3, members=MEMBERS[:1]).ok
    assert not FleetResult(seed=3, members=MEMBERS[:1], whole=False).ok


def test_a_fleet_of_nobody():
    result = FleetResult(seed=0, members=())
    assert (result.ok, result.progress, result.slowest, result.groups) == (True, [(0, 0, 0, 0)], [], [])


def test_a_device_has_the_line_that_plays_it_alone():
    document = FleetResult(seed=3, members=MEMBERS).to_json(REPLAY)
    lines = [shlex.split(each["replay"]) for each in document["members"]]
    assert lines[0] == ["esp-ota", "fleet", "my lamps.toml", "--seed", "3", "--alone", "lamp-000001"]
    assert lines[2][-2:] == ["--turn", "5"]


def test_parts_in_any_order_and_grouping():
    parts = [FleetResult(seed=3, members=(one,), whole=one.closed, seconds=at) for at, one in enumerate(MEMBERS)]
    whole = FleetResult(seed=3, members=MEMBERS, whole=False, seconds=4)
    nobody = FleetResult(seed=3, members=())
    for a, b, c, d, e in permutations(parts):
        assert (a + b) + ((c + nobody) + (d + e)) == whole
    assert whole + whole == whole


@given(st.lists(st.sampled_from(MEMBERS), unique=True), st.lists(st.sampled_from(MEMBERS), unique=True))
def test_parts_may_overlap(some, others):
    some, others = (
        FleetResult(seed=3, members=tuple(sorted(each, key=lambda m: m.node_id))) for each in (some, others)
    )
    assert some + others == others + some
    assert {*(some + others).members} == {*some.members, *others.members}


def test_what_is_not_of_one_fleet_is_not_put_together():
    with pytest.raises(ValueError, match="two fleets: one has seed 3, the other 4"):
        FleetResult(seed=3, members=()) + FleetResult(seed=4, members=())
    with pytest.raises(ValueError, match="two results tell different things of lamp-000001"):
        FleetResult(seed=3, members=MEMBERS[:1]) + FleetResult(seed=3, members=(member(1, "rejected"),))
