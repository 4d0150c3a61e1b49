"""Campaigns in phases and users who approve, in hunted worlds: what is promised of them, and that it can be broken."""

from __future__ import annotations

import pytest

from py_esp_ota.cloud.jobs import Hold, OtaJob
from py_esp_ota.cloud.serving import Serving
from py_esp_ota.hunt import play, read_world
from py_esp_ota.hunt.shrink_world import smaller_worlds

HEAD = "hunt1 cloud=real chip=esp32c3 table=pair"
PHASES = f"{HEAD} policy=phases boards=2"
NETWORK = f"{HEAD} policy=serialised boards=2"
APPROVAL = f"{HEAD} policy=approval boards=2"


@pytest.mark.parametrize(
    ("line", "marks"),
    [
        (f"{PHASES} 20/job/1", {"phase-begun", "target-by-itself"}),
        (f"{PHASES} 19/0/app-no 20/job/1", {"campaign-aborted", "rescue-needed"}),
        (f"{APPROVAL} 20/job/1 30/0/approve 40/1/approve", {"approval-given", "target-by-itself"}),
        (f"{APPROVAL} 20/job/1 30/0/approve", {"approval-given", "approval-withheld", "rescue-needed"}),
        (f"{APPROVAL} 20/job/1 30/0/off*60 40/0/approve", {"approval-withheld"}),
        (f"{NETWORK} 20/job/1", {"neighbour-waited", "target-by-itself"}),
    ],
)
def test_a_policy_is_kept(line, marks):
    run = play(read_world(line))
    assert run.breach is None
    assert run.marks >= marks
    policies = {"phase-begun", "campaign-aborted", "approval-given", "approval-withheld", "neighbour-waited"}
    assert run.marks & policies == marks & policies


@pytest.mark.parametrize(
    ("forgotten", "promise", "line"),
    [
        (Hold.WAITING, "phases", f"{PHASES} 20/job/1 21/1/press"),
        (Hold.CANCELLED, "withdrawn", f"{HEAD} 18/0/off*60 20/job/1 30/job/cancel"),
        (Hold.UNAPPROVED, "approved", f"{APPROVAL} 20/job/1 30/0/press"),
    ],
)
def test_a_cloud_that_forgets_a_rule_breaks_a_promise(monkeypatch, forgotten, promise, line):
    world = read_world(line)
    assert play(world).breach is None
    before = OtaJob.hold
    if forgotten is Hold.CANCELLED:
        monkeypatch.setattr(OtaJob, "over", False)  # it stays among the open ones
    monkeypatch.setattr(OtaJob, "hold", lambda job, *of: None if (why := before(job, *of)) is forgotten else why)
    breach = play(world).breach
    assert breach is not None
    assert breach.promise == promise


def test_a_cloud_that_forgets_neighbours_breaks_a_promise(monkeypatch):
    world = read_world(f"{NETWORK} 18/1/off*10 19/0/slow@100 20/job/1")
    assert play(world).breach is None
    monkeypatch.setattr(Serving, "busy", lambda *_: False)
    breach = play(world).breach
    assert breach is not None
    assert breach.promise == "neighbours"


def test_a_world_is_made_small_without_its_policy():
    smaller = [str(world) for world in smaller_worlds(read_world(f"{APPROVAL} 20/job/1 30/0/approve"))]
    assert f"{HEAD} boards=2 images=1g,2g 20/job/1" in smaller
    assert all("cloud=real" in line for line in smaller if "policy=" in line)
