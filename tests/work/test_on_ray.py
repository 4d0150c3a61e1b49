"""A real Ray on this machine, with two workers, one of which is killed in the middle of a sweep."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest
import ray_play

from py_esp_ota.sweep.order import STRETCHES

pytestmark = [
    pytest.mark.sockets,
    pytest.mark.timeout(240),  # Ray takes its time where others work, too
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray comes with the extra [ray]"),
]


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    folder = tmp_path_factory.mktemp("play")
    words = [sys.executable, ray_play.__file__, str(folder)]
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout.splitlines()[-1]), "died": (folder / "died").exists()}


def test_a_worker_is_killed_in_the_middle_and_the_report_is_that_of_one_process(played):
    assert played["died"]
    swept = played["swept"]
    assert (swept["done"], swept["stopped"]) == (STRETCHES, "")
    assert swept["cases"] > 400
    assert (swept["same"], swept["junit"], swept["sarif"]) == (True, True, True)


def test_a_fleet_with_three_jobs_comes_to_the_same_as_here(played):
    assert played["fleet"] == {"code": 0, "devices": 10, "same": True}


def test_more_workers_than_processors_are_refused(played):
    assert played["many"] == "this Ray has 2 processors: 3 workers do not fit"


def test_it_listens_on_loopback_alone(played):
    assert played["elsewhere"] == []
