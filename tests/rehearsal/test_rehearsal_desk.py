"""The door of a server: rehearsals in a process of their own, one after the other."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from rehearsal_bench import SIZE, campaign, lamps

from py_esp_ota.adapters.child import ChildError, run_child
from py_esp_ota.cloud.live import Live
from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.rehearsals import COPY, Stage
from py_esp_ota.rehearsal import rehearse
from py_esp_ota.rehearsal.desk import KEPT, WAITING, Desk

LONG = "speed 1-2"  # nodes that take days: each a few seconds of work


def children() -> list[int]:
    """Processes that we started and that play rehearsals."""
    found = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in found.splitlines()[1:]]
    return [int(pid) for pid, parent, args in rows if int(parent) == os.getpid() and "py_esp_ota.rehearsal" in args]


async def over(desk: Desk, name: str) -> Stage:
    while (view := desk.get(name)) is not None and view.stage in {Stage.WAITING, Stage.RUNNING}:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    assert view is not None
    return view.stage


@pytest.mark.timeout(240)
def test_what_a_child_forecasts_is_what_is_forecast_here():
    async def played():
        live = Live()
        desk = Desk(live)
        async with desk.open():
            view = desk.start(campaign(*lamps(4)), ota_job_id="job", weather="50% app-no", seed=3)
            assert await over(desk, view.rehearsal_id) is Stage.DONE
            assert {notice.id for notice in live.since(0)} == {view.rehearsal_id}
        assert children() == []
        return desk.get(view.rehearsal_id)

    view = asyncio.run(played())
    here = rehearse(campaign(*lamps(4)), weather="50% app-no", seed=3, job="rehearsal-1.json").to_json()
    assert view.forecast == json.loads(json.dumps(here))
    assert view.closed == 4


@pytest.mark.timeout(240)
def test_one_is_played_at_a_time_and_a_few_wait():
    async def played():
        desk = Desk(Live())
        async with desk.open():
            views = [desk.start(campaign(*lamps(300)), weather=LONG) for _ in range(WAITING + 1)]
            with pytest.raises(CloudError) as said:
                desk.start(campaign())
            assert said.value.refusal is Refusal.REHEARSAL_REFUSED
            await asyncio.sleep(0.3)
            assert len(children()) == 1
            stages = [desk.get(view.rehearsal_id).stage for view in views]
            assert stages == [Stage.RUNNING] + [Stage.WAITING] * WAITING
            for view in views[:-1]:
                desk.cancel(view.rehearsal_id)
            while desk.get(views[-1].rehearsal_id).stage is Stage.WAITING:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.1)
            assert [desk.get(view.rehearsal_id).stage for view in views][:-1] == [Stage.CANCELLED] * WAITING
            assert desk.get(views[-1].rehearsal_id).stage is Stage.RUNNING
            assert len(children()) == 1
        assert children() == []

    asyncio.run(played())


def test_weather_that_is_none_is_refused_before_anything_is_played():
    async def started():
        Desk(Live()).start(campaign(), weather="nonsense")

    with pytest.raises(CloudError, match="nonsense") as said:
        asyncio.run(started())
    assert said.value.refusal is Refusal.REHEARSAL_REFUSED


@pytest.mark.timeout(240)
def test_a_desk_forgets_the_oldest():
    async def played():
        desk = Desk(Live())
        async with desk.open():
            for _ in range(KEPT + 2):
                view = desk.start(campaign())
                desk.cancel(view.rehearsal_id)
                await asyncio.sleep(0)
            assert [view.rehearsal_id for view in desk.all()][-1] == "3"
            assert desk.played("1") is desk.get("1") is None
            assert desk.played("3") is not None

    asyncio.run(played())


@pytest.mark.timeout(240)
def test_a_child_gives_way_and_its_memory_is_limited():
    async def heard(order):
        lines = []
        await run_child("py_esp_ota.rehearsal", json.dumps(order).encode(), lines.append)
        return [json.loads(line) for line in lines]

    order = {"weather": "fine", "seed": 0, "job": "x", "document": {"rehearsal": 1}}
    (said,) = asyncio.run(heard(order))
    assert said == {"problem": "nodes: a campaign without nodes cannot be played"}
    limited = "import os, sys; from py_esp_ota.adapters.child import be_a_child as b; b(sys.stdin.buffer, "
    code = limited + "memory=1 << 30, seconds=60); print(os.nice(0), flush=True); bytearray(2 << 30)"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=pipe) as child:
        child.stdin.write(b"0\n")
        child.stdin.flush()
        assert int(child.stdout.read()) == min(os.nice(0) + 10, 19)
        assert b"MemoryError" in child.stderr.read()


def test_a_rehearsal_that_is_too_large_is_refused_before_it_begins(monkeypatch):
    monkeypatch.setattr("py_esp_ota.cloud.rehearsals.ROOM", 2 * (SIZE + COPY))

    async def asked():
        desk = Desk(Live())
        async with desk.open():
            with pytest.raises(CloudError, match="at most 2 nodes") as caught:
                desk.start(campaign())
        assert caught.value.refusal is Refusal.REHEARSAL_REFUSED
        assert not desk.all()

    asyncio.run(asked())


def test_a_child_that_runs_out_of_memory_says_so(tmp_path, monkeypatch):
    """As the core does: it aborts, and its last words are about something else."""
    lines = "import os, sys; print('memory allocation of 4096 bytes failed\\nskipping', file=sys.stderr, flush=True)"
    (tmp_path / "poor_child.py").write_text(f"{lines}; os.abort()")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(ChildError, match="it ended with -6: memory allocation of 4096 bytes failed"):
        asyncio.run(run_child("poor_child", b"", lambda _line: None))


def test_a_child_ends_with_its_starter_though_it_has_nothing_to_say():
    code = "import sys, time; from py_esp_ota.adapters.child import be_a_child as b; b(sys.stdin.buffer, "
    code += "memory=1 << 40, seconds=60); print('here', flush=True); time.sleep(600)"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) as child:
        child.stdin.write(b"0\n")
        child.stdin.flush()
        assert child.stdout.readline() == b"here\n"
        child.stdin.close()
        assert child.wait(timeout=30) == 1


def test_a_child_that_fails_says_how():
    with pytest.raises(ChildError, match=r"it ended with 1: .*no_such_module"):
        asyncio.run(run_child("py_esp_ota.no_such_module", b"", lambda _line: None))


_SERVER = """
import asyncio, sys
sys.path.insert(0, {folder!r})
from rehearsal_bench import campaign, lamps
from py_esp_ota.cloud.live import Live
from py_esp_ota.rehearsal.desk import Desk

async def main():
    desk = Desk(Live())
    async with desk.open():
        desk.start(campaign(*lamps(300)), weather="speed 1-2")
        print("started", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.timeout(240)
def test_a_server_that_is_killed_leaves_no_child():
    code = textwrap.dedent(_SERVER.format(folder=str(Path(__file__).parent)))
    server = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    server.stdout.readline()
    child = _wait_for(lambda: _child_of(server.pid))
    server.send_signal(signal.SIGKILL)
    server.wait()
    server.stdout.close()
    _wait_for(lambda: not _lives(child))


def _child_of(parent: int) -> int | None:
    found = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in found.splitlines()[1:]]
    return next((int(pid) for pid, above, args in rows if int(above) == parent and "rehearsal" in args), None)


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _wait_for(condition):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError("in vain")
