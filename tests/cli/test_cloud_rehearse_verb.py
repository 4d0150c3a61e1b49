"""``esp-ota cloud rehearse``: of a job, of one that is only planned, and of what was kept."""

from __future__ import annotations

import json
import shlex

import pytest
from cloud_desk import ADMIN, PASSWORD, Desk, refused, run, said

from py_esp_ota.firmware import Firmware

pytestmark = pytest.mark.sockets


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rehearse")
    with pytest.MonkeyPatch.context() as patch, Desk() as desk:
        patch.setenv("HOME", str(folder))
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        patch.setenv("ESP_OTA_PASSWORD", PASSWORD)
        patch.chdir(folder)
        assert run("login", "--url", desk.url, "--user", ADMIN).exit_code == 0
        (folder / "lamp.bin").write_bytes(Firmware("lamp", "1.1.0").to_bytes())
        for number in range(6):
            desk.join(f"lamp-{number}")
        said("images", "upload", "lamp.bin")
        desk.job = said(
            "jobs",
            "start",
            "--image",
            "lamp.bin",
            "--all",
            "--force-push",
            "--name",
            "lamps",
            "--phase",
            "2",
            "--phase",
            "rest",
        )["ota_job_id"]
        yield desk


def test_a_job_is_rehearsed_and_nothing_of_it_changes(desk):
    before = said("jobs", "status", desk.job)
    forecast = said("rehearse", desk.job)
    assert (forecast["ok"], forecast["updated"], forecast["state"]) == (True, 6, "completed")
    assert [phase["nodes"] for phase in forecast["phases"]] == [2, 4]
    assert said("jobs", "status", desk.job) == before


def test_a_job_that_does_not_end_well_ends_with_1(desk):
    done = run("rehearse", desk.job, "--weather", "app-no", "--abort-rolled-back", "1")
    assert done.exit_code == 2  # the job has its plan
    done = run("rehearse", desk.job, "--weather", "app-no")
    assert done.exit_code == 1
    assert "paused in phase 1" in done.stdout
    assert "odd devices, each with the line that plays it alone:" in done.stdout
    assert "the code in it does not run" in done.stdout
    assert run("rehearse", desk.job, "--weather", "app-no", "--expect", "paused").exit_code == 0


def test_a_planned_job_in_the_words_of_jobs_start(desk):
    words = [
        "--image",
        "lamp.bin",
        "--all",
        "--force-push",
        "--phase",
        "3",
        "--phase",
        "rest",
        "--abort-rolled-back",
        "2",
    ]
    forecast = said("rehearse", *words, "--weather", "app-no", code=1)
    assert (forecast["state"], forecast["phase"]) == ("aborted", 1)
    assert len(said("jobs", "list")["jobs"]) == 1


def test_what_is_kept_plays_the_same_without_a_cloud_and_its_lines_play_a_device_alone(desk):
    weather = ["--weather", "50% app-no; speed 9000", "--seed", "3"]
    first = said("rehearse", desk.job, "--save", "lamps.json", *weather, code=1)
    assert said("rehearse", "lamps.json", "--profile", "nobody", *weather, code=1) == first
    for odd in first["odd"]:
        _, _, *line = shlex.split(odd["replay"])
        assert line[:2] == ["rehearse", "lamps.json"]
        alone = said(*line)
        assert (alone["status"], alone["info"]) == (odd["status"], odd["info"])
    told = run(*line).stdout
    assert "boot: " in told
    assert "rejected: Firmware rolled back" in told


def test_several_weathers_are_a_line_each(desk):
    lines = run("rehearse", desk.job, "--weather", "fine", "--weather", "bad-image").stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["fine", "bad-image"]
    both = said("rehearse", desk.job, "--weather", "fine", "--weather", "speed 9")
    assert len(both["forecasts"]) == 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ((), "what? a JOB, a FILE, or --image IMAGE and nodes for one that is only planned"),
        (("x", "--image", "y"), "what? a JOB, a FILE, or --image IMAGE and nodes for one that is only planned"),
        (("x", "--turn", "5"), "--turn, --back and --stop are for --alone"),
        (("x", "--alone", "n", "--expect", "paused"), "--alone plays one device under one weather; --expect is for"),
        (("lamp.bin",), "lamp.bin: this is no rehearsal: not UTF-8"),
    ],
)
def test_words_that_make_no_sense(desk, words, sentence):
    assert refused("rehearse", *words, code=2).startswith(sentence)


def test_what_there_is_not(desk):
    assert "there is no job with this ota_job_id" in refused("rehearse", "no-such-job")
    for path in ("gone.json", "./gone"):
        assert refused("rehearse", path, code=2).startswith(path.removeprefix("./"))
    assert "nonsense" in refused("rehearse", desk.job, "--weather", "nonsense", code=2)
    assert refused("rehearse", desk.job, "--alone", "nobody", code=2) == "the job is not for node nobody"


def test_a_hostile_answer_is_no_rehearsal(desk, tmp_path):
    (tmp_path / "bad.json").write_text(json.dumps({"rehearsal": 1, "nodes": "all"}))
    assert refused("rehearse", tmp_path / "bad.json", code=2).endswith("rehearsal.nodes is a list of at most 10000")
