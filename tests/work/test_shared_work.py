"""Work is shared out, done by whoever is there, and merged: always the same report."""

from __future__ import annotations

import _thread
import itertools
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import shared_jobs
from hypothesis import given
from hypothesis import strategies as st
from shared_jobs import counting

from py_esp_ota.adapters import on_ray, processes
from py_esp_ota.adapters.on_ray import OnRay
from py_esp_ota.adapters.processes import Processes
from py_esp_ota.work import INTERRUPTION, Done, Here, Lost, Outcome, Stranger, Work, WorkError, run
from py_esp_ota.work.packed import Packed

SQUARES = counting(shared_jobs.squares, 10)
ALONE = run(SQUARES, range(20), Here())


class Shuffled:
    """A crew that does shards in the order that ``draw`` has, and loses some workers on the way."""

    def __init__(self, draw, size, deaths):
        self._draw, self.size, self._deaths, self._given = draw, size, deaths, []

    @contextmanager
    def open(self, work: Work) -> Iterator[Shuffled]:
        self._work = work
        yield self

    def give(self, shard):
        self._given.append(shard)
        assert len(self._given) <= self.size

    def next(self):
        shard = self._given.pop(self._draw(st.integers(0, len(self._given) - 1)))
        if self._deaths.get(shard):
            self._deaths[shard] -= 1
            return Lost(shard, "fell over")
        try:
            return Done(shard, self._work.do(self._work.data, shard))
        except LookupError as error:
            return Done(shard, error=error)


@given(st.data(), st.integers(1, 5), st.dictionaries(st.integers(0, 19), st.integers(0, 2)))
def test_neither_who_nor_how_many_nor_when_can_be_seen(data, size, deaths):
    assert run(SQUARES, range(20), Shuffled(data.draw, size, deaths)) == ALONE


@given(st.data(), st.integers(1, 5))
def test_the_first_shard_that_fails_is_the_one_that_is_told(data, size):
    with pytest.raises(LookupError, match="no shard 3"):
        run(counting(shared_jobs.fails, 0.0), range(8), Shuffled(data.draw, size, {}))


def test_two_processes_say_the_same_and_one_that_dies_has_done_nothing(tmp_path):
    assert run(counting(shared_jobs.dies_once, str(tmp_path)), range(20), Processes(2)) == ALONE
    assert (tmp_path / "died").exists()


def test_a_shard_that_is_the_death_of_three_stops_the_work_and_nothing_done_is_lost():
    found = run(counting(shared_jobs.deadly, None), range(5), Processes(1))
    assert found.stopped == "shard 3 was the end of 3 workers, the last of which ended with 7"
    assert (found.whole, found.done, found.report) == (False, 3, run(SQUARES, range(3), Here()).report)


def test_what_work_raises_elsewhere_is_raised_here():
    with pytest.raises(LookupError, match="no shard 3"):
        run(counting(shared_jobs.fails, 0.01), range(8), Processes(2))
    with pytest.raises(WorkError, match=r"^shard 0: OddError: this and shard 0$"):
        run(counting(shared_jobs.odd, None), range(1), Processes(1))


def test_work_without_end_goes_on_until_it_is_interrupted():
    def told(done, _report):
        if done == 7:
            raise KeyboardInterrupt

    found = run(SQUARES, itertools.count(), Here(), told=told)
    assert found == Outcome(run(SQUARES, range(7), Here()).report, 7, INTERRUPTION)


def test_an_interruption_ends_the_workers():
    children = []

    def told(done, _report):
        if done == 3:
            children.extend(_children())
            _thread.interrupt_main()

    found = run(counting(shared_jobs.slow, None), itertools.count(), Processes(2), told=told)
    assert (found.stopped, found.done >= 3, len(children)) == (INTERRUPTION, True, 2)
    assert not set(children) & set(_children())


def _children():
    listed = _ps("-o", "pid=,args=", "--ppid", str(os.getpid()))
    return [line.split()[0] for line in listed.splitlines() if "adapters.worker" in line]


def _ps(*words):
    return subprocess.run(["ps", *words], check=False, capture_output=True, text=True).stdout


def test_a_worker_ends_with_who_started_it(tmp_path):
    """Whoever starts workers may be killed."""
    program = (
        "import itertools, shared_jobs\n"
        "from py_esp_ota.adapters.processes import Processes\n"
        "from py_esp_ota.work import run\n"
        "told = lambda done, report: print(done, flush=True)\n"
        "run(shared_jobs.counting(shared_jobs.notes_its_number, %r), itertools.count(), Processes(1), told=told)\n"
    )
    mine = [sys.executable, "-c", program % str(tmp_path)]
    with subprocess.Popen(mine, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": "tests"}) as starter:
        assert starter.stdout.readline() == b"1\n"
        starter.kill()
    worker = int((tmp_path / "worker").read_text())
    for _ in range(100):
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        if _is_dead(worker):
            return
        time.sleep(0.05)
    os.kill(worker, signal.SIGKILL)
    pytest.fail("it lives on")


def _is_dead(pid):
    """Nobody here waits for what an orphan leaves."""
    return _ps("-o", "stat=", "-p", str(pid))[:1] in {"Z", ""}


def test_what_cannot_go_to_another_process_is_told():
    with pytest.raises(WorkError, match="cannot go to another process"):
        run(counting(lambda _data, _shard: Counter(), 0), range(2), Processes(1))
    mine = SimpleNamespace(__module__="__main__", __qualname__="mine")
    with pytest.raises(
        WorkError, match=r"^mine stands in the program itself: a worker finds functions of modules only$"
    ):
        Packed.of(counting(mine, 0))


def test_workers_that_cannot_be_started(monkeypatch):
    monkeypatch.setattr(processes, "_WORDS", ("/nowhere/python",))
    with pytest.raises(WorkError, match=r"^no worker can be started: No such file or directory$"):
        run(SQUARES, range(2), Processes(1))


def test_a_worker_of_another_version_is_a_stranger():
    with pytest.raises(WorkError, match=r"^a worker has py_esp_ota 9.9 on Python 3.1, here is .*: both need the same$"):
        Stranger("9.9", "3.1").refuse("a worker")
    Stranger.myself().refuse("a worker")


# ----------------------------------------------------------------------------------------------------- Ray that is not


@pytest.mark.parametrize(
    ("stand_in", "said"),
    [
        (None, r"^work on Ray needs ray, which comes with an extra: pip install 'py_esp_ota\[ray\]'$"),
        (SimpleNamespace(__version__="2.9.3"), r"^Ray is 2\.9\.3 here: py_esp_ota needs 2\.50 or later$"),
    ],
)
def test_a_ray_that_is_no_use(monkeypatch, stand_in, said):
    monkeypatch.setitem(sys.modules, "ray", stand_in)
    with pytest.raises(WorkError, match=said):
        run(SQUARES, range(2), OnRay())


def test_nobody_listens_there():
    with pytest.raises(WorkError, match=r"^Ray at ray://127\.0\.0\.1:1: Connection refused$"):
        run(SQUARES, range(2), OnRay("ray://127.0.0.1:1"))


def test_a_cluster_of_another_version(monkeypatch):
    """What Ray 2.60 answers to Ray 2.50."""

    def init(*_words, **_options):
        raise ConnectionAbortedError(
            "Initialization failure from server:\nTraceback (most recent call last):\n"
            "AttributeError: 'JobConfig' object has no attribute '_disable_job_level_lineage_reconstruction'\n"
        )

    errors = SimpleNamespace(RayError=type("RayError", (Exception,), {}))
    ray = SimpleNamespace(__version__="2.50.0", is_initialized=lambda: False, init=init, exceptions=errors)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(on_ray, "_knock", lambda _address: None)
    said = (
        r"^Ray at ray://far:1: Initialization failure from server: AttributeError: .* \(here is Ray 2\.50\.0 on Python "
    )
    with pytest.raises(WorkError, match=said):
        run(SQUARES, range(2), OnRay("ray://far:1"))
