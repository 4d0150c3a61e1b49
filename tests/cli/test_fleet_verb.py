"""``esp-ota fleet``: what it tells and writes, what it refuses before it begins, and how Ctrl-C ends it."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from py_esp_ota._core import PartitionTable
from py_esp_ota.cli import main
from py_esp_ota.firmware import Firmware
from py_esp_ota.fleet import FleetResult
from py_esp_ota.lives.tree import UnlikeError

FLEET = """
devices = 8
[job]
version = "1.1.0"
[[kind]]
name = "lamp"
weather = { self_test_fails = 0.25 }
"""


@pytest.fixture
def room(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("lamps.toml").write_text(FLEET)
    return tmp_path


def run(*words):
    return CliRunner().invoke(main, ["fleet", *map(str, words)])


def test_a_fleet_is_told_and_one_of_it_played_alone(room):
    done = run("lamps.toml", "--html", "page.html")
    assert (done.exit_code, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "lamps.toml: 8 devices, seed 0"
    assert re.fullmatch(r"over after 0:00:\d\d: 6 of 8 updated, 2 missed it", lines[1])
    assert re.fullmatch(r"512\.0 KiB downloaded; played again: \d+ devices? the long way, and did the same", lines[2])
    assert "      2  rejected: Firmware rolled back" in lines
    assert "lamp: 6 of 8 updated, 2 missed" in lines
    assert "2</strong> rejected: Firmware rolled back" in Path("page.html").read_text()
    line = next(line.strip() for line in lines if " --alone " in line)
    alone = CliRunner().invoke(main, shlex.split(line)[1:])
    assert alone.exit_code == 0
    assert "esp_rmaker_ota: Diagnostics failed! Start rollback to the previous version ..." in alone.stdout
    assert alone.stdout.splitlines()[-1] == "rejected: Firmware rolled back; 3 boots"


def test_the_options_of_a_call_are_in_its_lines(room):
    document = json.loads(run("lamps.toml", "--devices", 4, "--seed", 5, "--json").stdout)
    assert (document["fleet"], document["of"], document["seed"], document["updated"]) == ("lamps.toml", 4, 5, 3)
    lines = [member["replay"] for member in document["members"]]
    assert lines[0] == "esp-ota fleet lamps.toml --devices 4 --seed 5 --alone lamp-000001"
    bad = next(member for member in document["members"] if member["met"] == "app-no")
    lone = json.loads(CliRunner().invoke(main, [*shlex.split(bad["replay"])[1:], "--json"]).stdout)
    assert (lone["status"], lone["info"], lone["boots"]) == (bad["status"], bad["additional_info"], bad["boots"])


def test_files_are_looked_for_beside_the_fleets_file(room):
    folder = room / "deep"
    folder.mkdir()
    (folder / "old.bin").write_bytes(Firmware("lamp", "1.0.0").to_bytes())
    (folder / "new.bin").write_bytes(Firmware("lamp", "1.1.0").to_bytes())
    (folder / "table.csv").write_text(PartitionTable.builtin("two_ota").to_csv())
    (folder / "fleet.toml").write_text(
        'devices = 1\n[job]\nimage = "new.bin"\n[[kind]]\nname = "a"\nimage = "old.bin"\npartitions = "table.csv"\n'
    )
    done = run("deep/fleet.toml")
    assert (done.exit_code, done.stdout.splitlines()[1][:4]) == (0, "done")
    (folder / "table.csv").unlink()
    assert run("deep/fleet.toml").stderr == "Error: deep/table.csv: No such file or directory\n"
    (folder / "new.bin").write_bytes(b"no image")
    refused = run("deep/fleet.toml").stderr
    assert refused.startswith("Error: deep/")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing.toml"], "nothing.toml: No such file or directory"),
        (["lamps.toml", "--alone", "lamp-9"], "lamps.toml: no device of this fleet is called lamp-9; there are lamp-0"),
        (["lamps.toml", "--devices", "0"], "Invalid value for '--devices': 0 is not in the range"),
        (["lamps.toml", "--turn", "3"], "--turn is for --alone"),
        (["lamps.toml", "--alone", "lamp-000001", "--html", "x"], "--alone plays one device: there is no page of it"),
        (["lamps.toml", "--alone", "lamp-000001", "--jobs", "2"], "--on and --jobs share out a whole fleet in virtual"),
        (
            ["paced.toml", "--jobs", "2"],
            "paced.toml: the plan of device 1.1.0 (phases, gate, limits, pace) looks at all",
        ),
        (["lamps.toml", "--html", "no/where"], "no/where: No such file or directory"),
        (["wrong.toml"], "wrong.toml: kind lamp: weather.self_tests_fail is no key; perhaps self_test_fails"),
        (["phases.toml"], "phases.toml: plan.phases: phase 1 takes 9 nodes, and 8 of the job's 8 are left for it"),
    ],
)
def test_what_cannot_be_is_one_sentence(room, words, said):
    Path("wrong.toml").write_text(FLEET.replace("self_test_fails", "self_tests_fail"))
    Path("paced.toml").write_text(FLEET.replace('"1.1.0"', '"1.1.0"\nplan = { rate = 5 }'))
    Path("phases.toml").write_text(FLEET.replace('"1.1.0"', '"1.1.0"\nplan = { phases = ["9", "rest"] }'))
    done = run(*words)
    assert done.exit_code == 2
    assert isinstance(done.exception, SystemExit)
    assert f"Error: {said}" in done.stderr
    assert "\n" not in done.stderr.partition("Error: ")[2].rstrip("\n")


@pytest.mark.parametrize(
    "who",
    [(), ("--on", "ray", "--jobs", 2), ("--on", "ray://127.0.0.1:1")],
    ids=["here", "a Ray of this machine", "a cluster"],
)
def test_more_devices_than_memory_are_refused_before_anything_is_played(room, monkeypatch, who):
    monkeypatch.setattr("py_esp_ota.adapters.room.free_memory", lambda: 2 << 30)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    started = time.process_time()
    done = run("lamps.toml", "--devices", 10_000_000, *who)
    assert done.exit_code == 2
    assert time.process_time() - started < 5
    found = re.search(
        r"lamps.toml: 10,000,000 devices .* 2\.0 GiB are free: ([\d,]+) fit, --devices (\d+)$", done.stderr.strip()
    )
    assert int(found[1].replace(",", "")) == int(found[2])


def test_processes_come_to_the_same(room):
    one, two = (json.loads(run("lamps.toml", "--json", *words).stdout) for words in ((), ("--jobs", 2)))
    assert {**two, "seconds": 0} == {**one, "seconds": 0}


def test_who_is_stopped_has_a_report_and_says_why(room, monkeypatch):
    async def stopped(population, order, *, told):
        return FleetResult(seed=population.seed, members=(), whole=False, seconds=5)

    monkeypatch.setattr("py_esp_ota.fleet.run_fleet", stopped)
    done = run("lamps.toml", "--json", "--html", "page.html")
    assert done.exit_code == 130
    assert done.stderr == "It was interrupted: 0 of 8 devices are in this report, as they were then.\n"
    assert json.loads(done.stdout)["whole"] is False
    assert "This is not the whole of it." in Path("page.html").read_text()


def test_a_mistake_of_ours_is_no_traceback(room, monkeypatch):
    async def unlike(*_args, **_options):
        raise UnlikeError("step 3 after On(): said 1, not 2")

    monkeypatch.setattr("py_esp_ota.fleet.run_fleet", unlike)
    done = run("lamps.toml")
    assert done.exit_code == 2
    assert "lamps.toml: a mistake of ours: played again, a device did something else: step 3" in done.stderr


def test_the_room_that_there_is():
    from py_esp_ota.adapters.room import free_memory

    free = free_memory()
    assert free is None or 1 << 20 < free < 1 << 50


# ------------------------------------------------------------------------------------------------ on a real terminal


def _until_bar(terminal):
    seen = ""
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 1)[0]:
            seen += os.read(terminal, 4096).decode(errors="replace")
            if re.search(r"\d updated, \d", seen):
                return seen
    raise AssertionError(seen)


def test_ctrl_c_ends_it_with_a_report_that_says_so(room):
    """Somebody looks at the bar and has enough."""
    Path("lamps.toml").write_text(FLEET.replace("0.25", "0.25, offline_at_night = 1, plans = [" + STALLS + "]"))
    ours, terminal = pty.openpty()
    call = [sys.executable, "-m", "py_esp_ota", "fleet", "lamps.toml", "--devices", "40"]
    with subprocess.Popen(call, stdout=subprocess.PIPE, stderr=terminal, text=True) as child:
        os.close(terminal)
        seen = _until_bar(ours)
        child.send_signal(signal.SIGINT)
        told, _ = child.communicate(timeout=100)
    os.close(ours)
    assert "device 1.1.0" in seen
    assert child.returncode == 130
    lines = told.splitlines()
    assert lines[0] == "lamps.toml: 40 devices, seed 0"
    assert re.match(r"stopped after [\d:]+, so this is not the whole of it: \d+ of 40 updated", lines[1])


STALLS = ", ".join(f'{{ share = 0.03, plan = "stall@{size}*1" }}' for size in range(1000, 60_000, 2000))
"""So many different devices that it takes a while."""
